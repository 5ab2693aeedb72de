// SPDX-License-Identifier: GPL-2.0
#include "container.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "memory.hpp"
#include "system.hpp"

namespace bench {
namespace {

const std::string kDriver = "/sys/bus/pci/drivers/vfio-pci/";

}  // namespace

std::vector<std::string> Container::find_devices(const std::string& number) {
  std::vector<std::string> found;
  if (DIR* dir = opendir(kDriver.c_str())) {
    while (const dirent* entry = readdir(dir))
      if (std::strchr(entry->d_name, ':') &&
          read_file(kDriver + entry->d_name + "/device").rfind(number, 0) == 0)
        found.emplace_back(entry->d_name);
    closedir(dir);
  }
  if (found.empty()) throw std::runtime_error("vfio-pci drives no device " + number);
  std::sort(found.begin(), found.end());
  return found;
}

std::string Container::group_of(const std::string& bdf) {
  char target[256];
  const ssize_t length =
      readlink((kDriver + bdf + "/iommu_group").c_str(), target, sizeof(target) - 1);
  if (length < 0) throw_errno(bdf + " has no IOMMU group");
  const std::string path(target, static_cast<std::size_t>(length));
  return path.substr(path.rfind('/') + 1);
}

// bench/guest.sh names the device that has a TLB of its own.
static std::string usual_device() {
  const char* ats = std::getenv("BENCH_ATS_DEVICE");
  return Container::find_device(ats ? ats : "0x");
}

Container::Container() : Container(group_of(usual_device())) {}

bool Container::knows(unsigned long extension) {
  const int container = open_or_throw("/dev/vfio/vfio");
  const int known = ioctl(container, VFIO_CHECK_EXTENSION, extension);
  close(container);
  return known > 0;
}

Container::Container(const std::string& group, unsigned long extension) {
  static_assert(kType1 == VFIO_TYPE1v2_IOMMU);
  fd_ = open_or_throw("/dev/vfio/vfio");
  group_ = open_or_throw("/dev/vfio/" + group);
  if (ioctl(group_, VFIO_GROUP_SET_CONTAINER, &fd_) < 0) throw_errno("SET_CONTAINER");
  if (ioctl(fd_, VFIO_SET_IOMMU, extension) < 0) throw_errno("SET_IOMMU");
}

Container::~Container() {
  close(group_);
  close(fd_);
}

int Container::add_group(const std::string& group) const {
  const int fd = open_or_throw("/dev/vfio/" + group);
  if (ioctl(fd, VFIO_GROUP_SET_CONTAINER, &fd_) < 0) throw_errno("SET_CONTAINER");
  return fd;
}

int Container::open_device(const std::string& name) {
  const int device = ioctl(group_, VFIO_GROUP_GET_DEVICE_FD, name.c_str());
  if (device < 0) throw_errno("GET_DEVICE_FD");
  return device;
}

void Container::noop() {
  if (ioctl(fd_, VFIO_GET_API_VERSION) != VFIO_API_VERSION) throw_errno("GET_API_VERSION");
}

void Container::map(std::uint64_t iova, std::uint64_t vaddr, std::uint64_t size) {
  vfio_iommu_type1_dma_map request{};
  request.argsz = sizeof(request);
  request.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  request.vaddr = vaddr;
  request.iova = iova;
  request.size = size;
  if (ioctl(fd_, VFIO_IOMMU_MAP_DMA, &request) < 0) throw_errno("MAP_DMA");
}

void Container::unmap(std::uint32_t flags, std::uint64_t iova, std::uint64_t size,
                      std::uint64_t mapped) {
  vfio_iommu_type1_dma_unmap request{};
  request.argsz = sizeof(request);
  request.flags = flags;
  request.iova = iova;
  request.size = size;
  if (ioctl(fd_, VFIO_IOMMU_UNMAP_DMA, &request) < 0) throw_errno("UNMAP_DMA");
  if (request.size != mapped) throw std::runtime_error("UNMAP_DMA unmapped another size");
}

void Container::unmap(std::uint64_t iova, std::uint64_t size, std::uint64_t mapped) {
  unmap(0, iova, size, mapped);
}

void Container::unmap_all(std::uint64_t mapped) { unmap(VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, mapped); }

void Container::dirty(std::uint32_t flags) {
  vfio_iommu_type1_dirty_bitmap request{};
  request.argsz = sizeof(request);
  request.flags = flags;
  if (ioctl(fd_, VFIO_IOMMU_DIRTY_PAGES, &request) < 0) throw_errno("DIRTY_PAGES");
}

void Container::start_dirty() { dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START); }

void Container::stop_dirty() { dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP); }

void Container::get_dirty(std::uint64_t iova, std::uint64_t size,
                          std::vector<std::uint64_t>& bitmap) {
  vfio_iommu_type1_dirty_bitmap head{};
  vfio_iommu_type1_dirty_bitmap_get get{};
  alignas(vfio_iommu_type1_dirty_bitmap) std::byte request[sizeof(head) + sizeof(get)];
  head.argsz = sizeof(request);
  head.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
  get.iova = iova;
  get.size = size;
  get.bitmap.pgsize = kPage;
  get.bitmap.size = bitmap.size() * sizeof(bitmap[0]);
  get.bitmap.data = reinterpret_cast<__u64*>(bitmap.data());
  std::memcpy(request, &head, sizeof(head));
  std::memcpy(request + sizeof(head), &get, sizeof(get));
  if (ioctl(fd_, VFIO_IOMMU_DIRTY_PAGES, request) < 0) throw_errno("GET_BITMAP");
}

}  // namespace bench
