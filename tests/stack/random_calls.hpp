// SPDX-License-Identifier: GPL-2.0
//
// What the random tests share: the seeds that they run with, random choices
// that are the same for a seed on every machine, and requests for dirty
// bitmaps with guards around the bitmap.
#pragma once

#include <optional>
#include <random>

#include "harness.hpp"

namespace stack {

// Options of the test program: --random-seed=N, the first seed instead of those
// that belong to the tests; --random-seeds=N, how many from it on (one, and
// each of its steps is printed); --random-steps=N, how many steps a seed has.
struct RandomOptions {
  std::optional<uint64_t> seed;
  std::optional<uint64_t> seeds;
  std::optional<uint64_t> steps;

  bool print_steps() const { return seed && seeds.value_or(1) == 1; }
};
extern RandomOptions random_options;
// To be called before GoogleTest makes the tests of the seeds.
void read_random_options(int argc, char** argv);

// The seeds of a suite: count from 1 on, or those of the options.
std::vector<uint64_t> random_seeds(uint64_t count);

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t below(uint64_t n) { return engine_() % n; }
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

// A bitmap for npages pages of which the bits are random (or zero) and on both
// sides of which stand words that nobody may write.
class GuardedBitmap {
 public:
  // random may be nullptr: then all bits are zero.
  GuardedBitmap(uint64_t npages, Random* random);

  uint64_t npages() const { return npages_; }
  uint64_t bytes() const { return words() * 8; }
  uint64_t* data() { return memory_.data() + kGuard; }
  const uint64_t* data() const { return memory_.data() + kGuard; }
  // Whether both guards are as they were.
  bool guards_intact() const;
  // Whether a bit is set behind the last page.
  bool set_behind_end() const;

 private:
  static constexpr size_t kGuard = 8;
  uint64_t words() const { return (npages_ + 63) / 64; }
  static uint64_t guard(size_t at) { return 0x5a5a5a5a00000000 + at; }

  uint64_t npages_;
  std::vector<uint64_t> memory_;
};

// GET_BITMAP of the bitmap's pages from iova on. A test may pass a wrong page
// size, or a wrong size of the bitmap. Returns the ioctl's result.
long get_bitmap(int container, uint64_t iova, GuardedBitmap& bitmap,
                uint64_t pgsize = kPage,
                std::optional<uint64_t> bytes = std::nullopt);
// UNMAP_DMA with GET_DIRTY_BITMAP of the same pages.
Unmapped unmap_bitmap(int container, uint64_t iova, GuardedBitmap& bitmap,
                      uint64_t pgsize = kPage);

}  // namespace stack
