// SPDX-License-Identifier: GPL-2.0
//
// A VFIO container with one device's group in it, and usually the type1 (v2) IOMMU.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bench {

class Container {
 public:
  // Of the first PCI device that vfio-pci drives, or the one that has a TLB of its own. Throws what
  // fails.
  Container();
  // Returns the PCI addresses of the devices that vfio-pci drives and whose device ID, in
  // hexadecimal as in sysfs, begins with number; at least one.
  static std::vector<std::string> find_devices(const std::string& number);
  static std::string find_device(const std::string& number) { return find_devices(number)[0]; }
  // Returns the number of the IOMMU group of the device at that PCI address.
  static std::string group_of(const std::string& name);
  // Whether some IOMMU driver serves an extension.
  static bool knows(unsigned long extension);
  // Of the group of that number, with the IOMMU of an extension.
  explicit Container(const std::string& group, unsigned long extension = kType1);
  ~Container();
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  void noop();
  void map(std::uint64_t iova, std::uint64_t vaddr, std::uint64_t size);
  // Throw also when other than all of it was unmapped.
  void unmap(std::uint64_t iova, std::uint64_t size, std::uint64_t mapped);
  void unmap_all(std::uint64_t mapped);
  void start_dirty();
  void stop_dirty();
  // Throws if not all of the range is reported dirty, as it is behind an IOMMU that cannot tell.
  void get_dirty(std::uint64_t iova, std::uint64_t size, std::vector<std::uint64_t>& bitmap);
  // Adds a group, and returns its file, which is the caller's.
  int add_group(const std::string& group) const;
  // A device of the group, opened; the fd is the caller's.
  int open_device(const std::string& name);

  int fd() const { return fd_; }
  int group() const { return group_; }

 private:
  static constexpr unsigned long kType1 = 3;  // VFIO_TYPE1v2_IOMMU

  void unmap(std::uint32_t flags, std::uint64_t iova, std::uint64_t size, std::uint64_t mapped);
  void dirty(std::uint32_t flags);

  int fd_ = -1;
  int group_ = -1;
};

}  // namespace bench
