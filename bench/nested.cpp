// SPDX-License-Identifier: GPL-2.0
#include "nested.hpp"

#include <endian.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

#include "uapi/vfio_zpci.h"

namespace bench {
namespace {

constexpr std::uint32_t kHandle = 1;
constexpr std::uint64_t kInvalidTable = 0x20;
constexpr std::uint64_t kInvalidPage = 0x400;
constexpr std::size_t kRegionEntries = 2048;
constexpr std::size_t kPageEntries = 256;

void check(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

bool NestedGuest::possible() { return Container::knows(VFIO_ZPCI_IOMMU); }

NestedGuest::NestedGuest(const Memory& memory, std::size_t functions)
    : memory_(memory.address()),
      nested_(possible()),
      container_(std::make_unique<Container>(Container::group_of(Container::find_device("0x11e8")),
                                             nested_ ? VFIO_ZPCI_IOMMU : VFIO_TYPE1v2_IOMMU)),
      functions_(functions),
      tables_(Layout::kThp, 8 * kMiB),
      tables_gpa_(memory.size()),
      used_(kPage),
      root_(new_table(kRegionEntries, kInvalidTable)) {
  if (!nested_) return;
  container_->map(0, memory.address(), memory.size());
  container_->map(tables_gpa_, tables_.address(), tables_.size());

  const std::vector<std::string> names = Container::find_devices("0x11e8");
  const std::size_t count = std::min(functions_, names.size());
  devices_.push_back(container_->open_device(names[0]));
  for (std::size_t i = 1; i < count; i++) {
    groups_.push_back(container_->add_group(Container::group_of(names[i])));
    devices_.push_back(ioctl(groups_.back(), VFIO_GROUP_GET_DEVICE_FD, names[i].c_str()));
    check(devices_.back(), "GET_DEVICE_FD");
  }
  for (std::size_t i = 0; i < functions_; i++) {
    const std::size_t of = i % count;
    add_function(kHandle + static_cast<std::uint32_t>(i),
                 of ? groups_[of - 1] : container_->group());
  }

  // The first page of the tables' memory is the doorbell's.
  bell_ = eventfd(0, EFD_CLOEXEC);
  other_ = eventfd(0, EFD_CLOEXEC);
  vfio_zpci_doorbell doorbell{};
  doorbell.argsz = sizeof(doorbell);
  doorbell.fh = kHandle;
  doorbell.eventfd = bell_;
  doorbell.page = tables_gpa_;
  check(ioctl(container_->fd(), VFIO_ZPCI_SET_DOORBELL, &doorbell), "SET_DOORBELL");
}

NestedGuest::~NestedGuest() {
  for (const std::vector<int>& fds : {devices_, groups_, {bell_, other_}})
    for (const int fd : fds)
      if (fd >= 0) close(fd);
}

void NestedGuest::add_function(std::uint32_t fh, int group) {
  vfio_zpci_register request{};
  request.argsz = sizeof(request);
  request.fh = fh;
  request.group_fd = group;
  request.format = VFIO_ZPCI_FORMAT_S390;
  // Translation, by a region-third table.
  request.anchor = root_ | 0x800 | 1 << 2;
  request.pal = (std::uint64_t{1} << 38) - 1;
  check(ioctl(container_->fd(), VFIO_ZPCI_REGISTER, &request), "REGISTER");
}

std::uint64_t NestedGuest::add_memory(const Memory& memory) {
  container_->map(more_gpa(), memory.address(), memory.size());
  return more_gpa();
}

void NestedGuest::remove_memory(const Memory& memory) {
  container_->unmap(more_gpa(), memory.size(), memory.size());
}

vfio_zpci_doorbell_page& NestedGuest::doorbell_page() const {
  return *reinterpret_cast<vfio_zpci_doorbell_page*>(tables_.address());
}

void NestedGuest::ask(std::uint64_t iova) {
  vfio_zpci_doorbell_page& page = doorbell_page();
  page.ranges[0] = {iova, kPage};
  page.request = ++asked_ | std::uint64_t{1} << VFIO_ZPCI_DOORBELL_COUNT_SHIFT;
}

void NestedGuest::signal(int eventfd) {
  const std::uint64_t one = 1;
  check(static_cast<int>(write(eventfd, &one, sizeof(one))), "signaling an eventfd");
}

bool NestedGuest::answered() const {
  const std::uint64_t done = std::uint64_t{1} << VFIO_ZPCI_DOORBELL_DONE_SHIFT;
  return __atomic_load_n(&doorbell_page().completion, __ATOMIC_ACQUIRE) == (done | asked_);
}

// Returns the guest address of a new table, which is aligned to its size.
std::uint64_t NestedGuest::new_table(std::size_t entries, std::uint64_t invalid) {
  const std::size_t size = entries * sizeof(std::uint64_t);
  used_ = (used_ + size - 1) & ~(size - 1);
  if (used_ + size > tables_.size()) throw std::runtime_error("too many tables");
  auto* table = reinterpret_cast<std::uint64_t*>(tables_.address() + used_);
  for (std::size_t i = 0; i < entries; i++) table[i] = htobe64(invalid);
  used_ += size;
  return tables_gpa_ + used_ - size;
}

// The entry of a page; tables are made as they are needed.
std::uint64_t* NestedGuest::entry(std::uint64_t iova) {
  const auto at = [&](std::uint64_t table, std::uint64_t index) {
    return reinterpret_cast<std::uint64_t*>(tables_.address() + table - tables_gpa_) + index;
  };
  std::uint64_t* region = at(root_, (iova >> 31) % kRegionEntries);
  if (be64toh(*region) == kInvalidTable)
    *region = htobe64(new_table(kRegionEntries, kInvalidTable) | 0x7);
  std::uint64_t* segment = at(be64toh(*region) & ~0x3fffull, (iova >> 20) % kRegionEntries);
  if (be64toh(*segment) == kInvalidTable) *segment = htobe64(new_table(kPageEntries, kInvalidPage));
  return at(be64toh(*segment) & ~0x7ffull, (iova >> 12) % kPageEntries);
}

void NestedGuest::map(std::uint64_t iova, std::uint64_t gpa) { *entry(iova) = htobe64(gpa); }

void NestedGuest::invalidate(std::uint64_t iova, std::size_t npages) {
  for (std::size_t i = 0; i < npages; i++) *entry(iova + i * kPage) = htobe64(kInvalidPage);
}

void NestedGuest::refresh_function(std::uint32_t fh, std::uint64_t iova, std::uint64_t size) {
  vfio_zpci_refresh request{};
  request.argsz = sizeof(request);
  request.fh = fh;
  request.start = iova;
  request.length = size;
  check(ioctl(container_->fd(), VFIO_ZPCI_REFRESH, &request), "REFRESH");
  if (request.cc != VFIO_ZPCI_CC_OK)
    throw std::runtime_error("a refresh ended with cc " + std::to_string(request.cc) + ", status " +
                             std::to_string(request.status));
}

void NestedGuest::refresh_all(std::uint64_t iova, std::uint64_t size) {
  for (std::size_t i = 0; i < functions_; i++)
    refresh_function(kHandle + static_cast<std::uint32_t>(i), iova, size);
}

void NestedGuest::refresh(std::uint64_t iova, std::uint64_t size) {
  if (nested_) return refresh_function(kHandle, iova, size);
  for (std::uint64_t at = iova; at < iova + size; at += kPage) {
    const std::uint64_t page = be64toh(*entry(at));
    if (page & kInvalidPage)
      container_->unmap(at, kPage, kPage);
    else
      container_->map(at, memory_ + page, kPage);
  }
}

NestedGuest::Record NestedGuest::record() const {
  if (!nested_) return {};
  vfio_zpci_statistics statistics{};
  statistics.argsz = sizeof(statistics);
  statistics.fh = kHandle;
  check(ioctl(container_->fd(), VFIO_ZPCI_GET_STATISTICS, &statistics), "GET_STATISTICS");
  return {statistics.bytes, statistics.pages};
}

}  // namespace bench
