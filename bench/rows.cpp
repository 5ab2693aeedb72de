// SPDX-License-Identifier: GPL-2.0
#include "rows.hpp"

#include <unistd.h>

#include <algorithm>
#include <random>
#include <set>
#include <stdexcept>

#include "bar.hpp"
#include "container.hpp"
#include "flushes.hpp"
#include "gate.hpp"
#include "growth.hpp"
#include "mapping_rows.hpp"
#include "memory.hpp"
#include "merge.hpp"
#include "nested.hpp"
#include "pin_device.hpp"

namespace bench {
namespace {

// Above the interrupt window of x86, where there is room for any size.
constexpr std::uint64_t kHighIova = std::uint64_t{1} << 40;

void run_noop(Meter& meter) {
  Container container;
  for (int i = 0; i < kCalls; i++) meter.measure("noop", 1, [&] { container.noop(); });
}

// A BAR of 1 GiB, of pci-testdev, mapped in the container of its own device.
void run_bar(Meter& meter) {
  const std::string name = Container::find_device("0x0005");
  Container container(Container::group_of(name));
  const Bar bar(container.open_device(name), 2);
  const std::size_t npages = bar.size() / kPage;
  if (bar.size() != 1024 * kMiB) throw std::runtime_error("the BAR is not one of 1 GiB");
  for (int i = 0; i < 3; i++) {
    meter.measure("map-bar-1g", npages, [&] { container.map(kIova, bar.address(), bar.size()); });
    meter.measure("unmap-bar-1g", npages, [&] { container.unmap(kIova, bar.size(), bar.size()); });
  }
}

void run_dirty(Meter& meter) {
  Container container;
  const Memory memory(Layout::kScattered, kMany * kPage);
  std::vector<std::uint64_t> bitmap(kMany / 64);
  map_pages(container, memory, kPage, in_order());
  for (int i = 0; i < kRuns; i++) {
    meter.measure("dirty-start", 1, [&] { container.start_dirty(); });
    meter.measure("dirty-bitmap", 1, [&] { container.get_dirty(kIova, memory.size(), bitmap); });
    if (std::count(bitmap.begin(), bitmap.end(), ~std::uint64_t{0}) !=
        static_cast<std::ptrdiff_t>(bitmap.size()))
      throw std::runtime_error("GET_BITMAP does not report all pages dirty");
    meter.measure("dirty-stop", 1, [&] { container.stop_dirty(); });
  }
}

void run_dirty_large(Meter& meter) {
  Container container;
  const Memory memory(Layout::kThp, 512 * kMiB);
  std::vector<std::uint64_t> bitmap(memory.size() / kPage / 64);
  container.map(kIova, memory.address(), memory.size());
  container.start_dirty();
  for (int i = 0; i < kRuns; i++) {
    std::fill(bitmap.begin(), bitmap.end(), 0);
    meter.measure("bitmap-512m", 1, [&] { container.get_dirty(kIova, memory.size(), bitmap); });
    if (std::count(bitmap.begin(), bitmap.end(), ~std::uint64_t{0}) !=
        static_cast<std::ptrdiff_t>(bitmap.size()))
      throw std::runtime_error("GET_BITMAP does not report all pages dirty");
  }
}

// Calls of so many pages for all of the memory; the last window of each kind is short of what
// the first finds cold, so the median leaves that out.
void run_pins(Meter& meter, const std::string& name, Layout layout, std::uint32_t per_call) {
  PinDevice device;
  const Memory memory(layout, 64 * kMiB);
  const std::size_t npages = memory.size() / kPage;
  device.container().map(kIova, memory.address(), memory.size());
  for (int i = 0; i < kRuns; i++) {
    meter.measure("pin-" + name, npages, [&] { device.pin(kIova, npages, per_call); });
    meter.measure("again-" + name, npages, [&] { device.pin(kIova, npages, per_call); });
    device.unpin(kIova, npages, per_call);
    meter.measure("unpin-" + name, npages, [&] { device.unpin(kIova, npages, per_call); });
    meter.measure("pin-worker-" + name, npages,
                  [&] { device.pin(kIova, npages, per_call, PinDevice::kFromWorker); });
    device.unpin(kIova, npages, per_call);
  }
  device.container().unmap(kIova, memory.size(), memory.size());
}

// What the kernel has allocated after a call and had not before.
template <typename Call>
double bytes_of(Call&& call) {
  kernel_bytes();  // what it allocates for itself the first time
  const std::uint64_t before = kernel_bytes();
  call();
  const std::uint64_t after = kernel_bytes();
  return after > before ? static_cast<double>(after - before) : 0;
}

double bytes_to_map(Container& container, const Memory& memory) {
  const double bytes = bytes_of([&] { container.map(kIova, memory.address(), memory.size()); });
  container.unmap(kIova, memory.size(), memory.size());
  return bytes;
}

// Single pages of a mapping, anywhere in memory, pinned one by one in that order.
double bytes_to_pin(std::size_t npages, const std::vector<std::size_t>& pinned) {
  PinDevice device;
  const SparseMemory memory(npages, pinned);
  device.container().map(kHighIova, memory.address(), memory.size());
  const double bytes = bytes_of([&] {
    for (std::size_t page : pinned) device.pin(kHighIova + page * kPage, 1, 1);
  });
  for (std::size_t page : pinned) device.unpin(kHighIova + page * kPage, 1, 1);
  return bytes;
}

// One page in so many, by chance.
std::vector<std::size_t> one_in(std::size_t part, std::size_t count) {
  std::mt19937_64 random(part);
  std::set<std::size_t> pages;
  while (pages.size() < count) pages.insert(random() % (part * count));
  std::vector<std::size_t> order(pages.begin(), pages.end());
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

// The same pages in the same order, each by a call of the program.
void run_sparse_pins(Meter& meter, const std::string& name, std::size_t npages,
                     const std::vector<std::size_t>& pinned) {
  PinDevice device;
  const SparseMemory memory(npages, pinned);
  const auto each = [&](auto call) {
    for (std::size_t page : pinned) call(kHighIova + page * kPage);
  };
  const auto pin = [&](std::uint64_t iova) { device.pin(iova, 1, 1); };
  const auto unpin = [&](std::uint64_t iova) { device.unpin(iova, 1, 1); };
  device.container().map(kHighIova, memory.address(), memory.size());
  for (int i = 0; i < 3; i++) {
    meter.measure("pin-" + name, pinned.size(), [&] { each(pin); });
    meter.measure("again-" + name, pinned.size(), [&] { each(pin); });
    each(unpin);
    meter.measure("unpin-" + name, pinned.size(), [&] { each(unpin); });
  }
}

// Single pages in random order, each of a mapping of its own.
void run_pins_of_mappings(Meter& meter) {
  PinDevice device;
  const Memory memory(Layout::kScattered, kMany * kPage);
  map_pages(device.container(), memory, kPage, in_order());
  const std::vector<std::size_t> order = shuffled();
  const auto each = [&](auto call) {
    for (std::size_t page : order) call(kIova + page * kPage);
  };
  const auto pin = [&](std::uint64_t iova) { device.pin(iova, 1, 1); };
  const auto unpin = [&](std::uint64_t iova) { device.unpin(iova, 1, 1); };
  for (int i = 0; i < 3; i++) {
    meter.measure("pin-mappings", kMany, [&] { each(pin); });
    meter.measure("again-mappings", kMany, [&] { each(pin); });
    each(unpin);
    meter.measure("unpin-mappings", kMany, [&] { each(unpin); });
  }
}

void run_pin_memory(Meter& meter) {
  {
    PinDevice device;
    const Memory memory(Layout::kThp, 512 * kMiB);
    const std::size_t npages = memory.size() / kPage;
    device.container().map(kIova, memory.address(), memory.size());
    for (int i = 0; i < kRuns; i++) {
      meter.add("bytes-pins-thp",
                bytes_of([&] { device.pin(kIova, npages, 512); }) / static_cast<double>(npages));
      device.unpin(kIova, npages, 512);
    }
  }
  const auto measure = [&](const std::string& name, std::size_t npages,
                           const std::vector<std::size_t>& pinned) {
    for (int i = 0; i < 3; i++)
      meter.add("bytes-pins-" + name,
                bytes_to_pin(npages, pinned) / static_cast<double>(pinned.size()));
  };
  std::vector<std::size_t> order = shuffled();
  measure("all", kMany, order);
  for (std::size_t& page : order) page *= 2;
  measure("half", 2 * kMany, order);
  measure("64th", 64 * kMany, one_in(64, kMany));
  measure("4096th", 4096 * kMany / 2, one_in(4096, kMany / 2));
  measure("one", std::size_t{512} * 1024 * kMiB / kPage, {12345678});
}

// Refreshes in the wait queue of a doorbell's eventfd. What a write to an eventfd costs by itself
// is not counted.
void run_doorbell(Meter& meter, NestedGuest& guest, const std::vector<std::size_t>& order) {
  if (!guest.nested()) return meter.add("nested-doorbell", 0);

  // A thread serves the first one, and sets memory aside for those that come after it.
  guest.ask(kIova);
  guest.ring();
  while (!guest.answered()) usleep(1000);
  std::uint64_t write = ~std::uint64_t{0};
  for (int i = 0; i < kCalls; i++) {
    const std::uint64_t begin = instructions();
    guest.write_event();
    write = std::min(write, instructions() - begin);
  }
  for (int i = 0; i < kCalls; i++) {
    const std::uint64_t iova = kIova + (i % 8) * kPage;
    guest.map(iova, order[i] * kPage);
    guest.ask(iova);
    meter.measure(
        "nested-doorbell", 1, [&] { guest.ring(); }, write);
    if (!guest.answered()) throw std::runtime_error("a doorbell was not answered at once");
    guest.invalidate(iova, 1);
    guest.refresh(iova, kPage);
  }
}

// Refreshes of a guest's I/O page table, by the two ways of NestedGuest.
void run_nested(Meter& meter) {
  constexpr std::size_t kPages = 256;
  const Memory memory(Layout::kScattered, 64 * kMiB);
  std::vector<std::size_t> order = shuffled();
  NestedGuest guest(memory);

  // An entry of a table that is 0 is wrong, whatever its bits mean.
  std::replace(order.begin(), order.end(), std::size_t{0}, std::size_t{1});

  // Other pages are mapped, as in any guest.
  for (std::size_t page = 16; page < 32; page++)
    guest.map(kIova + page * kPage, order[page] * kPage);
  guest.refresh(kIova + 16 * kPage, 16 * kPage);
  for (int i = 0; i < kCalls; i++) {
    const std::uint64_t iova = kIova + (i % 8) * kPage;
    guest.map(iova, order[i] * kPage);
    meter.measure("nested-map-page", 1, [&] { guest.refresh(iova, kPage); });
    guest.invalidate(iova, 1);
    meter.measure("nested-unmap-page", 1, [&] { guest.refresh(iova, kPage); });
  }
  run_doorbell(meter, guest, order);
  guest.invalidate(kIova + 16 * kPage, 16);
  guest.refresh(kIova + 16 * kPage, 16 * kPage);
  for (int i = 0; i < kRuns; i++) {
    for (std::size_t page = 0; page < kPages; page++)
      guest.map(kIova + page * kPage, order[page] * kPage);
    meter.measure("nested-map-256", kPages, [&] { guest.refresh(kIova, kPages * kPage); });
    guest.invalidate(kIova, kPages);
    meter.measure("nested-unmap-256", kPages, [&] { guest.refresh(kIova, kPages * kPage); });
  }

  // Each page of the guest's three times.
  constexpr std::size_t kMapped = 3 * kMany;
  for (std::size_t page = 0; page < kMapped; page++)
    guest.map(kIova + page * kPage, order[page % kMany] * kPage);
  guest.refresh(kIova, kMapped * kPage);
  const NestedGuest::Record record = guest.record();
  meter.add(
      "nested-bytes",
      record.pages ? static_cast<double>(record.bytes) / static_cast<double>(record.pages) : 0);
  for (int i = 0; i < kRuns && guest.nested(); i++)
    meter.measure("nested-unchanged", kMapped, [&] { guest.refresh(0, std::uint64_t{1} << 32); });
  if (!guest.nested()) meter.add("nested-unchanged", 0);
  if (!Flushes::can_count()) return;
  for (std::size_t page = 0; page < kMany; page += 2) guest.invalidate(kIova + page * kPage, 1);
  const Flushes::Counts counts = Flushes::count([&] {
    if (guest.nested())
      guest.refresh(kIova, kMany * kPage);
    else
      for (std::size_t page = 0; page < kMany; page += 2)
        guest.refresh(kIova + page * kPage, kPage);
  });
  meter.add("nested-flushes", static_cast<double>(counts.iotlb));
}

// The same for memory of huge pages, which the guest maps page by page.
void run_nested_thp(Meter& meter) {
  constexpr std::size_t kPages = 256;
  const Memory memory(Layout::kThp, 64 * kMiB);
  NestedGuest guest(memory);
  for (int i = 0; i < kRuns; i++) {
    for (std::size_t page = 0; page < kPages; page++)
      guest.map(kIova + page * kPage, kHugePage + page * kPage);
    meter.measure("nested-map-thp", kPages, [&] { guest.refresh(kIova, kPages * kPage); });
    guest.invalidate(kIova, kPages);
    meter.measure("nested-unmap-thp", kPages, [&] { guest.refresh(kIova, kPages * kPage); });
  }
}

std::uint64_t locked_kib() {
  const std::string status = read_file("/proc/self/status");
  return std::stoull(status.substr(status.find("VmLck:") + 6));
}

// 1 GiB for so many groups: once if they are merged, or once in the container of each.
void run_merged(Meter& meter) {
  const Memory memory(Layout::kScattered, 1024 * kMiB);
  const std::size_t npages = memory.size() / kPage;
  for (const std::size_t count : {1, 2, 4, 8}) {
    const std::string number = std::to_string(count);
    Groups groups(count);
    const std::uint64_t locked = locked_kib();
    const std::uint64_t pages = pages_outside_tables();
    meter.measure("map-merged-" + number, npages,
                  [&] { groups.map(kIova, memory.address(), memory.size()); });
    meter.add("tables-merged-" + number,
              static_cast<double>(pages) - static_cast<double>(pages_outside_tables()));
    meter.add("locked-merged-" + number, static_cast<double>(locked_kib() - locked));
    meter.measure("unmap-merged-" + number, npages, [&] { groups.unmap(kIova, memory.size()); });
  }
}

// A group joins a container with so many mappings: one whose group shares the domain, and one
// without a domain, where all mappings have to be pinned and mapped.
void run_merging(Meter& meter) {
  const Memory memory(Layout::kScattered, kMany * kPage);
  Joiner joiner(1);
  const auto measure = [&](const std::string& name, Container& container) {
    for (int i = 0; i < kRuns; i++) {
      meter.measure("merge-" + name, 1, [&] { joiner.join(container); });
      joiner.leave(container);
    }
    if (!Flushes::can_count()) return;
    meter.add("merge-flushes-" + name,
              static_cast<double>(Flushes::count([&] { joiner.join(container); }).iotlb));
    joiner.leave(container);
  };
  const std::vector<std::size_t> order = in_order();
  for (const std::size_t count : {std::size_t{1}, std::size_t{1000}, kMany}) {
    const std::vector<std::size_t> some(order.begin(),
                                        order.begin() + static_cast<std::ptrdiff_t>(count));
    {
      Container container;
      map_pages(container, memory, 2 * kPage, some);
      measure("shared-" + std::to_string(count), container);
    }
    PinDevice device;
    map_pages(device.container(), memory, 2 * kPage, some);
    measure("replay-" + std::to_string(count), device.container());
  }
}

void run_memory(Meter& meter) {
  Container container;
  {
    const Memory memory(Layout::kScattered, 64 * kMiB);
    for (int i = 0; i < kRuns; i++)
      meter.add("bytes-run", bytes_to_map(container, memory) / static_cast<double>(memory.runs()));
  }
  const Memory memory(Layout::kThp, 512 * kMiB);
  for (int i = 0; i < kRuns; i++) meter.add("bytes-thp-512m", bytes_to_map(container, memory));
}

}  // namespace

std::vector<Group> groups() {
  std::vector<Group> all = mapping_groups<Container>();
  const std::vector<Group> others = {
      {"noop", {"noop"}, run_noop},
      {"bar-1g", {"map-bar-1g", "unmap-bar-1g"}, run_bar},
      {"dirty", {"dirty-start", "dirty-bitmap", "dirty-stop"}, run_dirty},
      {"dirty-512m", {"bitmap-512m"}, run_dirty_large},
      {"pins-4k",
       {"pin-4k", "again-4k", "unpin-4k", "pin-worker-4k"},
       [](Meter& m) { run_pins(m, "4k", Layout::kScattered, 512); }},
      {"pins-thp",
       {"pin-thp", "again-thp", "unpin-thp", "pin-worker-thp"},
       [](Meter& m) { run_pins(m, "thp", Layout::kThp, 512); }},
      {"pins-single",
       {"pin-single", "again-single", "unpin-single", "pin-worker-single"},
       [](Meter& m) { run_pins(m, "single", Layout::kScattered, 1); }},
      {"pins-8",
       {"pin-8", "again-8", "unpin-8", "pin-worker-8"},
       [](Meter& m) { run_pins(m, "8", Layout::kScattered, 8); }},
      {"pins-mappings", {"pin-mappings", "again-mappings", "unpin-mappings"}, run_pins_of_mappings},
      {"pins-64th",
       {"pin-64th", "again-64th", "unpin-64th"},
       [](Meter& m) { run_sparse_pins(m, "64th", 64 * kMany, one_in(64, kMany)); }},
      {"pins-4096th",
       {"pin-4096th", "again-4096th", "unpin-4096th"},
       [](Meter& m) { run_sparse_pins(m, "4096th", 4096 * kMany / 2, one_in(4096, kMany / 2)); }},
      {"nested",
       {"nested-map-page", "nested-unmap-page", "nested-doorbell", "nested-map-256",
        "nested-unmap-256", "nested-bytes", "nested-unchanged", "nested-flushes"},
       run_nested},
      {"growth", growth_keys(), run_growth},
      {"nested-thp", {"nested-map-thp", "nested-unmap-thp"}, run_nested_thp},
      {"merged",
       {"map-merged-1", "tables-merged-1", "locked-merged-1", "unmap-merged-1", "map-merged-2",
        "tables-merged-2", "locked-merged-2", "unmap-merged-2", "map-merged-4", "tables-merged-4",
        "locked-merged-4", "unmap-merged-4", "map-merged-8", "tables-merged-8", "locked-merged-8",
        "unmap-merged-8"},
       run_merged},
      {"merging",
       {"merge-shared-1", "merge-flushes-shared-1", "merge-replay-1", "merge-flushes-replay-1",
        "merge-shared-1000", "merge-flushes-shared-1000", "merge-replay-1000",
        "merge-flushes-replay-1000", "merge-shared-16384", "merge-flushes-shared-16384",
        "merge-replay-16384", "merge-flushes-replay-16384"},
       run_merging},
      {"memory", {"bytes-run", "bytes-thp-512m"}, run_memory},
      {"pins-memory",
       {"bytes-pins-thp", "bytes-pins-all", "bytes-pins-half", "bytes-pins-64th",
        "bytes-pins-4096th", "bytes-pins-one"},
       run_pin_memory},
      // Last, because a device that had a scheduler goes on to be one whose windows can be taken.
      {"gate",
       {"gate-open", "gate-block", "gate-block-64", "gate-zap-64", "gate-cut", "gate-move",
        "gate-idle-open", "gate-idle-block", "gate-flushes-block", "gate-flushes-open",
        "gate-shootdowns-block", "gate-shootdowns-block-64", "gate-shootdowns-open", "gate-touch"},
       run_gate},
      {"gate-remap", gate_remap_keys(), run_gate_remap},
      {"gate-growth", gate_growth_keys(), run_gate_growth},
  };
  all.insert(all.end(), others.begin(), others.end());
  return all;
}

}  // namespace bench
