// SPDX-License-Identifier: GPL-2.0
//
// The client side of vfio_testdev.ko, see testdev.hpp.
#include "testdev.hpp"

#include <stdio.h>
#include <string.h>

namespace stack {

Fd testdev_control() {
  const std::string path = "/dev/" VFIO_TESTDEV_NAME;
  if (!exists(path) && system("modprobe " VFIO_TESTDEV_NAME) != 0)
    note("modprobe " VFIO_TESTDEV_NAME " failed");
  return open_path(path);
}

Testdev::Testdev(TestdevOptions options) {
  config_.kind = options.kind;
  config_.set = options.set;
  config_.mig_flags = options.mig_flags;
  config_.log = options.log;
  config_.init_errno = options.init_errno;
  Fd control = testdev_control();
  EXPECT_OK(control.get()) << "vfio_testdev.ko is needed";
  if (control.valid()) result_ = call(control, VFIO_TESTDEV_CREATE, &config_);
}

Testdev::Testdev(Testdev&& other) noexcept
    : config_(other.config_), result_(std::exchange(other.result_, -1)) {}

Testdev::~Testdev() {
  if (ok()) {
    EXPECT_OK(destroy());
  }
}

std::string Testdev::node() const {
  return "/dev/vfio/" + std::to_string(config_.group);
}

vfio_testdev_stats Testdev::stats() const {
  vfio_testdev_stats stats{};
  stats.id = id();
  EXPECT_OK(call(testdev_control(), VFIO_TESTDEV_STATS, &stats));
  return stats;
}

void Testdev::fail_open(int error) {
  vfio_testdev_open_errno fail{id(), -error};
  EXPECT_OK(call(testdev_control(), VFIO_TESTDEV_OPEN_ERRNO, &fail));
}

void Testdev::act(vfio_testdev_act what) {
  what.id = id();
  EXPECT_OK(call(testdev_control(), VFIO_TESTDEV_ACT, &what));
}

long Testdev::destroy() {
  int id = config_.id;
  result_ = -1;
  return call(testdev_control(), VFIO_TESTDEV_DESTROY, &id);
}

TestdevSession::TestdevSession(const std::vector<const Testdev*>& devices,
                               unsigned long type)
    : container_(open_container()) {
  EXPECT_OK(container_.get()) << "open /dev/vfio/vfio";
  for (const Testdev* d : devices) {
    groups_.push_back(open_path(d->node()));
    EXPECT_OK(groups_.back().get()) << "open " << d->node();
    long result = set_container(groups_.back(), container_);
    EXPECT_OK(result) << "SET_CONTAINER " << d->node();
    if (result < 0) return;
  }
  if (!type) {
    ok_ = true;
    return;
  }
  long result = set_iommu(container_, type);
  EXPECT_OK(result) << "SET_IOMMU " << type;
  if (result < 0) return;
  for (size_t i = 0; i < devices.size(); i++) {
    devices_.push_back(get_device(groups_[i], devices[i]->name()));
    EXPECT_OK(devices_.back().get()) << "open " << devices[i]->name();
    if (!devices_.back().valid()) return;
  }
  ok_ = true;
}

TestdevSession::~TestdevSession() {
  devices_.clear();
  groups_.clear();
}

void OneTestdev::SetUp() {
  dev.emplace(options());
  ASSERT_TRUE(dev->ok()) << errno_name(dev->result());
  s.emplace(std::vector<const Testdev*>{&*dev});
  ASSERT_TRUE(s->ok());
}

long pin(int device, uint64_t iova, int npage, uint32_t prot, uint32_t flags,
         std::vector<uint64_t>* pfns) {
  vfio_testdev_pin pin{};
  pin.iova = iova;
  pin.npage = npage;
  pin.prot = prot;
  pin.flags = flags;
  if (pfns) {
    pfns->assign(512, 0);
    pin.pfns = reinterpret_cast<uintptr_t>(pfns->data());
  }
  long result = call(device, VFIO_TESTDEV_PIN, &pin);
  EXPECT_OK(result) << "the pin ioctl itself";
  if (pfns) pfns->resize(pin.ret > 0 ? static_cast<size_t>(pin.ret) : 0);
  return result < 0 ? result : pin.ret;
}

long unpin(int device, uint64_t iova, int npage, uint32_t flags) {
  vfio_testdev_pin pin{};
  pin.iova = iova;
  pin.npage = npage;
  pin.flags = flags;
  return call(device, VFIO_TESTDEV_UNPIN, &pin);
}

static long dma_rw(int device, uint64_t iova, uintptr_t data, size_t size,
                   bool write, uint32_t flags) {
  vfio_testdev_dma_rw rw{};
  rw.iova = iova;
  rw.data = data;
  rw.size = static_cast<uint32_t>(size);
  rw.write = write;
  rw.flags = flags;
  long result = call(device, VFIO_TESTDEV_DMA_RW, &rw);
  EXPECT_OK(result) << "the dma_rw ioctl itself";
  return result < 0 ? result : rw.ret;
}

long dma_write(int device, uint64_t iova, const void* data, size_t size,
               uint32_t flags) {
  return dma_rw(device, iova, reinterpret_cast<uintptr_t>(data), size, true,
                flags);
}

long dma_read(int device, uint64_t iova, void* data, size_t size,
              uint32_t flags) {
  return dma_rw(device, iova, reinterpret_cast<uintptr_t>(data), size, false,
                flags);
}

void set_policy(int device, uint32_t policy, uint32_t ignore) {
  vfio_testdev_policy p{policy, ignore};
  EXPECT_OK(call(device, VFIO_TESTDEV_POLICY, &p));
}

std::vector<vfio_testdev_unmap_event> unmap_events(int device) {
  std::vector<vfio_testdev_unmap_event> list(VFIO_TESTDEV_MAX_EVENTS);
  vfio_testdev_events events{};
  events.events = reinterpret_cast<uintptr_t>(list.data());
  EXPECT_OK(call(device, VFIO_TESTDEV_EVENTS, &events));
  EXPECT_EQ(events.lost, 0u) << "more dma_unmap() calls than are kept";
  list.resize(events.count);
  return list;
}

uint64_t pfn_of(const void* uva) {
  Fd pagemap = open_path("/proc/self/pagemap", O_RDONLY);
  uint64_t entry = 0;
  off_t offset =
      static_cast<off_t>(reinterpret_cast<uintptr_t>(uva) / kPage * 8);
  if (pread(pagemap, &entry, sizeof entry, offset) != sizeof entry) return 0;
  bool present = entry >> 63;
  return present ? entry & ((1ull << 55) - 1) : 0;
}

long feature(int device, uint32_t flags, void* data, size_t size,
             std::optional<uint32_t> argsz) {
  std::vector<uint64_t> buffer((sizeof(vfio_device_feature) + size + 7) / 8);
  auto* head = reinterpret_cast<vfio_device_feature*>(buffer.data());
  head->argsz =
      argsz.value_or(static_cast<uint32_t>(sizeof(vfio_device_feature) + size));
  head->flags = flags;
  if (size) memcpy(head->data, data, size);
  long result = call(device, VFIO_DEVICE_FEATURE, head);
  if (size) memcpy(data, head->data, size);
  return result;
}

static long dirty_control(int container, uint32_t flags) {
  vfio_iommu_type1_dirty_bitmap dirty{};
  dirty.argsz = sizeof dirty;
  dirty.flags = flags;
  return call(container, VFIO_IOMMU_DIRTY_PAGES, &dirty);
}

long dirty_start(int container) {
  return dirty_control(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
}

long dirty_stop(int container) {
  return dirty_control(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
}

DirtyPages dirty_pages(int container, uint64_t iova, uint64_t npages) {
  std::vector<uint64_t> bits((npages + 63) / 64);
  alignas(uint64_t) uint8_t request[sizeof(vfio_iommu_type1_dirty_bitmap) +
                                    sizeof(vfio_iommu_type1_dirty_bitmap_get)];
  auto* head = reinterpret_cast<vfio_iommu_type1_dirty_bitmap*>(request);
  head->argsz = sizeof request;
  head->flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
  vfio_iommu_type1_dirty_bitmap_get get{};
  get.iova = iova;
  get.size = npages * kPage;
  get.bitmap.pgsize = kPage;
  get.bitmap.size = bits.size() * 8;
  get.bitmap.data = reinterpret_cast<__u64*>(bits.data());
  memcpy(head->data, &get, sizeof get);

  DirtyPages dirty;
  dirty.result = call(container, VFIO_IOMMU_DIRTY_PAGES, head);
  for (uint64_t i = 0; i < npages; i++)
    dirty.pages.push_back(bits[i / 64] >> (i % 64) & 1);
  return dirty;
}

std::string DirtyPages::text() const {
  if (result < 0) return errno_name(result);
  std::string out;
  for (size_t i = 0; i < pages.size(); i++) {
    if (!pages[i]) continue;
    size_t first = i;
    while (i + 1 < pages.size() && pages[i + 1]) i++;
    if (!out.empty()) out += ",";
    out += std::to_string(first);
    if (i > first) out += "-" + std::to_string(i);
  }
  return out.empty() ? "none" : out;
}

}  // namespace stack
