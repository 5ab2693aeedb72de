// SPDX-License-Identifier: GPL-2.0
//
// merge BDF BDF: two edu devices in two groups, merged. One buffer is mapped once, both devices
// do DMA to it; one group is taken out, and its device reaches it no longer. The program opens
// no container: it is what VFIO's first interface, of 2011, had in mind.
//
// Exit status: 0 if all of it held, 1 if not, 2 for a bad command line.
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <optional>
#include <string>

#include "edu.hpp"

namespace {

constexpr std::uint64_t kIova = 0x10000000;
constexpr std::size_t kPage = 4096, kPages = 16;

bool all_hold = true;

void say(bool holds, const std::string& what) {
  all_hold = all_hold && holds;
  std::printf("  %s %s\n", holds ? "ok    " : "FAILED", what.c_str());
  std::fflush(stdout);
}

// Memory of this process that is locked, in KiB.
long locked_kib() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with("VmLck:")) return std::stol(line.substr(6));
  return -1;
}

// Whether the device copies a page of the buffer into another.
bool copies(Edu& edu, const Memory& buffer, std::size_t to, int value) {
  std::memset(buffer.at(0), value, kPage);
  std::memset(buffer.at(to), 0, kPage);
  edu.copy(kIova + to, kIova);
  return std::memcmp(buffer.at(to), buffer.at(0), Edu::kSize) == 0;
}

std::string hex(std::uint64_t number) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(number));
  return text;
}

// Taken out, the device has an address space of its own, in which nothing is mapped.
void show_that_it_is_blocked(const std::string& bdf, const Memory& buffer) {
  constexpr std::size_t kTo = 5 * kPage;
  Group alone(bdf);
  alone.set_iommu();
  Edu edu(alone.open_device(bdf));
  std::memset(buffer.at(0), 0x44, kPage);
  std::memset(buffer.at(kTo), 0x5a, kPage);
  edu.copy(kIova + kTo, kIova);
  bool unchanged = true;
  for (std::size_t i = 0; i < kPage; ++i)
    unchanged = unchanged && *buffer.at(kTo + i) == std::byte{0x5a};
  say(unchanged, "the device that was taken out is blocked (IOVA " + hex(kIova + kTo) + ")");
}

void run(const std::string& first_bdf, const std::string& second_bdf) {
  const Memory buffer(kPages * kPage);
  Group first(first_bdf);
  std::optional<Group> second(second_bdf);
  const int number = second->number();

  say(first.can_merge(), "the kernel merges groups");
  first.set_iommu();
  const long before = locked_kib();
  first.map(buffer, kIova);
  first.take_in(*second);
  say(first.merged() && second->merged(), "two groups are merged, one of them in use");
  say(locked_kib() - before == static_cast<long>(buffer.size() / 1024),
      "the buffer of " + std::to_string(buffer.size() / 1024) + " KiB is mapped and locked once");
  second.reset();
  {
    Edu edu(first.open_device(first_bdf)), other(first.open_device(second_bdf));
    say(copies(edu, buffer, kPage, 0x11), "the first device does DMA to the buffer");
    say(copies(other, buffer, 2 * kPage, 0x22),
        "so does the second, which the first group's file has opened");
  }
  first.take_out(number);
  say(!first.merged(), "the second group is taken out");
  show_that_it_is_blocked(second_bdf, buffer);
  Edu edu(first.open_device(first_bdf));
  say(copies(edu, buffer, 3 * kPage, 0x33), "the first device goes on as before");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: merge BDF BDF\n");
    return 2;
  }
  try {
    run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    say(false, error.what());
  }
  return all_hold ? 0 : 1;
}
