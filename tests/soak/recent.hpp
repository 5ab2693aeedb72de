// SPDX-License-Identifier: GPL-2.0
//
// What a process has mapped or pinned last, so that it can hit that again.
// Threads race for the entries on purpose: one that is half of another thread's
// is a bad guess and no more.
#ifndef RECENT_HPP
#define RECENT_HPP

#include <atomic>
#include <cstdint>

#include "soak.hpp"

namespace soak {

class Recent {
 public:
  // fd is the container's or the device's; size 0: nothing.
  struct Entry {
    int fd;
    uint64_t iova, size, uva;
  };

  void add(const Entry& e) {
    Slot& slot = slots_[next_++ % kSlots];
    slot.fd = e.fd;
    slot.iova = e.iova;
    slot.size = e.size;
    slot.uva = e.uva;
  }

  // One of that file, if there is one.
  Entry pick(int fd, Random& random) {
    uint64_t first = random.below(kSlots);
    for (uint64_t i = 0; i < kSlots; i++) {
      const Slot& slot = slots_[(first + i) % kSlots];
      if (slot.size && slot.fd == fd)
        return {slot.fd, slot.iova, slot.size, slot.uva};
    }
    return {fd, 0, 0, 0};
  }

  void forget(const Entry& e) {
    for (Slot& slot : slots_)
      if (slot.fd == e.fd && slot.iova == e.iova) slot.size = 0;
  }

 private:
  static constexpr unsigned kSlots = 48;
  struct Slot {
    std::atomic<int> fd;
    std::atomic<uint64_t> iova, size, uva;
  };

  std::atomic<unsigned> next_;
  Slot slots_[kSlots];
};

// Of containers, and of emulated devices.
extern Recent mappings, pins;

}  // namespace soak

#endif
