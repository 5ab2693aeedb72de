// SPDX-License-Identifier: GPL-2.0
//
// An I/O address space of iommufd (IOAS) with one device attached to it: what a Container is with
// type1.
#pragma once

#include <cstdint>

namespace bench {

class Ioas {
 public:
  // Of the first PCI device that vfio-pci drives, opened by its own file. Throws what fails.
  Ioas();
  ~Ioas();
  Ioas(const Ioas&) = delete;
  Ioas& operator=(const Ioas&) = delete;

  void map(std::uint64_t iova, std::uint64_t vaddr, std::uint64_t size);
  // Throw also when other than all of it was unmapped.
  void unmap(std::uint64_t iova, std::uint64_t size, std::uint64_t mapped);
  void unmap_all(std::uint64_t mapped);

 private:
  int iommufd_ = -1;
  int device_ = -1;
  std::uint32_t id_ = 0;
};

}  // namespace bench
