// SPDX-License-Identifier: GPL-2.0
#include "mdev_copy.hpp"

#include <string.h>
#include <time.h>

#include <array>
#include <atomic>

namespace stack {

namespace {
constexpr uint32_t kPciCommand = 4;
constexpr uint16_t kMaster = 4;

off_t bar0(uint32_t offset) {
  return (off_t{VFIO_PCI_BAR0_REGION_INDEX} << 40) + offset;
}
off_t bar2() { return off_t{VFIO_PCI_BAR2_REGION_INDEX} << 40; }
}  // namespace

std::string doorbell_name(Doorbell doorbell) {
  switch (doorbell) {
    case Doorbell::kTail:
      return "tail";
    case Doorbell::kWrite:
      return "write";
    case Doorbell::kKick:
      return "kick";
    case Doorbell::kPolled:
      return "polled";
  }
  return "";
}

CopyEngine::CopyEngine(const std::string& uuid, Doorbell doorbell, int shared)
    : session_(uuid, shared),
      kind_(doorbell),
      ring_iova_(shared < 0 ? kRing : kRing + kGiB) {
  EXPECT_TRUE(session_.ok()) << errno_name(session_.result());
  if (!session_.ok()) return;
  EXPECT_EQ(region_info(device(), VFIO_PCI_BAR0_REGION_INDEX).offset,
            static_cast<uint64_t>(bar0(0)));
  EXPECT_EQ(region_info(device(), VFIO_PCI_BAR2_REGION_INDEX).offset,
            static_cast<uint64_t>(bar2()));
  EXPECT_EQ(read32(MDEV_COPY_ID), MDEV_COPY_MAGIC);
  entries_ = read32(MDEV_COPY_RING_MAX);

  page_memory_ =
      Memory(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, device(), bar2());
  EXPECT_TRUE(page_memory_.ok()) << "mmap of the doorbell page";
  if (!page_memory_.ok()) return;
  page_ = reinterpret_cast<volatile mdev_copy_doorbell*>(page_memory_.data());

  memory_ = Memory(uint64_t{entries_} * MDEV_COPY_DESC_SIZE);
  EXPECT_OK(map_dma(container(), memory_.data(), ring_iova_, memory_.size()));
  irq_ = make_eventfd();
  EXPECT_OK(set_irq_eventfd(device(), VFIO_PCI_MSI_IRQ_INDEX, irq_));
  master(true);
  ok_ = enable();
  EXPECT_TRUE(ok_);
}

uint32_t CopyEngine::read32(uint32_t offset) const {
  uint32_t value = 0;
  EXPECT_EQ(pread(device(), &value, sizeof value, bar0(offset)), 4);
  return value;
}

uint64_t CopyEngine::read64(uint32_t offset) const {
  uint64_t value = 0;
  EXPECT_EQ(pread(device(), &value, sizeof value, bar0(offset)), 8);
  return value;
}

void CopyEngine::write32(uint32_t offset, uint32_t value) const {
  EXPECT_EQ(pwrite(device(), &value, sizeof value, bar0(offset)), 4);
}

void CopyEngine::write64(uint32_t offset, uint64_t value) const {
  EXPECT_EQ(pwrite(device(), &value, sizeof value, bar0(offset)), 8);
}

bool CopyEngine::halted() const {
  return read32(MDEV_COPY_STATUS) & MDEV_COPY_STATUS_HALTED;
}

void CopyEngine::master(bool on) const {
  config_write16(device(), kPciCommand, on ? kMaster : 0);
}

bool CopyEngine::enable(uint64_t base, uint32_t entries) {
  disable();
  write64(MDEV_COPY_RING_BASE, base);
  write32(MDEV_COPY_RING_SIZE, entries);
  write32(MDEV_COPY_CTRL,
          MDEV_COPY_CTRL_ENABLE |
              (kind_ == Doorbell::kPolled ? MDEV_COPY_CTRL_POLL : 0));
  tail_ = 0;
  return read32(MDEV_COPY_CTRL) & MDEV_COPY_CTRL_ENABLE;
}

void CopyEngine::disable() { write32(MDEV_COPY_CTRL, 0); }

volatile mdev_copy_desc& CopyEngine::at(uint32_t slot) {
  return reinterpret_cast<volatile mdev_copy_desc*>(memory_.data())[slot];
}

uint32_t CopyEngine::push(const mdev_copy_desc& desc) {
  uint32_t slot = tail_;
  memcpy(memory_.at(uint64_t{slot} * sizeof desc), &desc, sizeof desc);
  tail_ = (tail_ + 1) % entries_;
  return slot;
}

void CopyEngine::ring() { ring(tail_); }

void CopyEngine::ring(uint32_t tail) {
  switch (kind_) {
    case Doorbell::kTail:
      write32(MDEV_COPY_TAIL, tail);
      return;
    case Doorbell::kWrite:
      EXPECT_EQ(pwrite(device(), &tail, sizeof tail, bar2()), 4);
      return;
    case Doorbell::kKick:
    case Doorbell::kPolled:
      std::atomic_thread_fence(std::memory_order_release);
      page_->tail = tail;
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (kind_ == Doorbell::kKick || page_->asleep) write32(MDEV_COPY_KICK, 1);
      return;
  }
}

bool CopyEngine::full() const {
  return (tail_ + 1) % entries_ == read32(MDEV_COPY_HEAD);
}

static double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

uint32_t CopyEngine::wait(uint32_t slot, int timeout_ms) {
  for (double end = now() + timeout_ms * 1e-3;;) {
    const bool late = now() > end;
    uint32_t status = at(slot).status;
    std::atomic_thread_fence(std::memory_order_acquire);
    if (status & MDEV_COPY_DONE) return status & ~MDEV_COPY_DONE;
    if (late) return ~0u;
    usleep(100);
  }
}

void CopyEngine::settle() const {
  for (int i = 0; i < 10000; i++) {
    if (!(read32(MDEV_COPY_STATUS) & MDEV_COPY_STATUS_BUSY)) return;
    usleep(1000);
  }
  ADD_FAILURE() << "the engine is still busy";
}

uint32_t CopyEngine::run(const mdev_copy_desc& desc) {
  uint32_t slot = push(desc);
  ring();
  return wait(slot);
}

void CopyEngine::close() {
  page_memory_ = Memory();
  page_ = nullptr;
  session_.close();
}

mdev_copy_desc copy_desc(uint64_t dst, uint64_t src, uint32_t length,
                         bool irq) {
  mdev_copy_desc desc{};
  desc.src = src;
  desc.dst = dst;
  desc.length = length;
  desc.op = MDEV_COPY_OP_COPY;
  desc.flags = irq ? MDEV_COPY_DESC_IRQ : 0;
  return desc;
}

mdev_copy_desc fill_desc(uint64_t dst, uint32_t value, uint32_t length,
                         bool irq) {
  mdev_copy_desc desc = copy_desc(dst, 0, length, irq);
  desc.op = MDEV_COPY_OP_FILL;
  desc.value = value;
  return desc;
}

mdev_copy_desc crc_desc(uint64_t src, uint32_t length, bool irq) {
  mdev_copy_desc desc = copy_desc(0, src, length, irq);
  desc.op = MDEV_COPY_OP_CRC32;
  desc.value = ~0u;
  return desc;
}

uint32_t crc32_of(const uint8_t* data, size_t size) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> out{};
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; bit++)
        value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
      out[i] = value;
    }
    return out;
  }();
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; i++)
    crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xff];
  return crc;
}

void fill_random(uint8_t* data, size_t size, uint64_t seed) {
  // Splitmix64.
  for (size_t i = 0; i < size; i++) {
    if (i % 8 == 0) seed += 0x9e3779b97f4a7c15;
    uint64_t z = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    data[i] = static_cast<uint8_t>((z ^ z >> 31) >> (i % 8 * 8));
  }
}

void CopyTest::SetUp() {
  SKIP_ON_STOCK("its mdev.ko has no mdev_pins_pin()");
  driver_.emplace("mdev_copy");
  ASSERT_TRUE(driver_->ok());
}

void CopyTest::TearDown() {
  if (!driver_) return;
  for (const std::string& uuid : mdevs()) EXPECT_OK(mdev_remove(uuid));
  driver_.reset();
}

void CopyTest::create(const std::string& type, const std::string& uuid) {
  ASSERT_OK(driver_->create(type, uuid));
}

void CopyTest::give_to_user() {
  char target[256] = "";
  const std::string link = mdev_path(uuid_) + "/iommu_group";
  ASSERT_GT(readlink(link.c_str(), target, sizeof target - 1), 0);
  const std::string node = "/dev/vfio" + std::string(strrchr(target, '/'));
  ASSERT_EQ(chown(node.c_str(), kUser, kUser), 0) << node;
}

}  // namespace stack
