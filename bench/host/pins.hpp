// SPDX-License-Identifier: GPL-2.0
//
// The benchmarks of the pin index.
#pragma once

#include <benchmark/benchmark.h>

namespace bench_host {

// Up to so many pages; the memory of a full guest is always measured.
void add_pins(int64_t largest);

}  // namespace bench_host
