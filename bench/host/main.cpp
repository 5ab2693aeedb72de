// SPDX-License-Identifier: GPL-2.0
//
// How the core's structures behave as they grow: wall time of one operation, and the bytes that
// one entry takes. Absolute times are this machine's; what counts is how they grow.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "allocation.hpp"
#include "dma/dirty_bitmap.hpp"
#include "dma/iova_space.hpp"
#include "dma/pin_runs.hpp"
#include "pins.hpp"
#include "vocab/range_tree.hpp"

namespace {

using benchmark::State;
using vfio::DirtyBitmap;
using vfio::Iova;
using vfio::IovaRange;
using vfio::IovaSpace;
using vfio::PinRun;
using vfio::PinRuns;
using vfio::RangeTree;

constexpr u64 kPage = vfio::kPageSize;

// Always the same order. The last one is kept: the library calls a benchmark several times.
const std::vector<u64>& shuffled(u64 count) {
  static std::vector<u64> order;
  if (order.size() == count) return order;
  order.resize(count);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(4));
  return order;
}

void must(vfio::Result<void> result) {
  if (!result.ok()) abort();
}

double bytes_each(u64 bytes, u64 entries) {
  return static_cast<double>(bytes) / static_cast<double>(entries);
}

// ---- RangeTree: the dma ranges of a container ----

struct Entry : vfio::RangeNode<Entry> {
  u64 page = 0;

  IovaRange range() const { return {{page * kPage}, {page * kPage + kPage - 1}}; }
};

// A tree of pages with holes between, inserted in random order.
struct Tree {
  explicit Tree(u64 count) : entries(std::make_unique<Entry[]>(count)), count(count) {
    for (u64 i = 0; i < count; i++) entries[i].page = 2 * i;
  }

  void fill(const std::vector<u64>& order) {
    for (u64 i : order)
      if (!tree.insert(entries[i])) abort();
  }

  void empty(const std::vector<u64>& order) {
    for (u64 i : order) tree.erase(entries[i]);
    if (!tree.empty()) abort();
  }

  std::unique_ptr<Entry[]> entries;
  u64 count;
  RangeTree<Entry> tree;
};

// Filled, and kept as the order is.
Tree& filled_tree(u64 count) {
  static std::unique_ptr<Tree> tree;
  if (!tree || tree->count != count) {
    tree = std::make_unique<Tree>(count);
    tree->fill(shuffled(count));
  }
  return *tree;
}

void range_tree_insert_erase(State& state) {
  const u64 count = static_cast<u64>(state.range(0));
  const std::vector<u64>& order = shuffled(count);
  Tree tree(count);
  for (auto _ : state) {
    tree.fill(order);
    tree.empty(order);
  }
  state.SetItemsProcessed(static_cast<int64_t>(count) * state.iterations());
  state.counters["bytes"] = sizeof(vfio::RangeNode<Entry>);
}

void range_tree_find(State& state) {
  const u64 count = static_cast<u64>(state.range(0));
  const std::vector<u64>& order = shuffled(count);
  const Tree& tree = filled_tree(count);
  u64 at = 0;
  for (auto _ : state) {
    const Entry& wanted = tree.entries[order[at]];
    if (tree.tree.find({wanted.page * kPage + 7}) != &wanted) abort();
    if (++at == count) at = 0;
  }
  state.SetItemsProcessed(state.iterations());
}

void range_tree_walk(State& state) {
  const u64 count = static_cast<u64>(state.range(0));
  const Tree& tree = filled_tree(count);
  for (auto _ : state) {
    u64 seen = 0;
    for (Entry& entry : tree.tree) seen += entry.page & 1 ? 0 : 1;
    if (seen != count) abort();
  }
  state.SetItemsProcessed(static_cast<int64_t>(count) * state.iterations());
}

// ---- PinRuns: what is pinned behind one dma range ----

// gap 2: no two pages are adjacent, the worst case; gap 1: all are one run.
void append(PinRuns& runs, u64 count, u64 gap) {
  for (u64 i = 0; i < count; i++)
    must(runs.append(PinRun({0x100000 + i * gap}, 1, vfio::PinKind::kCounted)));
}

void pin_runs_append(State& state, u64 gap) {
  const u64 count = static_cast<u64>(state.range(0));
  u64 bytes = 0;
  for (auto _ : state) {
    const u64 before = bench_host::bytes_held();
    PinRuns runs;
    append(runs, count, gap);
    bytes = bench_host::bytes_held() - before + sizeof(runs);
  }
  state.SetItemsProcessed(static_cast<int64_t>(count) * state.iterations());
  state.counters["bytes"] = bytes_each(bytes, count);
}

void pin_runs_each(State& state) {
  const u64 count = static_cast<u64>(state.range(0));
  PinRuns runs;
  append(runs, count, 2);
  for (auto _ : state) {
    u64 npages = 0;
    runs.each([&](const PinRun& run) { npages += run.npages(); });
    if (npages != count) abort();
  }
  state.SetItemsProcessed(static_cast<int64_t>(count) * state.iterations());
}

// The record of a container of 1 TiB: a run for each piece of npages that is contiguous.
void pin_runs_terabyte(State& state, u64 npages) {
  constexpr u64 kPages = (u64{1} << 40) / kPage;
  u64 bytes = 0;
  for (auto _ : state) {
    const u64 before = bench_host::bytes_held();
    PinRuns runs;
    for (u64 at = 0; at < kPages; at += npages)
      must(runs.append(PinRun({0x100000 + 2 * at}, npages, vfio::PinKind::kCounted)));
    bytes = bench_host::bytes_held() - before + sizeof(runs);
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}

// ---- DirtyBitmap: a bit a page ----

void dirty_bitmap_set(State& state) {
  const u64 count = static_cast<u64>(state.range(0));
  const std::vector<u64>& order = shuffled(count);
  const u64 before = bench_host::bytes_held();
  DirtyBitmap bitmap;
  must(bitmap.reserve(count));
  const u64 bytes = bench_host::bytes_held() - before;
  u64 at = 0;
  for (auto _ : state) {
    bitmap.set(order[at], 1);
    if (++at == count) at = 0;
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["bytes"] = bytes_each(bytes, count);
}

// A bitmap that is made and filled.
void dirty_bitmap_fill(State& state) {
  const u64 count = static_cast<u64>(state.range(0));
  for (auto _ : state) {
    DirtyBitmap bitmap;
    must(bitmap.reserve(count));
    bitmap.set(0, count);
    benchmark::DoNotOptimize(bitmap.empty());
  }
  state.SetItemsProcessed(static_cast<int64_t>(count) * state.iterations());
}

void dirty_bitmap_scan(State& state) {
  const u64 count = static_cast<u64>(state.range(0));
  DirtyBitmap bitmap;
  must(bitmap.reserve(count));
  bitmap.set(0, count);
  for (auto _ : state) {
    u64 dirty = 0;
    for (u64 first = 0; first < count; first += 4096) {
      u64 words[64] = {};
      bitmap.collect(first, count - first < 4096 ? count - first : 4096, words, 0);
      for (const u64 word : words) dirty += static_cast<u64>(__builtin_popcountll(word));
    }
    if (dirty != count) abort();
  }
  state.SetItemsProcessed(static_cast<int64_t>(count) * state.iterations());
}

// ---- IovaSpace: windows between reserved regions ----

// A list: a machine has a handful of regions, so only small counts are of interest.
void iova_space_exclude(State& state) {
  const u64 count = static_cast<u64>(state.range(0));
  const std::vector<u64>& order = shuffled(count);
  u64 bytes = 0;
  for (auto _ : state) {
    const u64 before = bench_host::bytes_held();
    IovaSpace space;
    must(space.restrict_to({{0}, {(2 * count + 1) * kPage - 1}}));
    for (u64 i : order) must(space.exclude({{(2 * i + 1) * kPage}, {(2 * i + 2) * kPage - 1}}));
    if (space.count() != count + 1) abort();
    bytes = bench_host::bytes_held() - before;
  }
  state.SetItemsProcessed(static_cast<int64_t>(count) * state.iterations());
  state.counters["bytes"] = bytes_each(bytes, count);
}

void iova_space_valid(State& state) {
  const u64 count = static_cast<u64>(state.range(0));
  IovaSpace space;
  must(space.restrict_to({{0}, {(2 * count + 1) * kPage - 1}}));
  for (u64 i = 0; i < count; i++)
    must(space.exclude({{(2 * i + 1) * kPage}, {(2 * i + 2) * kPage - 1}}));
  const std::vector<u64>& order = shuffled(count);
  u64 at = 0;
  for (auto _ : state) {
    if (!space.valid({{2 * order[at] * kPage}, {(2 * order[at] + 1) * kPage - 1}})) abort();
    if (++at == count) at = 0;
  }
  state.SetItemsProcessed(state.iterations());
}

void add(const char* name, void (*run)(State&), int64_t largest) {
  auto* added = benchmark::RegisterBenchmark(name, run)->Unit(benchmark::kNanosecond);
  for (int64_t entries = 100; entries <= largest; entries *= 10) added->Arg(entries);
}

}  // namespace

int main(int argc, char** argv) {
  const char* wanted = std::getenv("BENCH_LARGEST");
  const int64_t largest = wanted ? std::atoll(wanted) : 10'000'000;
  constexpr int64_t kLargestList = 1000;

  add("RangeTree/insert_erase", range_tree_insert_erase, largest);
  add("RangeTree/find", range_tree_find, largest);
  add("RangeTree/walk", range_tree_walk, largest);
  add(
      "PinRuns/append_scattered", [](State& s) { pin_runs_append(s, 2); }, largest);
  add(
      "PinRuns/append_contiguous", [](State& s) { pin_runs_append(s, 1); }, largest);
  add("PinRuns/each", pin_runs_each, largest);
  for (const auto& [name, npages] :
       {std::pair{"1TiB/hugetlb_1G", u64{1} << 18}, std::pair{"1TiB/THP", u64{1} << 9},
        std::pair{"1TiB/scattered", u64{1}}})
    benchmark::RegisterBenchmark((std::string("PinRuns/") + name).c_str(),
                                 [npages = npages](State& s) { pin_runs_terabyte(s, npages); })
        ->Unit(benchmark::kMillisecond)
        ->Iterations(1);
  add("DirtyBitmap/set", dirty_bitmap_set, largest);
  add("DirtyBitmap/fill", dirty_bitmap_fill, largest);
  add("DirtyBitmap/scan", dirty_bitmap_scan, largest);
  add("IovaSpace/exclude", iova_space_exclude, kLargestList);
  add("IovaSpace/valid", iova_space_valid, kLargestList);
  bench_host::add_pins(largest);

  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
