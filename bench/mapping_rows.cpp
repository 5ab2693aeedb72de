// SPDX-License-Identifier: GPL-2.0
#include "mapping_rows.hpp"

#include <cstdlib>
#include <numeric>
#include <random>
#include <string>

#include "container.hpp"
#include "flushes.hpp"
#include "ioas.hpp"

namespace bench {

std::vector<std::size_t> in_order() {
  std::vector<std::size_t> order(kMany);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

std::vector<std::size_t> shuffled() {
  std::vector<std::size_t> order = in_order();
  std::mt19937 random(1);
  for (std::size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random() % i]);
  return order;
}

namespace {

template <typename Space>
void run_calls(Meter& meter) {
  Space space;
  const Memory memory(Layout::kScattered, 64 * kPage);
  for (int i = 0; i < kCalls; i++) {
    meter.measure("map-page", 1, [&] { space.map(kIova, memory.address(), kPage); });
    meter.measure("unmap-page", 1, [&] { space.unmap(kIova, kPage, kPage); });
  }
}

template <typename Space>
void run_range(Meter& meter, const std::string& name, Layout layout, std::size_t size) {
  Space space;
  const Memory memory(layout, size);
  const std::size_t npages = size / kPage;
  for (int i = 0; i < kRuns; i++) {
    meter.measure("map-" + name, npages, [&] { space.map(kIova, memory.address(), size); });
    meter.measure("unmap-" + name, npages, [&] { space.unmap(kIova, size, size); });
  }
}

// Whether tools/bench --ats made this machine.
bool ats_machine() { return std::getenv("BENCH_ATS_DEVICE") != nullptr; }

// Where no device has a TLB of its own, there is no row of it.
void add_flushes(Meter& meter, const std::string& name, const Flushes::Counts& counts) {
  meter.add("flushes-" + name, static_cast<double>(counts.iotlb));
  if (ats_machine()) meter.add("device-flushes-" + name, static_cast<double>(counts.device_tlb));
}

// Many mappings, then one ioctl that unmaps them all.
template <typename Space>
void run_many(Meter& meter, const std::string& name, std::uint64_t stride) {
  Space space;
  const Memory memory(Layout::kScattered, kMany * kPage);
  const std::vector<std::size_t> order = in_order();
  for (int i = 0; i < 3; i++) {
    map_pages(space, memory, stride, order);
    meter.measure("unmap-" + name + "-range", kMany,
                  [&] { space.unmap(kIova, kMany * stride, memory.size()); });
    map_pages(space, memory, stride, order);
    meter.measure("unmap-" + name + "-all", kMany, [&] { space.unmap_all(memory.size()); });
  }
  if (!Flushes::can_count()) return;
  // Apart from the figures above, which tracing would make larger.
  map_pages(space, memory, stride, order);
  add_flushes(meter, name + "-range",
              Flushes::count([&] { space.unmap(kIova, kMany * stride, memory.size()); }));
  map_pages(space, memory, stride, order);
  add_flushes(meter, name + "-all", Flushes::count([&] { space.unmap_all(memory.size()); }));
}

template <typename Space>
void run_random(Meter& meter) {
  const Memory memory(Layout::kScattered, kMany * kPage);
  const std::vector<std::size_t> order = shuffled();
  for (int i = 0; i < 3; i++) {
    Space space;
    meter.measure("map-random", kMany, [&] { map_pages(space, memory, kPage, order); });
  }
}

}  // namespace

template <typename Space>
std::vector<Group> mapping_groups() {
  return {
      {"calls", {"map-page", "unmap-page"}, run_calls<Space>},
      {"contiguous",
       {"map-contiguous", "unmap-contiguous"},
       [](Meter& m) { run_range<Space>(m, "contiguous", Layout::kContiguous, 64 * kMiB); }},
      {"scattered",
       {"map-scattered", "unmap-scattered"},
       [](Meter& m) { run_range<Space>(m, "scattered", Layout::kScattered, 64 * kMiB); }},
      {"thp-64m",
       {"map-thp-64m", "unmap-thp-64m"},
       [](Meter& m) { run_range<Space>(m, "thp-64m", Layout::kThp, 64 * kMiB); }},
      {"thp-512m",
       {"map-thp-512m", "unmap-thp-512m"},
       [](Meter& m) { run_range<Space>(m, "thp-512m", Layout::kThp, 512 * kMiB); }},
      {"hugetlb-64m",
       {"map-hugetlb-64m", "unmap-hugetlb-64m"},
       [](Meter& m) { run_range<Space>(m, "hugetlb-64m", Layout::kHugetlb, 64 * kMiB); }},
      {"hugetlb-512m",
       {"map-hugetlb-512m", "unmap-hugetlb-512m"},
       [](Meter& m) { run_range<Space>(m, "hugetlb-512m", Layout::kHugetlb, 512 * kMiB); }},
      {"adjacent",
       {"unmap-adjacent-range", "unmap-adjacent-all", "flushes-adjacent-range",
        "flushes-adjacent-all", "device-flushes-adjacent-range", "device-flushes-adjacent-all"},
       [](Meter& m) { run_many<Space>(m, "adjacent", kPage); }},
      {"holes",
       {"unmap-holes-range", "unmap-holes-all", "flushes-holes-range", "flushes-holes-all",
        "device-flushes-holes-range", "device-flushes-holes-all"},
       [](Meter& m) { run_many<Space>(m, "holes", 2 * kPage); }},
      {"random", {"map-random"}, run_random<Space>},
  };
}

template std::vector<Group> mapping_groups<Container>();
template std::vector<Group> mapping_groups<Ioas>();

}  // namespace bench
