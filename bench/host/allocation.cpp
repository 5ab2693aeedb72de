// SPDX-License-Identifier: GPL-2.0
#include "allocation.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "shim/alloc.h"
#include "shim/log.h"

namespace {

std::atomic<std::uint64_t> held;

void* allocate(size_t size) {
  void* memory = calloc(1, size);
  held += malloc_usable_size(memory);
  return memory;
}

void release(void* memory) {
  held -= malloc_usable_size(memory);
  free(memory);
}

}  // namespace

std::uint64_t bench_host::bytes_held() { return held; }

void* shim_alloc(size_t size) { return allocate(size); }
void* shim_alloc_object(size_t size) { return allocate(size); }
void* shim_alloc_object_certainly(size_t size) { return allocate(size); }
void* shim_alloc_page() { return allocate(4096); }
void shim_free(void* memory) { release(memory); }
void shim_free_page(void* page) { release(page); }
void* shim_slab_alloc(shim_slab* slab) { return allocate(slab->size); }
void shim_slab_free(shim_slab*, void* object) { release(object); }
void shim_slab_free_many(shim_slab*, size_t count, void** objects) {
  for (size_t i = 0; i < count; i++) release(objects[i]);
}
void* shim_valloc(size_t size) { return allocate(size); }
void shim_vfree(void* memory) { release(memory); }

// A broken invariant makes all figures worthless.
void shim_warn(const char* what) {
  std::fprintf(stderr, "bench_host: %s\n", what);
  abort();
}
