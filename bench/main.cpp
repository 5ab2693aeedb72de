// SPDX-License-Identifier: GPL-2.0
//
// Runs in the guest of tools/bench: prints how many instructions VFIO's work takes there.
//   bench [--profile KEY] [GROUP...]     all groups if none is named
//   bench --mappings type1|iommufd [--profile KEY] [GROUP...]
//                                        of those alone that map and unmap, by either
//   bench --scale                        how two threads fare against one
#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "container.hpp"
#include "ioas.hpp"
#include "mapping_rows.hpp"
#include "rows.hpp"

namespace {

// A guest that has just booted has no randomness yet, and gathers some anew each time that the
// slab allocator asks for a number: 5000 instructions a page of objects, which a machine that has
// been up for a minute does not spend. What is credited here is the same in every run.
void make_random_ready() {
  constexpr int kBytes = 64;
  // A rand_pool_info and its bytes.
  std::array<int, 2 + kBytes / sizeof(int)> pool{kBytes * 8, kBytes};
  const int random = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
  if (random < 0 || ioctl(random, RNDADDENTROPY, pool.data()) != 0)
    throw std::runtime_error("cannot credit /dev/urandom");
  close(random);
}

std::vector<bench::Group> mapping_groups(const std::string& of) {
  if (of == "type1") return bench::mapping_groups<bench::Container>();
  if (of == "iommufd") return bench::mapping_groups<bench::Ioas>();
  throw std::runtime_error("--mappings of " + of + "?");
}

int run(const std::vector<std::string>& arguments) {
  std::string profiled;
  std::vector<bench::Group> groups = bench::groups();
  std::vector<std::string> wanted;
  for (std::size_t i = 0; i < arguments.size(); i++) {
    if (arguments[i] == "--profile" && i + 1 < arguments.size())
      profiled = arguments[++i];
    else if (arguments[i] == "--mappings" && i + 1 < arguments.size())
      groups = mapping_groups(arguments[++i]);
    else
      wanted.push_back(arguments[i]);
  }
  utsname system{};
  uname(&system);
  std::printf("kernel %s %s\n", system.release, system.version);

  if (wanted == std::vector<std::string>{"--scale"}) {
    bench::run_scale();
    return 0;
  }
  make_random_ready();
  bench::Meter meter(profiled);
  meter.check_calibration();
  for (const bench::Group& group : groups) {
    const auto& keys = group.keys;
    const bool chosen =
        profiled.empty()
            ? wanted.empty() || std::find(wanted.begin(), wanted.end(), group.name) != wanted.end()
            : std::find(keys.begin(), keys.end(), profiled) != keys.end();
    if (!chosen) continue;
    try {
      group.run(meter);
    } catch (const std::exception& error) {
      throw std::runtime_error(std::string(group.name) + ": " + error.what());
    }
    meter.print();
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "bench: %s\n", error.what());
    return 1;
  }
}
