// SPDX-License-Identifier: GPL-2.0
#include "files.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "recent.hpp"

namespace soak {

Files files;
Arena arena;
Recent mappings, pins;

// Mostly small: a page costs a debug kernel in emulation some 50 us.
uint64_t pick_size(Random& random) {
  uint64_t size = kPage << random.below(random.one_in(10) ? 10 : 4);
  if (random.one_in(4)) size += kPage * random.below(8);
  return size;
}

Files::Files() {
  for (auto& kind : fds_)
    for (auto& fd : kind) fd = -1;
  for (int fd = 0; fd < kMaxFds; fd++) set_tag(fd, {});
}

Tag Files::tag(int fd) const {
  if (fd < 0 || fd >= kMaxFds) return {};
  return {tags_[fd].target, tags_[fd].container};
}

void Files::set_tag(int fd, Tag tag) {
  if (fd < 0 || fd >= kMaxFds) return;
  tags_[fd].target = tag.target;
  tags_[fd].container = tag.container;
}

int Files::any(Kind kind, Random& random) const {
  // More happens in the container that has emulated devices too.
  if (int fd = fds_[kind][0]; kind == kContainer && fd >= 0 && random.one_in(4))
    return fd;
  // Often one that is open.
  for (int tries = 0; tries < 4; tries++) {
    int fd = fds_[kind][random.below(kSlots[kind])];
    if (fd >= 0) return fd;
  }
  return -1;
}

int Files::container(bool emulated, Random& random) const {
  if (random.one_in(12)) return any(kContainer, random);
  uint64_t others = kSlots[kContainer] - 1;
  return fds_[kContainer][emulated ? 0 : 1 + random.below(others)];
}

void Files::put(Kind kind, int fd, Tag tag, Random& random) {
  set_tag(fd, tag);
  // Where nothing is, if it finds that.
  int slot = 0;
  for (int tries = 0; tries < 3; tries++) {
    slot = static_cast<int>(random.below(kSlots[kind]));
    if (fds_[kind][slot] < 0) break;
  }
  int before = fds_[kind][slot].exchange(fd);
  if (before >= 0) close(before);
}

void Files::let_go(int target) {
  for (Kind kind : {kDevice, kEmulated})
    for (auto& slot : fds_[kind]) {
      int fd = slot;
      if (fd >= 0 && tag(fd).target == target &&
          slot.compare_exchange_strong(fd, -1))
        count("close device", !close(fd));
    }
}

bool Files::close_one(Kind kind, Random& random) {
  int fd = fds_[kind][random.below(kSlots[kind])].exchange(-1);
  return fd >= 0 && !close(fd);
}

void Files::close_all(Random& random) {
  constexpr int kAll = kKinds * kMaxSlots;
  int order[kAll];
  for (int i = 0; i < kAll; i++) order[i] = i;
  for (int i = kAll; i > 1; i--)
    std::swap(order[i - 1], order[random.below(i)]);
  for (int i : order) {
    int fd = fds_[i / kMaxSlots][i % kMaxSlots].exchange(-1);
    if (fd >= 0) close(fd);
  }
  count("close all", true);
}

std::string Files::text() const {
  std::string out;
  for (int kind = 0; kind < kKinds; kind++)
    for (int slot = 0; slot < kSlots[kind]; slot++)
      if (int fd = fds_[kind][slot]; fd >= 0)
        out += std::to_string(kind) + ":" + std::to_string(fd) + ":" +
               std::to_string(tag(fd).target) + ":" +
               std::to_string(tag(fd).container) + ",";
  return out;
}

void Files::parse(const char* text) {
  int used[kKinds] = {};
  while (*text) {
    long number[4];  // in the order of text()
    for (long& n : number) {
      char* end;
      n = strtol(text, &end, 10);
      text = end + 1;
    }
    long kind = number[0];
    int fd = static_cast<int>(number[1]);
    set_tag(fd, {static_cast<int>(number[2]), static_cast<int>(number[3])});
    if (kind < kKinds && used[kind] < kSlots[kind])
      fds_[kind][used[kind]++] = fd;
  }
}

bool Arena::create() {
  memfd_ = memfd_create("arena", MFD_CLOEXEC);
  zero_ = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  // Aligned, so that there is room for huge pages.
  void* p =
      mmap(nullptr, 3 * kHalf, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memfd_ < 0 || zero_ < 0 || p == MAP_FAILED || ftruncate(memfd_, kHalf))
    return false;
  uintptr_t at = (reinterpret_cast<uintptr_t>(p) + kHalf - 1) & ~(kHalf - 1);
  base_ = reinterpret_cast<uint8_t*>(at);
  return mmap(base_, kHalf, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED &&
         mmap(base_ + kHalf, kHalf, PROT_READ | PROT_WRITE,
              MAP_SHARED | MAP_FIXED, memfd_, 0) != MAP_FAILED;
}

void Arena::refill(uint8_t* uva, uint64_t size, Random& random) {
  if (uva >= base_ + kHalf) {
    mmap(uva, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd_,
         uva - (base_ + kHalf));
    return;
  }
  int prot = random.one_in(12) ? PROT_READ : PROT_READ | PROT_WRITE;
  mmap(uva, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (random.one_in(2)) madvise(uva, size, MADV_HUGEPAGE);
}

Arena::Piece Arena::piece(Random& random, bool memfd) const {
  uint64_t size = std::min(pick_size(random), kHalf);
  uint64_t offset = random.below((kHalf - size) / kPage + 1) * kPage;
  // A huge page is only found at its boundary.
  if (random.one_in(2)) offset &= ~((2ull << 20) - 1);
  return {base_ + (memfd ? kHalf : 0) + offset, size};
}

void Arena::touch(Random& random) {
  // The kernel writes: what is not there is an error and no signal.
  Piece p = piece(random, random.one_in(2));
  ssize_t n = read(zero_, p.uva, p.size);
  count("touch", n == static_cast<ssize_t>(p.size));
}

void Arena::disturb(Random& random) {
  Piece p = piece(random, random.one_in(2));
  switch (random.below(6)) {
    case 0:
      count("munmap", !munmap(p.uva, p.size));
      refill(p.uva, p.size, random);
      break;
    case 1: {
      Piece to = piece(random, p.uva >= base_ + kHalf);
      uint64_t size = std::min(p.size, to.size);
      void* moved =
          mremap(p.uva, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to.uva);
      count("mremap", moved != MAP_FAILED);
      if (moved != MAP_FAILED) refill(p.uva, size, random);
      break;
    }
    case 2 ... 4: {
      static constexpr struct {
        int advice;
        const char* name;
      } kAdvices[] = {{MADV_DONTNEED, "madvise(DONTNEED)"},
                      {MADV_FREE, "madvise(FREE)"},
                      {MADV_REMOVE, "madvise(REMOVE)"},
                      {MADV_HUGEPAGE, "madvise(HUGEPAGE)"},
                      {MADV_NOHUGEPAGE, "madvise(NOHUGEPAGE)"},
                      {MADV_DONTFORK, "madvise(DONTFORK)"},
                      {MADV_DOFORK, "madvise(DOFORK)"}};
      auto& a = kAdvices[random.below(std::size(kAdvices))];
      count(a.name, !madvise(p.uva, p.size, a.advice));
      break;
    }
    case 5:
      count("mprotect",
            !mprotect(p.uva, p.size,
                      random.one_in(6) ? PROT_READ : PROT_READ | PROT_WRITE));
      break;
  }
}

}  // namespace soak
