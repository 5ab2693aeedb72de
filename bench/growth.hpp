// SPDX-License-Identifier: GPL-2.0
//
// How the cost of a refresh grows: with the guest's memory, with the pages that are mapped, and
// with the functions that the guest has.
#pragma once

#include <string>
#include <vector>

#include "meter.hpp"

namespace bench {

// The keys of all rows: grow-WHAT-GUEST.
std::vector<std::string> growth_keys();

void run_growth(Meter& meter);

}  // namespace bench
