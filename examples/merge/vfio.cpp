// SPDX-License-Identifier: GPL-2.0
#include "vfio.hpp"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace {

int group_number(const std::string& bdf) {
  std::error_code error;
  const auto link =
      std::filesystem::read_symlink("/sys/bus/pci/devices/" + bdf + "/iommu_group", error);
  if (error) throw std::system_error(error, "looking for the IOMMU group of " + bdf);
  return std::stoi(link.filename().string());
}

}  // namespace

int check(int result, const std::string& doing) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), doing);
  return result;
}

Memory::Memory(std::size_t size, int fd, off_t offset) : size_(size) {
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, offset);
  check(address == MAP_FAILED ? -1 : 0, "mapping memory or registers");
  data_ = static_cast<std::byte*>(address);
}

Group::Group(const std::string& bdf) : number_(group_number(bdf)) {
  const std::string node = "/dev/vfio/" + std::to_string(number_);
  fd_ = Fd(check(open(node.c_str(), O_RDWR | O_CLOEXEC), "opening " + node));
}

bool Group::can_merge() const {
  return ioctl(fd_.get(), VFIO_CHECK_EXTENSION, VFIO_GROUP_MERGE_EXTENSION) > 0;
}

bool Group::merged() const {
  vfio_group_status status{};
  status.argsz = sizeof(status);
  check(ioctl(fd_.get(), VFIO_GROUP_GET_STATUS, &status), "asking for a group's status");
  return (status.flags & VFIO_GROUP_FLAGS_MERGED) != 0;
}

void Group::set_iommu() {
  check(ioctl(fd_.get(), VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "giving a group an address space");
}

void Group::map(const Memory& memory, std::uint64_t iova) {
  vfio_iommu_type1_dma_map request{};
  request.argsz = sizeof(request);
  request.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  request.vaddr = reinterpret_cast<std::uintptr_t>(memory.at(0));
  request.iova = iova;
  request.size = memory.size();
  check(ioctl(fd_.get(), VFIO_IOMMU_MAP_DMA, &request), "mapping memory for a group");
}

void Group::take_in(const Group& other) {
  vfio_group_merge request{sizeof(request), 0, other.fd_.get()};
  check(ioctl(fd_.get(), VFIO_GROUP_MERGE, &request), "merging two groups");
}

void Group::take_out(int number) {
  vfio_group_merge request{sizeof(request), VFIO_GROUP_UNMERGE_NUMBER, number};
  check(ioctl(fd_.get(), VFIO_GROUP_UNMERGE, &request), "taking a group out");
}

Fd Group::open_device(const std::string& bdf) const {
  return Fd(check(ioctl(fd_.get(), VFIO_GROUP_GET_DEVICE_FD, bdf.c_str()), "opening " + bdf));
}
