// SPDX-License-Identifier: GPL-2.0
//
// How often each kind of operation was tried and succeeded.
#include "counts.hpp"

#include <stdio.h>
#include <string.h>

#include <algorithm>
#include <cinttypes>
#include <string>

#include "soak.hpp"

namespace soak {
namespace {

struct Op {
  const char* area;
  const char* name;
};

// Those of an area stand together.
constexpr Op kOps[] = {
    {"files", "open container"},
    {"files", "open group"},
    {"files", "open device"},
    {"files", "close container"},
    {"files", "close group"},
    {"files", "close device"},
    {"files", "close all"},
    {"files", "dup"},
    {"containers", "SET_CONTAINER"},
    {"containers", "UNSET_CONTAINER"},
    {"containers", "SET_IOMMU"},
    {"containers", "CHECK_EXTENSION"},
    {"containers", "group status"},
    {"containers", "container info"},
    {"merging", "MERGE"},
    {"merging", "UNMERGE"},
    {"merging", "group SET_IOMMU"},
    {"merging", "group MAP"},
    {"merging", "group UNMAP"},
    {"nested", "write tables"},
    {"nested", "map tables"},
    {"nested", "map guest memory"},
    {"nested", "REGISTER"},
    {"nested", "DEREGISTER"},
    {"nested", "SET_STATE"},
    {"nested", "REFRESH"},
    {"nested", "REFRESH_RANGES"},
    {"nested", "GET_EVENT"},
    {"nested", "GET_STATISTICS"},
    {"nested", "SET_DOORBELL"},
    {"nested", "ring"},
    {"map", "map private"},
    {"map", "map memfd"},
    {"map", "map read-only"},
    {"map", "map odd"},
    {"map", "map far"},
    {"map", "map vaddr"},
    {"unmap", "unmap exact"},
    {"unmap", "unmap range"},
    {"unmap", "unmap all"},
    {"unmap", "unmap odd"},
    {"unmap", "unmap vaddr"},
    {"unmap", "unmap vaddr all"},
    {"unmap", "unmap dirty bitmap"},
    {"dirty", "dirty start"},
    {"dirty", "dirty stop"},
    {"dirty", "dirty bitmap"},
    {"pin", "pin"},
    {"pin", "unpin"},
    {"pin", "dma_rw read"},
    {"pin", "dma_rw write"},
    {"pin", "unpin policy"},
    {"pin", "unmap events"},
    {"device", "device info"},
    {"device", "region"},
    {"device", "reset"},
    {"device", "eventfd irq"},
    {"device", "mmap BAR"},
    {"device", "mediated device"},
    {"gate", "register scheduler"},
    {"gate", "unregister scheduler"},
    {"gate", "kill scheduler"},
    {"gate", "block"},
    {"gate", "trap"},
    {"gate", "open gate"},
    {"gate", "switch"},
    {"gate", "remap"},
    {"gate", "user switch"},
    {"gate", "gate info"},
    {"gate", "gate limit"},
    {"gate", "gate event"},
    {"gate", "map window"},
    {"gate", "touch window"},
    {"gate", "window MAP"},
    {"engine", "start engine"},
    {"engine", "engine copy"},
    {"engine", "engine fill"},
    {"engine", "engine CRC32"},
    {"engine", "engine doorbell"},
    {"engine", "stop engine"},
    {"engine", "reset engine"},
    {"mock", "mock pte"},
    {"mock", "mock dma"},
    {"mock", "mock fails next"},
    {"memory", "touch"},
    {"memory", "munmap"},
    {"memory", "mremap"},
    {"memory", "madvise(DONTNEED)"},
    {"memory", "madvise(FREE)"},
    {"memory", "madvise(REMOVE)"},
    {"memory", "madvise(HUGEPAGE)"},
    {"memory", "madvise(NOHUGEPAGE)"},
    {"memory", "madvise(DONTFORK)"},
    {"memory", "madvise(DOFORK)"},
    {"memory", "mprotect"},
    {"process", "thread"},
    {"process", "fork"},
    {"process", "exec"},
    {"process", "kill -9"},
    {"process", "exit"},
    {"process", "drop CAP_IPC_LOCK"},
    {"churn", "create device"},
    {"churn", "destroy device"},
    {"churn", "create mdev"},
    {"churn", "remove mdev"},
    {"churn", "create engine"},
    {"churn", "remove engine"},
    {"churn", "unbind engine's parent"},
    {"churn", "bind engine's parent"},
    {"churn", "unload engine's driver"},
    {"churn", "load engine's driver"},
    {"churn", "unbind"},
    {"churn", "bind"},
    {"churn", "remove device"},
    {"churn", "rescan"},
    {"churn", "module parameter"},
    {"churn", "mock interrupt remapping"},
};
constexpr size_t kNumOps = std::size(kOps);
static_assert(kNumOps <= kMaxOps);

thread_local uint64_t began_us;

uint64_t all_tried() {
  uint64_t all = 0;
  for (size_t i = 0; i < kNumOps; i++) all += shared->counts[i].tried;
  return all;
}

}  // namespace

void start_clock() { began_us = now_us(); }

void count(const char* op, bool succeeded) {
  for (size_t i = 0; i < kNumOps; i++)
    if (!strcmp(kOps[i].name, op)) {
      uint64_t now = now_us();
      shared->counts[i].us += now - began_us;
      began_us = now;
      shared->counts[i].tried++;
      if (succeeded) shared->counts[i].succeeded++;
      return;
    }
  failed("an operation that is not in the list: %s", op);
}

void print_progress(uint64_t seconds, uint64_t rounds) {
  static uint64_t seconds_before, tried_before;
  std::string areas, missing;
  uint64_t tried = all_tried(),
           passed = std::max<uint64_t>(1, seconds - seconds_before);

  for (size_t i = 0; i < kNumOps;) {
    const char* area = kOps[i].area;
    uint64_t sum = 0;
    for (; i < kNumOps && !strcmp(kOps[i].area, area); i++) {
      uint64_t n = shared->counts[i].succeeded;
      sum += n;
      if (!n)
        missing += std::string(missing.empty() ? "" : ", ") + kOps[i].name;
    }
    areas += std::string(areas.empty() ? "" : ", ") + area + " " +
             std::to_string(sum);
  }
  printf("# %" PRIu64 " s: round %" PRIu64 ", %" PRIu64
         " operations/s; succeeded: %s%s%s\n",
         seconds, rounds, (tried - tried_before) / passed, areas.c_str(),
         missing.empty() ? "" : "; not yet: ", missing.c_str());
  fflush(stdout);
  seconds_before = seconds;
  tried_before = tried;
}

uint64_t print_table(bool each_must_succeed) {
  printf("# %-28s %10s %10s %10s\n", "kind", "tried", "succeeded", "ms each");
  for (size_t i = 0; i < kNumOps; i++) {
    const Count& c = shared->counts[i];
    uint64_t tried = c.tried, us = tried ? c.us / tried : 0;
    printf("# %-28s %10" PRIu64 " %10" PRIu64 " %6" PRIu64 ".%03" PRIu64 "\n",
           kOps[i].name, tried, c.succeeded.load(), us / 1000, us % 1000);
  }
  for (size_t i = 0; i < kNumOps && each_must_succeed; i++)
    if (!shared->counts[i].succeeded)
      failed("%s never succeeded", kOps[i].name);
  return all_tried();
}

}  // namespace soak
