// SPDX-License-Identifier: GPL-2.0
//
// Counting the guest's instructions, and what else a row of the benchmark reports.
//
// QEMU runs with -icount shift=0: virtual time moves one nanosecond an instruction, and the time
// stamp counter is virtual time. So the difference of two readings is the number of instructions
// between them, interrupts included; the median of several windows leaves those out.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bench {

inline std::uint64_t instructions() {
  std::uint32_t low, high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
  return std::uint64_t{high} << 32 | low;
}

// Two no-operations that nothing else executes: the profiler (plugin/profile.c) starts and stops
// counting where it sees them. The displacements are arbitrary but shared with it.
inline void mark_begin() { asm volatile("nopl 0x76667831(%%rax)" ::: "memory"); }
inline void mark_end() { asm volatile("nopl 0x76667832(%%rax)" ::: "memory"); }

// Collects the samples of all rows. A row is named by a key, e.g. "map-page".
class Meter {
 public:
  // Only windows of `profiled` carry the profiler's marks; empty: none.
  explicit Meter(std::string profiled);

  // Counts the instructions of call(); a sample is their number divided by `operations`. `less` is
  // how many of them are none of the row's.
  template <typename Call>
  void measure(const std::string& key, std::uint64_t operations, Call&& call,
               std::uint64_t less = 0) {
    const bool marked = key == profiled_;
    if (marked) mark_begin();
    const std::uint64_t begin = instructions();
    call();
    const std::uint64_t end = instructions();
    if (marked) {
      mark_end();
      profiled_operations_ += operations;
    }
    add(key, static_cast<double>(end - begin - overhead_ - less) / static_cast<double>(operations));
  }

  // Shows the profiler what belongs to a row whose samples are taken elsewhere.
  template <typename Call>
  void mark(const std::string& key, std::uint64_t operations, Call&& call) {
    const bool marked = key == profiled_;
    if (marked) mark_begin();
    call();
    if (marked) {
      mark_end();
      profiled_operations_ += operations;
    }
  }

  // A sample that is no number of instructions: bytes, flushes.
  void add(const std::string& key, double value);

  // Prints "row KEY MEDIAN LEAST GREATEST SAMPLES" for each key, in the order of their coming, and
  // forgets them; and "profiled KEY OPERATIONS" if that key is among them.
  void print();

  // Counts a loop of known length; throws if virtual time is not one unit an instruction.
  void check_calibration() const;

 private:
  std::string profiled_;
  std::uint64_t profiled_operations_ = 0;
  std::uint64_t overhead_ = 0;
  std::vector<std::string> order_;
  std::map<std::string, std::vector<double>> samples_;
};

}  // namespace bench
