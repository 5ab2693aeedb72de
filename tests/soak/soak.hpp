// SPDX-License-Identifier: GPL-2.0
//
// The soak program: processes and threads that do random things to VFIO.
//
//   supervisor   one; starts the others, checks what must hold at the end
//   churn        one; makes and removes devices, binds and unbinds, sets module
//                parameters. It never holds a VFIO file: who waits for a device
//                to be let go must not be the one that holds it
//   schedulers   one at a time, which is often killed; switches PCI devices on
//                and off
//   host         one at a time, for some seconds; forks, kills and reaps
//                workers, runs threads beside them, and at last checks itself
//   worker       forked off a host or another worker, with its files and memory
//
// All share some pages, `Shared`; every choice comes from the seed, only
// the interleaving does not.
#ifndef SOAK_HPP
#define SOAK_HPP

#include <atomic>
#include <cstdint>
#include <string>

#include "../../kunit/mock_iommu/vfio_mock.h"
#include "counts.hpp"

namespace soak {

constexpr uint64_t kPage = 4096;
constexpr int kSharedFd = 100;
constexpr int kMaxOps = 128;
constexpr int kMaxDevices = 20;
constexpr int kMaxWorkers = 4;
// Of the memory that guests have in common.
constexpr uint64_t kGuestSize = 72 << 10;
// The first targets.
constexpr int kMocks = VFIO_MOCK_IOMMUS * VFIO_MOCK_DEVICES;

// Of one kind of operation.
struct Count {
  std::atomic<uint64_t> tried, succeeded, us;
};

// A device that groups and devices are opened of; gone while group is < 0.
struct Target {
  std::atomic<int> group;
  std::atomic<int> id;  // of a testdev
  char name[40];
};

struct Shared {
  uint64_t seed;
  uint64_t deadline_ms;  // CLOCK_MONOTONIC
  std::atomic<uint64_t> next_stream;
  std::atomic<bool> stop_round, stop_all;
  std::atomic<int> failures;
  // What is to go away: whoever has it open should close it. -1: none.
  std::atomic<int> wanted;
  std::atomic<int> workers[kMaxWorkers];  // pid, 0: free, -1: being forked
  int ntargets, first_testdev, first_mdev, first_copy;
  Target targets[kMaxDevices];
  Count counts[kMaxOps];
  // nested.cpp
  alignas(kPage) uint8_t guest[kGuestSize];
};

extern Shared* shared;

// A stream of numbers of its own for each thread.
class Random {
 public:
  explicit Random(uint64_t stream);
  uint64_t next();
  uint64_t below(uint64_t n) { return next() % n; }
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

uint64_t now_us();
inline uint64_t now_ms() { return now_us() / 1000; }
void failed(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string read_text(const std::string& path);
bool write_text(const std::string& path, const std::string& text);
uint64_t locked_kib();

// host.cpp
[[noreturn]] void run_host();
[[noreturn]] void run_worker(uint64_t lifetime_ms);
// churn.cpp
void make_targets();
void remove_emulated();
[[noreturn]] void run_churn();
// gate.cpp
[[noreturn]] void run_schedulers();

}  // namespace soak

#endif
