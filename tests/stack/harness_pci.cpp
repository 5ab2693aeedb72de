// SPDX-License-Identifier: GPL-2.0
//
// Test devices in sysfs, the container-group-device session, and the driver
// of QEMU's edu device.
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include <algorithm>

#include "harness.hpp"

namespace stack {

static const std::string kPci = "/sys/bus/pci/devices/";

std::string PciDevice::node() const {
  return "/dev/vfio/" + std::to_string(group);
}

std::string PciDevice::sysfs() const { return kPci + bdf; }

static std::string link_name(const std::string& path) {
  char target[512];
  ssize_t n = readlink(path.c_str(), target, sizeof target - 1);
  if (n <= 0) return "";
  std::string text(target, static_cast<size_t>(n));
  return text.substr(text.rfind('/') + 1);
}

static std::vector<std::string> entries(const std::string& path) {
  std::vector<std::string> names;
  if (DIR* dir = opendir(path.c_str())) {
    while (dirent* entry = readdir(dir))
      if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    closedir(dir);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<PciDevice> pci_device(const std::string& bdf) {
  PciDevice d;
  d.bdf = bdf;
  if (!exists(d.sysfs())) return std::nullopt;
  d.vendor = static_cast<unsigned>(
      strtoul(read_text(d.sysfs() + "/vendor").c_str(), nullptr, 16));
  d.device = static_cast<unsigned>(
      strtoul(read_text(d.sysfs() + "/device").c_str(), nullptr, 16));
  std::string group = link_name(d.sysfs() + "/iommu_group");
  if (!group.empty()) d.group = atoi(group.c_str());
  d.driver = link_name(d.sysfs() + "/driver");
  return d;
}

std::vector<PciDevice> pci_devices(unsigned vendor, unsigned device) {
  std::vector<PciDevice> found;
  for (const std::string& bdf : entries(kPci)) {
    std::optional<PciDevice> d = pci_device(bdf);
    if (d && d->vendor == vendor && d->device == device) found.push_back(*d);
  }
  return found;
}

std::vector<std::string> group_members(int group) {
  return entries("/sys/kernel/iommu_groups/" + std::to_string(group) +
                 "/devices");
}

std::vector<PciDevice> lone_devices() {
  std::vector<PciDevice> devices = pci_devices(0x1234, 0x11e8), found;
  if (devices.empty()) devices = pci_devices(0x1af4, 0x1044);
  for (const PciDevice& d : devices)
    if (d.driver == "vfio-pci" && group_members(d.group).size() == 1)
      found.push_back(d);
  return found;
}

std::vector<PciDevice> edu_pair() {
  std::vector<PciDevice> found;
  for (const PciDevice& d : pci_devices(0x1234, 0x11e8))
    if (group_members(d.group).size() == 2) found.push_back(d);
  if (found.size() != 2 || found[0].group != found[1].group) found.clear();
  return found;
}

long unbind_driver(const std::string& bdf) {
  return write_text(kPci + bdf + "/driver/unbind", bdf);
}

long bind_driver(const std::string& bdf, const std::string& driver) {
  long result = write_text(kPci + bdf + "/driver_override", driver + "\n");
  if (result < 0) return result;
  return write_text("/sys/bus/pci/drivers/" + driver + "/bind", bdf);
}

Fd open_container() { return open_path("/dev/vfio/vfio"); }

Fd open_group(const PciDevice& device) { return open_path(device.node()); }

Fd get_device(int group, const std::string& bdf) {
  return Fd(
      static_cast<int>(call(group, VFIO_GROUP_GET_DEVICE_FD, bdf.c_str())));
}

long group_flags(int group) {
  vfio_group_status status{};
  status.argsz = sizeof status;
  long result = call(group, VFIO_GROUP_GET_STATUS, &status);
  return result < 0 ? result : static_cast<long>(status.flags);
}

Session::Session(std::vector<PciDevice> devices, unsigned long type)
    : pci_(std::move(devices)), container_(open_container()) {
  EXPECT_OK(container_.get()) << "open /dev/vfio/vfio";
  if (!container_.valid()) return;
  for (const PciDevice& d : pci_) {
    groups_.push_back(open_group(d));
    EXPECT_OK(groups_.back().get()) << "open " << d.node();
    long result = set_container(groups_.back(), container_);
    EXPECT_OK(result) << "SET_CONTAINER " << d.node();
    if (result < 0) return;
  }
  if (type) {
    long result = set_iommu(container_, type);
    EXPECT_OK(result) << "SET_IOMMU " << type;
    if (result < 0) return;
    for (size_t i = 0; i < pci_.size(); i++) {
      devices_.push_back(get_device(groups_[i], pci_[i].bdf));
      EXPECT_OK(devices_.back().get()) << "GET_DEVICE_FD " << pci_[i].bdf;
      if (!devices_.back().valid()) return;
    }
  }
  ok_ = true;
}

Session::~Session() {
  devices_.clear();
  groups_.clear();
  container_.reset();
}

void OneDevice::SetUp() {
  REQUIRE_DEVICES(1);
  s = Session({lone_devices()[0]});
  ASSERT_TRUE(s.ok());
}

// --- regions and interrupts -----------------------------------------------

vfio_region_info region_info(int device, uint32_t index) {
  vfio_region_info info{};
  info.argsz = sizeof info;
  info.index = index;
  if (call(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0) info.size = 0;
  return info;
}

uint16_t config_read16(int device, uint32_t offset) {
  vfio_region_info info = region_info(device, VFIO_PCI_CONFIG_REGION_INDEX);
  uint16_t value = 0xffff;
  if (pread(device, &value, sizeof value,
            static_cast<off_t>(info.offset + offset)) != sizeof value)
    ADD_FAILURE() << "config read at " << offset;
  return little_endian(value);
}

testing::AssertionResult answers(int device, const PciDevice& pci) {
  const uint16_t vendor = config_read16(device, 0);
  if (vendor == pci.vendor) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << "its vendor reads as " << vendor << ", not " << pci.vendor;
}

void config_write16(int device, uint32_t offset, uint16_t value) {
  vfio_region_info info = region_info(device, VFIO_PCI_CONFIG_REGION_INDEX);
  value = little_endian(value);
  if (pwrite(device, &value, sizeof value,
             static_cast<off_t>(info.offset + offset)) != sizeof value)
    ADD_FAILURE() << "config write at " << offset;
}

long set_irq_eventfd(int device, uint32_t index, int eventfd) {
  alignas(vfio_irq_set) uint8_t buffer[sizeof(vfio_irq_set) + sizeof(int)] = {};
  auto* set = reinterpret_cast<vfio_irq_set*>(buffer);
  set->argsz = sizeof buffer;
  set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  set->index = index;
  set->start = 0;
  set->count = 1;
  memcpy(set->data, &eventfd, sizeof eventfd);
  return call(device, VFIO_DEVICE_SET_IRQS, set);
}

long disable_irqs(int device, uint32_t index) {
  vfio_irq_set set{};
  set.argsz = sizeof set;
  set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
  set.index = index;
  return call(device, VFIO_DEVICE_SET_IRQS, &set);
}

// --- edu ------------------------------------------------------------------

namespace {
constexpr uint32_t kPciCommand = 4;
constexpr uint16_t kMemoryAndMaster = 6;
constexpr uint32_t kDmaSource = 0x80, kDmaTarget = 0x88, kDmaCount = 0x90,
                   kDmaCommand = 0x98;
constexpr uint64_t kBuffer = 0x40000;  // the device's name for its own buffer
constexpr uint32_t kStart = 1, kFromDevice = 2, kRaise = 4;
}  // namespace

Edu::Edu(int device) {
  config_write16(device, kPciCommand,
                 config_read16(device, kPciCommand) | kMemoryAndMaster);
  vfio_region_info info = region_info(device, VFIO_PCI_BAR0_REGION_INDEX);
  size_ = info.size;
  void* p = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, device,
                 static_cast<off_t>(info.offset));
  if (p == MAP_FAILED) {
    ADD_FAILURE() << "mmap of BAR0: " << errno_name(-errno);
    return;
  }
  bar_ = static_cast<volatile uint8_t*>(p);
}

Edu::~Edu() {
  if (bar_) munmap(const_cast<uint8_t*>(bar_), size_);
}

uint32_t Edu::read32(uint32_t offset) const {
  return *reinterpret_cast<volatile uint32_t*>(bar_ + offset);
}

void Edu::write32(uint32_t offset, uint32_t value) {
  *reinterpret_cast<volatile uint32_t*>(bar_ + offset) = value;
}

void Edu::write64(uint32_t offset, uint64_t value) {
  *reinterpret_cast<volatile uint64_t*>(bar_ + offset) = value;
}

bool Edu::transfer(uint64_t from, uint64_t to, uint32_t size,
                   uint32_t command) {
  write64(kDmaSource, from);
  write64(kDmaTarget, to);
  write64(kDmaCount, size);
  write64(kDmaCommand, command | kStart);
  for (int i = 0; i < 5000; i++) {
    if (!(read32(kDmaCommand) & kStart)) return true;
    usleep(1000);
  }
  return false;
}

// QEMU aborts on a transfer that leaves the device's buffer, so the sizes are
// checked here.
bool Edu::fetch(uint64_t iova, uint32_t offset, uint32_t size, bool irq) {
  if (offset + size > kMaxTransfer) return false;
  return transfer(iova, kBuffer + offset, size, irq ? kRaise : 0);
}

bool Edu::store(uint64_t iova, uint32_t offset, uint32_t size, bool irq) {
  if (offset + size > kMaxTransfer) return false;
  return transfer(kBuffer + offset, iova, size,
                  kFromDevice | (irq ? kRaise : 0));
}

bool Edu::copy(uint64_t to, uint64_t from, uint32_t size) {
  return fetch(from, 0, size) && store(to, 0, size);
}

}  // namespace stack
