// SPDX-License-Identifier: GPL-2.0
//
// Memory of a known physical layout, and what the kernel itself uses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = 2 << 20;
constexpr std::size_t kMiB = 1 << 20;

enum class Layout {
  kScattered,   // 4K pages, hardly two of them adjacent
  kContiguous,  // 4K pages, physically one after the other within each 2 MiB
  kThp,         // transparent huge pages
  kHugetlb,     // 2 MiB pages of hugetlbfs
};

// Touched anonymous memory. The constructor throws if the layout could not be had: a figure of
// other memory than the row says would be worth nothing.
class Memory {
 public:
  Memory(Layout layout, std::size_t size);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(start_); }
  std::size_t size() const { return size_; }
  // Runs of physically contiguous pages.
  std::size_t runs() const { return runs_; }

 private:
  std::size_t count_runs() const;
  std::size_t huge_bytes() const;

  Layout layout_;
  std::size_t size_;
  std::size_t reserved_ = 0;
  char* reservation_ = nullptr;
  char* start_ = nullptr;
  std::size_t runs_ = 0;
};

// Room for npages, of which only some are there: touched in this order.
class SparseMemory {
 public:
  SparseMemory(std::size_t npages, const std::vector<std::size_t>& touched);
  ~SparseMemory();
  SparseMemory(const SparseMemory&) = delete;
  SparseMemory& operator=(const SparseMemory&) = delete;

  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(start_); }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  char* start_;
};

// Bytes that the kernel has allocated by kmalloc, from slab caches and by vmalloc.
std::uint64_t kernel_bytes();

// Pages that are free, or that the kernel has taken for kmalloc, slab caches and vmalloc. What an
// IOMMU driver takes for page tables is missing in them.
std::uint64_t pages_outside_tables();

std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& text);

}  // namespace bench
