// SPDX-License-Identifier: GPL-2.0
//
// The rows that only map and unmap, and what they share with others: where and in which order pages
// are mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory.hpp"
#include "rows.hpp"

namespace bench {

// Aligned to every page size there is, and below the interrupt window of x86 (0xfee00000).
constexpr std::uint64_t kIova = 1 << 30;
constexpr std::size_t kMany = 16384;
constexpr int kCalls = 201;
constexpr int kRuns = 5;

// The numbers below kMany.
std::vector<std::size_t> in_order();
std::vector<std::size_t> shuffled();

// One mapping a page, the nth page at the nth IOVA of that stride.
template <typename Space>
void map_pages(Space& space, const Memory& memory, std::uint64_t stride,
               const std::vector<std::size_t>& order) {
  for (std::size_t n : order) space.map(kIova + n * stride, memory.address() + n * kPage, kPage);
}

// Space: a Container or an Ioas.
template <typename Space>
std::vector<Group> mapping_groups();

}  // namespace bench
