// SPDX-License-Identifier: GPL-2.0
//
// The open files of a process and the memory that it maps for DMA. Threads
// share both; whoever takes a file out of its slot closes it, the others may
// still use its number, on purpose.
#ifndef FILES_HPP
#define FILES_HPP

#include <string>

#include "soak.hpp"

namespace soak {

// Emulated devices, which pin, apart from those behind an IOMMU.
enum Kind { kContainer, kGroup, kDevice, kEmulated, kKinds };
constexpr int kSlots[kKinds] = {4, 6, 5, 6};
constexpr int kMaxSlots = 6;

// What a file is of: a target's number for a group or device, and for a device
// the container that its group was in. -1: not known.
struct Tag {
  int target = -1, container = -1;
};

class Files {
 public:
  Files();
  // -1 if it finds none.
  int any(Kind kind, Random& random) const;
  // The first container is the one that emulated devices are put into: one
  // that has them cannot have its addresses updated.
  int container(bool emulated, Random& random) const;
  Tag tag(int fd) const;
  // Closes what was in the slot before.
  void put(Kind kind, int fd, Tag tag, Random& random);
  bool close_one(Kind kind, Random& random);
  // What is open of a device that is to go.
  void let_go(int target);
  // In the order of the bits of `order`.
  void close_all(Random& random);
  // For a program that is executed: "kind:fd:target:container,..."
  std::string text() const;
  void parse(const char* text);

 private:
  static constexpr int kMaxFds = 256;

  void set_tag(int fd, Tag tag);

  std::atomic<int> fds_[kKinds][kMaxSlots];
  // By number.
  struct {
    std::atomic<int> target, container;
  } tags_[kMaxFds];
};

// Two halves: private memory, then a memfd's. Addresses never change, what is
// there does.
class Arena {
 public:
  static constexpr uint64_t kHalf = 8 << 20;

  bool create();
  uint8_t* base() const { return base_; }
  // 4 KiB to some 2 MiB of it.
  struct Piece {
    uint8_t* uva;
    uint64_t size;
  };
  Piece piece(Random& random, bool memfd) const;
  // What userspace does to memory that may be mapped for DMA.
  void disturb(Random& random);
  void touch(Random& random);

 private:
  void refill(uint8_t* uva, uint64_t size, Random& random);

  uint8_t* base_ = nullptr;
  int memfd_ = -1;
  int zero_ = -1;
};

extern Files files;
extern Arena arena;

// Of a mapping.
uint64_t pick_size(Random& random);
// A container with a few groups, to begin with.
void open_session(Random& random);
// One random operation.
void operate(Random& random);
// Nobody else is at work: mock devices read what they reach.
void read_through_mocks();

}  // namespace soak

#endif
