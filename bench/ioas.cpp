// SPDX-License-Identifier: GPL-2.0
#include "ioas.hpp"

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <string>
#include <system_error>

#include "container.hpp"
#include "system.hpp"

namespace bench {
namespace {

// The ioctls of iommufd and of VFIO's device files (Documentation/userspace-api/iommufd.rst and
// vfio.rst of the kernel), which the headers of Debian 12 do not have.

struct AllocIoas {
  std::uint32_t size, flags, id;
};
constexpr unsigned long kAllocIoas = _IO(';', 0x81);

struct MapIoas {
  std::uint32_t size, flags, id, reserved;
  std::uint64_t vaddr, length, iova;
};
constexpr unsigned long kMapIoas = _IO(';', 0x85);
constexpr std::uint32_t kFixedIova = 1, kWriteable = 2, kReadable = 4;

struct UnmapIoas {
  std::uint32_t size, id;
  std::uint64_t iova, length;
};
constexpr unsigned long kUnmapIoas = _IO(';', 0x86);

struct BindDevice {
  std::uint32_t argsz, flags;
  std::int32_t iommufd;
  std::uint32_t id;
};
constexpr unsigned long kBindDevice = _IO(VFIO_TYPE, VFIO_BASE + 18);

struct AttachDevice {
  std::uint32_t argsz, flags, ioas;
};
constexpr unsigned long kAttachDevice = _IO(VFIO_TYPE, VFIO_BASE + 19);

// The device file of the device at a PCI address; its name is in sysfs.
std::string device_file(const std::string& bdf) {
  const std::string folder = "/sys/bus/pci/devices/" + bdf + "/vfio-dev";
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    return "/dev/vfio/devices/" + entry.path().filename().string();
  throw std::runtime_error(folder + " is empty");
}

}  // namespace

Ioas::Ioas() {
  iommufd_ = open_or_throw("/dev/iommu");
  device_ = open_or_throw(device_file(Container::find_device("0x")));

  BindDevice bind{sizeof(bind), 0, iommufd_, 0};
  if (ioctl(device_, kBindDevice, &bind) < 0) throw_errno("BIND_IOMMUFD");
  AllocIoas alloc{sizeof(alloc), 0, 0};
  if (ioctl(iommufd_, kAllocIoas, &alloc) < 0) throw_errno("IOAS_ALLOC");
  id_ = alloc.id;
  AttachDevice attach{sizeof(attach), 0, id_};
  if (ioctl(device_, kAttachDevice, &attach) < 0) throw_errno("ATTACH_IOMMUFD_PT");
}

// Closing the device's file detaches it.
Ioas::~Ioas() {
  close(device_);
  close(iommufd_);
}

void Ioas::map(std::uint64_t iova, std::uint64_t vaddr, std::uint64_t size) {
  MapIoas request{sizeof(request), kFixedIova | kWriteable | kReadable, id_, 0, vaddr, size, iova};
  if (ioctl(iommufd_, kMapIoas, &request) < 0) throw_errno("IOAS_MAP");
}

void Ioas::unmap(std::uint64_t iova, std::uint64_t size, std::uint64_t mapped) {
  UnmapIoas request{sizeof(request), id_, iova, size};
  if (ioctl(iommufd_, kUnmapIoas, &request) < 0) throw_errno("IOAS_UNMAP");
  if (request.length != mapped) throw std::runtime_error("IOAS_UNMAP unmapped another size");
}

// A range from 0 of the greatest length means all that is mapped.
void Ioas::unmap_all(std::uint64_t mapped) {
  unmap(0, std::numeric_limits<std::uint64_t>::max(), mapped);
}

}  // namespace bench
