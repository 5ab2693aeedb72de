// SPDX-License-Identifier: GPL-2.0
#include "vfio.hpp"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace vfio {
namespace {

using sys::format;
using sys::throw_errno;

[[noreturn]] void fail(const std::string& text) { throw std::runtime_error(text); }

// The VFIO calls that return information all work alike: the struct starts with
// argsz, the room we offer; the kernel stores there the room it wants, and if
// that is more we come again with it. What does not fit into the fixed struct
// is a chain of capabilities behind it, linked by offsets from its start.
template <typename Info>
class InfoQuery {
 public:
  InfoQuery(int fd, unsigned long request, const Info& wanted, const std::string& doing)
      : storage_(sizeof(Info)) {
    for (;;) {
      std::memcpy(storage_.data(), &wanted, sizeof(wanted));
      const auto room = static_cast<std::uint32_t>(storage_.size());
      std::memcpy(storage_.data(), &room, sizeof(room));  // argsz
      if (ioctl(fd, request, storage_.data()) < 0) throw_errno(doing);
      if (info().argsz <= storage_.size()) return;
      storage_.resize(info().argsz);
    }
  }

  Info info() const { return load<Info>(0); }

  // The offset of the capability `id`, or 0. `first` is the struct's cap_offset.
  std::size_t find_capability(std::size_t first, unsigned id) const {
    for (std::size_t offset = first; offset != 0;) {
      const auto header = load<vfio_info_cap_header>(offset);
      if (header.id == id) return offset;
      offset = header.next;
    }
    return 0;
  }

  // A copy of the T at `offset`: capabilities need not be aligned for T.
  template <typename T>
  T load(std::size_t offset) const {
    if (offset > storage_.size() || storage_.size() - offset < sizeof(T))
      fail("the kernel returned a capability beyond the end of its struct");
    T value;
    std::memcpy(&value, storage_.data() + offset, sizeof(T));
    return value;
  }

 private:
  std::vector<std::byte> storage_;
};

std::string memlock_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) return "none";
  return format("%llu KiB", static_cast<unsigned long long>(limit.rlim_cur / 1024));
}

}  // namespace

IovaAllocator::IovaAllocator(std::vector<Range> ranges, std::uint64_t granule)
    : ranges_(std::move(ranges)), granule_(granule) {
  // Keep IOVA 0 out: a pointer of 0 should stay a mistake.
  for (auto& range : ranges_)
    if (range.first < granule_) range.first = granule_;
}

std::uint64_t IovaAllocator::allocate(std::uint64_t size) {
  size = (size + granule_ - 1) / granule_ * granule_;
  for (auto& range : ranges_) {
    const std::uint64_t iova = (range.first + granule_ - 1) / granule_ * granule_;
    // Compare with the distance to the last address, as iova + size may wrap. An
    // exact fit would leave an empty range, so the last granule stays unused.
    if (iova < range.first || iova > range.last || range.last - iova < size) continue;
    range.first = iova + size;
    return iova;
  }
  fail(format("no IOVA space left for %llu bytes", static_cast<unsigned long long>(size)));
}

Group::Group(int number) : number_(number) {
  const std::string path = "/dev/vfio/" + std::to_string(number);
  fd_ = sys::Fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (fd_.get() < 0) {
    if (errno == EACCES)
      throw_errno("opening " + path + " (let its owner be this user: chown " +
                  std::to_string(getuid()) + " " + path + ")");
    if (errno == ENOENT)
      throw_errno("opening " + path +
                  " (it appears when a device of the group is bound to vfio-pci)");
    if (errno == EBUSY) throw_errno("opening " + path + " (another process uses the group)");
    throw_errno("opening " + path);
  }

  vfio_group_status status{.argsz = sizeof(status), .flags = 0};
  if (ioctl(fd_.get(), VFIO_GROUP_GET_STATUS, &status) < 0)
    throw_errno("asking for the status of " + path);
  if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
    fail("group " + std::to_string(number) +
         " is not viable: a device of it is bound to a driver other than vfio-pci; bind all of "
         "/sys/kernel/iommu_groups/" +
         std::to_string(number) + "/devices to vfio-pci or to no driver");
}

Container::Container() : fd_(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC)) {
  if (fd_.get() < 0)
    throw_errno(errno == EACCES ? "opening /dev/vfio/vfio"
                                : "opening /dev/vfio/vfio (is the module vfio loaded?)");

  const int version = ioctl(fd_.get(), VFIO_GET_API_VERSION);
  if (version != VFIO_API_VERSION)
    fail(format("VFIO API version is %d, this driver knows %d", version, VFIO_API_VERSION));
  if (ioctl(fd_.get(), VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1)
    fail("VFIO has no type1v2 IOMMU (is the module vfio_iommu_type1 loaded?)");
}

void Container::add(Group& group) {
  int container = fd_.get();
  if (ioctl(group.fd(), VFIO_GROUP_SET_CONTAINER, &container) < 0)
    throw_errno(format("adding group %d to the container", group.number()));
  if (iommu_set_) return;
  if (ioctl(fd_.get(), VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
    throw_errno("setting the container's IOMMU to type1v2");
  iommu_set_ = true;
  read_iommu_info();
}

void Container::read_iommu_info() {
  const InfoQuery<vfio_iommu_type1_info> query(fd_.get(), VFIO_IOMMU_GET_INFO, {},
                                               "asking for the IOMMU's properties");
  const auto info = query.info();

  std::uint64_t granule = sys::page_size();
  if ((info.flags & VFIO_IOMMU_INFO_PGSIZES) && info.iova_pgsizes != 0)
    granule = std::max<std::uint64_t>(granule, 1ULL << std::countr_zero(info.iova_pgsizes));
  if (granule > sys::page_size()) fail("the IOMMU's smallest page is larger than the processor's");

  std::size_t capability = 0;
  if (info.flags & VFIO_IOMMU_INFO_CAPS)
    capability = query.find_capability(info.cap_offset, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
  if (capability == 0) fail("the kernel does not tell the usable IOVA ranges (before Linux 5.4?)");

  using Capability = vfio_iommu_type1_info_cap_iova_range;
  const auto count = query.load<Capability>(capability).nr_iovas;
  std::vector<IovaAllocator::Range> ranges;
  for (std::uint32_t i = 0; i < count; i++) {
    const auto range =
        query.load<vfio_iova_range>(capability + sizeof(Capability) + i * sizeof(vfio_iova_range));
    ranges.push_back({range.start, range.end});
  }
  iovas_ = IovaAllocator(std::move(ranges), granule);
}

void Container::map_dma(std::span<std::byte> memory, std::uint64_t iova, Access access) {
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof(map);
  if (access != Access::kDeviceWrites) map.flags |= VFIO_DMA_MAP_FLAG_READ;
  if (access != Access::kDeviceReads) map.flags |= VFIO_DMA_MAP_FLAG_WRITE;
  map.vaddr = reinterpret_cast<std::uintptr_t>(memory.data());
  map.iova = iova;
  map.size = memory.size();
  if (ioctl(fd_.get(), VFIO_IOMMU_MAP_DMA, &map) < 0) {
    std::string doing = format("mapping %zu bytes for DMA at IOVA %#llx", memory.size(),
                               static_cast<unsigned long long>(iova));
    // Mapped memory is pinned, and so counts as locked.
    if (errno == ENOMEM)
      doing +=
          format(" (%llu KiB are mapped already, RLIMIT_MEMLOCK is %s)",
                 static_cast<unsigned long long>(mapped_bytes_ / 1024), memlock_limit().c_str());
    throw_errno(doing);
  }
  mapped_bytes_ += memory.size();
}

void Container::unmap_dma(std::uint64_t iova, std::uint64_t size) {
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = sizeof(unmap);
  unmap.iova = iova;
  unmap.size = size;
  const auto start = static_cast<unsigned long long>(iova);
  if (ioctl(fd_.get(), VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
    throw_errno(format("unmapping DMA at IOVA %#llx", start));
  // The kernel stores how much it unmapped: less is no error to it, but is to us.
  if (unmap.size != size)
    fail(format("unmapping DMA at IOVA %#llx: %llu bytes instead of %llu", start,
                static_cast<unsigned long long>(unmap.size),
                static_cast<unsigned long long>(size)));
  mapped_bytes_ -= size;
}

DmaMapping::DmaMapping(Container& container, std::span<std::byte> memory, Access access)
    : container_(container), iova_(container.allocate_iova(memory.size())), size_(memory.size()) {
  container_.map_dma(memory, iova_, access);
}

void DmaMapping::unmap() {
  if (size_ != 0) container_.unmap_dma(iova_, std::exchange(size_, 0));
}

DmaMapping::~DmaMapping() {
  try {
    unmap();
  } catch (const std::exception& error) {
    // The kernel keeps the pages pinned, so that nothing of ours gets damaged.
    std::fprintf(stderr, "nvme: %s\n", error.what());
  }
}

Registers::~Registers() {
  for (const auto& window : windows_) munmap(window.address, window.size);
}

volatile std::uint32_t* Registers::at(std::uint64_t offset) const {
  for (const auto& window : windows_)
    if (offset >= window.offset && offset - window.offset + sizeof(std::uint32_t) <= window.size)
      return reinterpret_cast<volatile std::uint32_t*>(window.address + (offset - window.offset));
  fail(format("the register at %#llx is not mapped", static_cast<unsigned long long>(offset)));
}

// As two halves, low first: each device takes that, not each takes 64 bits.
std::uint64_t Registers::read64(std::uint64_t offset) const {
  const std::uint64_t low = read32(offset);
  return low | static_cast<std::uint64_t>(read32(offset + 4)) << 32;
}

void Registers::write64(std::uint64_t offset, std::uint64_t value) {
  write32(offset, static_cast<std::uint32_t>(value));
  write32(offset + 4, static_cast<std::uint32_t>(value >> 32));
}

Device::Device(Group& group, const std::string& bdf)
    : fd_(ioctl(group.fd(), VFIO_GROUP_GET_DEVICE_FD, bdf.c_str())), bdf_(bdf) {
  if (fd_.get() < 0)
    throw_errno(format("opening device %s of group %d", bdf.c_str(), group.number()));
}

Registers Device::map_bar(unsigned index) {
  const std::string name = format("BAR %u of %s", index, bdf_.c_str());
  vfio_region_info wanted{};
  wanted.index = VFIO_PCI_BAR0_REGION_INDEX + index;
  const InfoQuery<vfio_region_info> query(fd_.get(), VFIO_DEVICE_GET_REGION_INFO, wanted,
                                          "asking for " + name);
  const auto info = query.info();
  if (info.size == 0) fail(name + " does not exist");
  if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP)) fail(name + " cannot be mapped");

  // All of it, unless the kernel lists the parts.
  std::vector<vfio_region_sparse_mmap_area> areas{{.offset = 0, .size = info.size}};
  std::size_t capability = 0;
  if (info.flags & VFIO_REGION_INFO_FLAG_CAPS)
    capability = query.find_capability(info.cap_offset, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
  if (capability != 0) {
    using Capability = vfio_region_info_cap_sparse_mmap;
    areas.resize(query.load<Capability>(capability).nr_areas);
    for (std::size_t i = 0; i < areas.size(); i++)
      areas[i] = query.load<vfio_region_sparse_mmap_area>(capability + sizeof(Capability) +
                                                          i * sizeof(areas[i]));
  }

  Registers registers;
  registers.windows_.reserve(areas.size());
  for (const auto& area : areas) {
    void* address = mmap(nullptr, area.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(),
                         static_cast<off_t>(info.offset + area.offset));
    if (address == MAP_FAILED) throw_errno("mapping " + name);
    registers.windows_.push_back({area.offset, area.size, static_cast<std::byte*>(address)});
  }
  return registers;
}

void Device::enable_bus_master() {
  vfio_region_info info{};
  info.argsz = sizeof(info);
  info.index = VFIO_PCI_CONFIG_REGION_INDEX;
  if (ioctl(fd_.get(), VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
    throw_errno("asking for the configuration space of " + bdf_);

  const auto offset = static_cast<off_t>(info.offset + PCI_COMMAND);
  std::uint16_t command = 0;
  if (pread(fd_.get(), &command, sizeof(command), offset) != sizeof(command))
    throw_errno("reading the command register of " + bdf_);
  command |= PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;
  if (pwrite(fd_.get(), &command, sizeof(command), offset) != sizeof(command))
    throw_errno("writing the command register of " + bdf_);
}

unsigned Device::msix_vectors() {
  vfio_irq_info info{};
  info.argsz = sizeof(info);
  info.index = VFIO_PCI_MSIX_IRQ_INDEX;
  if (ioctl(fd_.get(), VFIO_DEVICE_GET_IRQ_INFO, &info) < 0)
    throw_errno("asking for the MSI-X vectors of " + bdf_);
  return info.count;
}

void Device::enable_msix(std::span<const sys::EventFd* const> events) {
  // struct vfio_irq_set ends in an array: here of one eventfd a vector.
  std::vector<std::byte> storage(sizeof(vfio_irq_set) + events.size() * sizeof(std::int32_t));
  vfio_irq_set header{};
  header.argsz = static_cast<std::uint32_t>(storage.size());
  header.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  header.index = VFIO_PCI_MSIX_IRQ_INDEX;
  header.start = 0;
  header.count = static_cast<std::uint32_t>(events.size());
  std::memcpy(storage.data(), &header, sizeof(header));
  for (std::size_t i = 0; i < events.size(); i++) {
    const std::int32_t fd = events[i]->fd();
    std::memcpy(storage.data() + sizeof(header) + i * sizeof(fd), &fd, sizeof(fd));
  }
  if (ioctl(fd_.get(), VFIO_DEVICE_SET_IRQS, storage.data()) < 0)
    throw_errno(format("enabling %zu MSI-X vectors of %s", events.size(), bdf_.c_str()));
}

}  // namespace vfio
