// SPDX-License-Identifier: GPL-2.0
//
// Several groups with the same mappings, in the two ways that there are: merged, where the kernel
// can do that, or each in a container of its own that is told the same.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "container.hpp"

namespace bench {

class Groups {
 public:
  // The groups of the first edu devices. Throws what fails.
  explicit Groups(std::size_t count);
  ~Groups();
  Groups(const Groups&) = delete;
  Groups& operator=(const Groups&) = delete;

  // For all groups.
  void map(std::uint64_t iova, std::uint64_t vaddr, std::uint64_t size);
  void unmap(std::uint64_t iova, std::uint64_t size);

 private:
  // One if the groups are merged.
  std::vector<std::unique_ptr<Container>> containers_;
  std::vector<int> members_;
};

// A group that joins a container with mappings: by VFIO_GROUP_MERGE with the group that is in,
// or by VFIO_GROUP_SET_CONTAINER where the kernel has no merging.
class Joiner {
 public:
  // The group of an edu device; 0 is the first, which containers have if nothing else is said.
  explicit Joiner(std::size_t which);
  ~Joiner();
  Joiner(const Joiner&) = delete;
  Joiner& operator=(const Joiner&) = delete;

  void join(const Container& container);
  void leave(const Container& container);

 private:
  int fd_;
};

}  // namespace bench
