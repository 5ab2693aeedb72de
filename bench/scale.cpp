// SPDX-License-Identifier: GPL-2.0
//
// Do two threads map disjoint ranges of one container faster than one maps both? And two
// threads of the kernel one range (pin_workers, which the stock module has not)? Here time
// counts, the guest's clock being the host's: the least of several runs, since whatever else
// runs on the machine only adds to it.
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <thread>

#include "container.hpp"
#include "memory.hpp"
#include "pin_device.hpp"
#include "rows.hpp"

namespace bench {
namespace {

constexpr std::uint64_t kSize = 1 << 30;
// Above the interrupt window of x86, so that both ranges are free.
constexpr std::uint64_t kFirstIova = std::uint64_t{4} << 30;

double seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

template <typename Call>
double time_of(Call&& call) {
  const double begin = seconds();
  call();
  return seconds() - begin;
}

// Both wait for each other before call(0) and call(1), so that no start-up is counted.
template <typename Call>
double time_of_two(Call&& call) {
  std::atomic<int> ready = 0;
  double ends[2], begins[2];
  const auto body = [&](int thread) {
    ready++;
    while (ready < 2) {
    }
    begins[thread] = seconds();
    call(thread);
    ends[thread] = seconds();
  };
  std::thread other(body, 1);
  body(0);
  other.join();
  return std::max(ends[0], ends[1]) - std::min(begins[0], begins[1]);
}

void set_workers(int n) {
  if (std::FILE* file = std::fopen("/sys/module/vfio_iommu_type1/parameters/pin_workers", "w")) {
    std::fprintf(file, "%d", n);
    std::fclose(file);
  }
}

struct Best {
  double one = std::numeric_limits<double>::infinity();
  double two = one;
};

void measure(const char* name, Layout layout, int runs) {
  Container container;
  const Memory memory(layout, 2 * kSize);
  Best map, unmap, workers;
  const auto map_half = [&](int half) {
    container.map(kFirstIova + half * kSize, memory.address() + half * kSize, kSize);
  };
  const auto unmap_half = [&](int half) {
    container.unmap(kFirstIova + half * kSize, kSize, kSize);
  };
  set_workers(1);
  for (int i = 0; i < runs; i++) {
    map.one = std::min(map.one, time_of([&] { map_half(0), map_half(1); }));
    unmap.one = std::min(unmap.one, time_of([&] { unmap_half(0), unmap_half(1); }));
    map.two = std::min(map.two, time_of_two(map_half));
    unmap.two = std::min(unmap.two, time_of_two(unmap_half));
  }
  const auto map_whole = [&](int threads) {
    set_workers(threads);
    const double time = time_of([&] { container.map(kFirstIova, memory.address(), 2 * kSize); });
    container.unmap(kFirstIova, 2 * kSize, 2 * kSize);
    return time;
  };
  for (int i = 0; i < runs; i++) {
    workers.one = std::min(workers.one, map_whole(1));
    workers.two = std::min(workers.two, map_whole(2));
  }
  std::printf("scale workers-%s %.6f %.6f\n", name, workers.one, workers.two);
  std::printf("scale map-%s %.6f %.6f\n", name, map.one, map.two);
  std::printf("scale unmap-%s %.6f %.6f\n", name, unmap.one, unmap.two);
  std::fflush(stdout);
}

// Pins of pages that lie anywhere, by a device behind an emulated IOMMU.
void measure_pins(const char* name, std::uint32_t per_call, int runs) {
  constexpr std::uint64_t kPinned = std::uint64_t{256} << 20;
  constexpr std::uint64_t kPages = kPinned / kPage;
  PinDevice device;
  const Memory memory(Layout::kScattered, 2 * kPinned);
  Best pin, unpin;
  const auto pin_half = [&](int half) {
    device.pin(kFirstIova + half * kPinned, kPages, per_call);
  };
  const auto unpin_half = [&](int half) {
    device.unpin(kFirstIova + half * kPinned, kPages, per_call);
  };
  // A mapping for each thread.
  for (int half = 0; half < 2; half++)
    device.container().map(kFirstIova + half * kPinned, memory.address() + half * kPinned, kPinned);
  for (int i = 0; i < runs; i++) {
    pin.one = std::min(pin.one, time_of([&] { pin_half(0), pin_half(1); }));
    unpin.one = std::min(unpin.one, time_of([&] { unpin_half(0), unpin_half(1); }));
    pin.two = std::min(pin.two, time_of_two(pin_half));
    unpin.two = std::min(unpin.two, time_of_two(unpin_half));
  }
  std::printf("scale pin-%s %.6f %.6f\n", name, pin.one, pin.two);
  std::printf("scale unpin-%s %.6f %.6f\n", name, unpin.one, unpin.two);
  std::fflush(stdout);
}

}  // namespace

void run_scale() {
  if (std::thread::hardware_concurrency() < 2) throw std::runtime_error("two CPUs are needed");
  measure("thp", Layout::kThp, 7);
  measure("scattered", Layout::kScattered, 3);
  measure_pins("scattered", 512, 5);
  measure_pins("single", 1, 5);
}

}  // namespace bench
