// SPDX-License-Identifier: GPL-2.0
#include "virtio_rng.hpp"

#include <string.h>

#include <algorithm>
#include <fstream>

namespace stack {

namespace {

// The queue in its page: descriptors, then what is offered, then what was used.
// All numbers are little-endian, as in the device's registers.
struct Descriptor {
  uint64_t address;
  uint32_t size;
  uint16_t flags, next;
};
constexpr uint16_t kEntries = 8;
struct Offered {
  uint16_t flags;
  volatile uint16_t index;
  uint16_t ring[kEntries];
};
struct Used {
  uint16_t flags;
  volatile uint16_t index;
  struct {
    uint32_t id, size;
  } volatile ring[kEntries];
};
constexpr uint64_t kOffered = 0x400, kUsed = 0x800;
constexpr uint16_t kDeviceWrites = 2;

// The common configuration structure.
enum Common : uint64_t {
  kDriverFeatureSelect = 8,
  kDriverFeature = 12,
  kStatus = 20,
  kQueueSelect = 22,
  kQueueSize = 24,
  kQueueEnable = 28,
  kQueueNotifyOff = 30,
  kQueueDescriptors = 32,
  kQueueOffered = 40,
  kQueueUsed = 48,
};
constexpr uint8_t kAcknowledge = 1, kDriver = 2, kDriverOk = 4, kFeaturesOk = 8;
constexpr uint8_t kBlank = 0x5a;
// Of features 32 to 63: virtio 1, and addresses that an IOMMU translates.
constexpr uint32_t kVersion1 = 1, kAccessPlatform = 2;

}  // namespace

std::vector<PciDevice> virtio_rngs() {
  std::vector<PciDevice> found;
  for (const PciDevice& device : pci_devices(0x1af4, 0x1044))
    if (device.driver == "vfio-pci") found.push_back(device);
  return found;
}

bool ats_enabled(const PciDevice& device) {
  constexpr uint32_t kAts = 0xf;
  std::ifstream in(device.sysfs() + "/config", std::ios::binary);
  const std::string config{std::istreambuf_iterator<char>(in), {}};

  for (size_t at = 0x100; at && at + 8 <= config.size();) {
    uint32_t head, control;
    memcpy(&head, &config[at], sizeof head);
    memcpy(&control, &config[at + 4], sizeof control);
    head = little_endian(head);
    control = little_endian(control);
    if ((head & 0xffff) == kAts) return control >> 31;
    at = head >> 20;
  }
  return false;
}

void recover(const PciDevice& device) {
  if (!exists(device.sysfs() + "/recover")) return;
  EXPECT_OK(write_text(device.sysfs() + "/recover", "1"));
  unbind_driver(device.bdf);
  EXPECT_OK(bind_driver(device.bdf, "vfio-pci"));
}

void RandomTarget::wipe() { std::fill_n(data_, size_, kBlank); }

bool RandomTarget::random_at(size_t offset, size_t size) const {
  const uint8_t* first = data_ + offset;
  const auto blank = std::count(first, first + size, kBlank);
  return blank < static_cast<std::ptrdiff_t>(size) / 2;
}

bool RandomTarget::blank_but(size_t offset, size_t size) const {
  const auto untouched = [this](size_t from, size_t to) {
    return std::all_of(data_ + from, data_ + to,
                       [](uint8_t byte) { return byte == kBlank; });
  };
  return untouched(0, offset) && untouched(offset + size, size_);
}

void RandomTarget::expect_only(size_t offset, size_t size) const {
  EXPECT_TRUE(random_at(offset, size)) << offset << ", " << size;
  EXPECT_TRUE(blank_but(offset, size)) << offset << ", " << size;
}

VirtioRng::VirtioRng(int container, int device, uint64_t queue_iova)
    : container_(container),
      device_(device),
      iova_(queue_iova),
      own_(kPage),
      queue_(own_.data()) {
  own_.touch(0);
  EXPECT_OK(map_dma(container_, queue_, iova_, kPage));
  ok_ = find_structures() && start();
}

VirtioRng::VirtioRng(int device, uint8_t* queue, uint64_t queue_iova)
    : device_(device), iova_(queue_iova), queue_(queue) {
  memset(queue_, 0, kPage);
  ok_ = find_structures() && start();
}

VirtioRng::~VirtioRng() {
  if (common_) write<uint8_t>(common_ + kStatus, 0);
  if (own_.ok()) {
    EXPECT_EQ(unmap_dma(container_, iova_, kPage).size, kPage);
  }
}

template <typename T>
T VirtioRng::read(uint64_t at) const {
  T value{};
  EXPECT_EQ(pread(device_, &value, sizeof value, static_cast<off_t>(at)),
            static_cast<ssize_t>(sizeof value));
  return little_endian(value);
}

template <typename T>
void VirtioRng::write(uint64_t at, T value) {
  value = little_endian(value);
  EXPECT_EQ(pwrite(device_, &value, sizeof value, static_cast<off_t>(at)),
            static_cast<ssize_t>(sizeof value));
}

// By the vendor's capabilities in configuration space.
bool VirtioRng::find_structures() {
  constexpr uint8_t kVendor = 9, kCommonConfig = 1, kNotify = 2;
  const uint64_t config =
      region_info(device_, VFIO_PCI_CONFIG_REGION_INDEX).offset;

  config_write16(device_, 4, 6);  // memory, bus master
  for (uint8_t at = read<uint8_t>(config + 0x34); at;
       at = read<uint8_t>(config + at + 1)) {
    if (read<uint8_t>(config + at) != kVendor) continue;
    const uint8_t type = read<uint8_t>(config + at + 3);
    if (type != kCommonConfig && type != kNotify) continue;
    const uint64_t place =
        region_info(device_, read<uint8_t>(config + at + 4)).offset +
        read<uint32_t>(config + at + 8);
    if (type == kCommonConfig) {
      common_ = place;
    } else {
      notify_ = place;
      notify_step_ = read<uint32_t>(config + at + 16);
    }
  }
  EXPECT_TRUE(common_ && notify_) << "a virtio 1 device";
  return common_ && notify_;
}

bool VirtioRng::start() {
  const auto address = [this](uint64_t at, uint64_t value) {
    write<uint32_t>(common_ + at, static_cast<uint32_t>(value));
    write<uint32_t>(common_ + at + 4, static_cast<uint32_t>(value >> 32));
  };
  uint8_t status = kAcknowledge | kDriver;

  write<uint8_t>(common_ + kStatus, 0);
  write<uint8_t>(common_ + kStatus, status);
  write<uint32_t>(common_ + kDriverFeatureSelect, 0);
  write<uint32_t>(common_ + kDriverFeature, 0);
  write<uint32_t>(common_ + kDriverFeatureSelect, 1);
  write<uint32_t>(common_ + kDriverFeature, kVersion1 | kAccessPlatform);
  write<uint8_t>(common_ + kStatus, status |= kFeaturesOk);
  if (!(read<uint8_t>(common_ + kStatus) & kFeaturesOk)) return false;
  write<uint16_t>(common_ + kQueueSelect, 0);
  write<uint16_t>(common_ + kQueueSize, kEntries);
  address(kQueueDescriptors, iova_);
  address(kQueueOffered, iova_ + kOffered);
  address(kQueueUsed, iova_ + kUsed);
  notify_ += uint64_t{read<uint16_t>(common_ + kQueueNotifyOff)} * notify_step_;
  write<uint16_t>(common_ + kQueueEnable, 1);
  write<uint8_t>(common_ + kStatus, status |= kDriverOk);
  return true;
}

int64_t VirtioRng::fill(uint64_t iova, uint32_t size, int timeout_ms) {
  auto* descriptors = reinterpret_cast<Descriptor*>(queue_);
  auto* offered = reinterpret_cast<Offered*>(queue_ + kOffered);
  auto* used = reinterpret_cast<Used*>(queue_ + kUsed);
  const uint16_t before = used->index;
  const uint16_t index = little_endian(offered->index);

  descriptors[0] = {little_endian(iova), little_endian(size),
                    little_endian(kDeviceWrites), 0};
  offered->ring[index % kEntries] = 0;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  offered->index = little_endian(static_cast<uint16_t>(index + 1));
  write<uint16_t>(notify_, 0);
  for (int ms = 0; used->index == before; ms++) {
    if (ms == timeout_ms) return -1;
    usleep(1000);
  }
  return little_endian(
      uint32_t{used->ring[little_endian(before) % kEntries].size});
}

}  // namespace stack
