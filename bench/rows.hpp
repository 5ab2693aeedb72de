// SPDX-License-Identifier: GPL-2.0
//
// The rows of the benchmark, in groups that share what they set up.
#pragma once

#include <string>
#include <vector>

#include "meter.hpp"

namespace bench {

struct Group {
  const char* name;
  // What run() measures.
  std::vector<std::string> keys;
  void (*run)(Meter& meter);
};

// Of a VFIO container, and of devices' drivers in one.
std::vector<Group> groups();

// Two threads against one (scale.cpp): prints times, of a guest with two CPUs.
void run_scale();

}  // namespace bench
