// SPDX-License-Identifier: GPL-2.0
#include "growth.hpp"

#include <random>

#include "mapping_rows.hpp"
#include "memory.hpp"
#include "nested.hpp"

namespace bench {
namespace {

// One guest, and those that differ from it in one thing.
struct Size {
  const char* name;
  std::uint64_t mib;
  std::size_t mapped;
  std::size_t functions;
};

constexpr Size kSizes[] = {
    {"small", 64, 256, 1},          {"memory-256", 256, 256, 1},    {"memory-1024", 1024, 256, 1},
    {"mapped-16384", 64, 16384, 1}, {"mapped-65536", 64, 65536, 1}, {"functions-8", 64, 256, 8},
    {"functions-64", 64, 256, 64},
};

constexpr const char* kWhat[] = {"page", "256", "remove", "bytes"};

std::string key(const char* what, const Size& size) {
  return std::string("grow-") + what + "-" + size.name;
}

// Where other pages are mapped than those that are measured.
constexpr std::uint64_t kOthers = 2 * kIova;
constexpr std::size_t kPages = 256;

void run_size(Meter& meter, const Size& size) {
  const Memory memory(Layout::kThp, size.mib * kMiB);
  const Memory more(Layout::kThp, kHugePage);
  NestedGuest guest(memory, size.functions);
  std::mt19937_64 random(size.mib);
  // Guest address 0 is an entry that is wrong.
  const auto some_gpa = [&] { return (1 + random() % (memory.size() / kPage - 1)) * kPage; };

  for (std::size_t page = 0; page < size.mapped; page++)
    guest.map(kOthers + page * kPage, some_gpa());
  guest.refresh_all(kOthers, size.mapped * kPage);
  meter.add(key("bytes", size),
            static_cast<double>(guest.record().bytes) / static_cast<double>(guest.record().pages));

  for (int i = 0; i < kCalls; i++) {
    const std::uint64_t iova = kIova + (i % 8) * kPage;
    guest.map(iova, some_gpa());
    meter.measure(key("page", size), 1, [&] { guest.refresh(iova, kPage); });
    guest.invalidate(iova, 1);
    guest.refresh(iova, kPage);
  }
  for (int i = 0; i < kRuns; i++) {
    for (std::size_t page = 0; page < kPages; page++) guest.map(kIova + page * kPage, some_gpa());
    meter.measure(key("256", size), kPages, [&] { guest.refresh(kIova, kPages * kPage); });
    guest.invalidate(kIova, kPages);
    guest.refresh(kIova, kPages * kPage);
  }
  for (int i = 0; i < kRuns; i++) {
    const std::uint64_t gpa = guest.add_memory(more);
    for (std::size_t page = 0; page < kPages; page++)
      guest.map(kIova + page * kPage, gpa + page * kPage);
    guest.refresh_all(kIova, kPages * kPage);
    meter.measure(key("remove", size), 1, [&] { guest.remove_memory(more); });
    guest.invalidate(kIova, kPages);
    guest.refresh_all(kIova, kPages * kPage);
  }
}

}  // namespace

std::vector<std::string> growth_keys() {
  std::vector<std::string> keys;
  for (const Size& size : kSizes)
    for (const char* what : kWhat) keys.push_back(key(what, size));
  return keys;
}

void run_growth(Meter& meter) {
  if (!NestedGuest::possible()) {
    for (const std::string& each : growth_keys()) meter.add(each, 0);
    return;
  }
  for (const Size& size : kSizes) run_size(meter, size);
}

}  // namespace bench
