// SPDX-License-Identifier: GPL-2.0
//
// The memory shims of the host benchmark. They only count: the mock of the host tests also looks
// for leaks, which costs more than the structures themselves.
#pragma once

#include <cstdint>

namespace bench_host {

// Bytes that the core holds now, as the allocator rounds them.
std::uint64_t bytes_held();

}  // namespace bench_host
