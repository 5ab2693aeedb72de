// SPDX-License-Identifier: GPL-2.0
//
// samples/mdev_copy with a parent behind an IOMMU: the DMA engine of an edu
// moves the data, at the addresses that were stored when pages were pinned. A
// wrong one is a fault in the kernel's log and wrong data. 100 ms a transfer
// of 2 KiB, two for a copy.
#include <string.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "mdev_copy.hpp"

namespace stack {
namespace {

// The kernel's messages from construction on.
class KernelLog {
 public:
  KernelLog() : fd_(open_path("/dev/kmsg", O_RDONLY | O_NONBLOCK)) {
    lseek(fd_, 0, SEEK_END);
  }
  std::vector<std::string> with(std::string_view text) {
    std::vector<std::string> found;
    char record[2048];
    for (ssize_t n; (n = read(fd_, record, sizeof record)) > 0;) {
      std::string line(record, static_cast<size_t>(n));
      if (line.find(text) != std::string::npos) found.push_back(line);
    }
    return found;
  }

 private:
  Fd fd_;
};

class MdevCopyParent : public CopyTest {
 protected:
  static constexpr uint64_t kData = 0x200000;

  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(CopyTest::SetUp());
    if (!driver_) return;
    REQUIRE_DEVICES(2);
    bdf_ = lone_devices()[1].bdf;
    log_.emplace();
    ASSERT_OK(unbind_driver(bdf_));
    ASSERT_OK(bind_driver(bdf_, "mdev_copy"));
    const std::string create = types() + "/mdev_copy-64/create";
    ASSERT_OK(write_text(create, uuid_));
  }

  void TearDown() override {
    if (mdev_exists(uuid_)) {
      EXPECT_OK(mdev_remove(uuid_));
    }
    if (!bdf_.empty()) {
      const std::optional<PciDevice> edu = pci_device(bdf_);
      if (edu && edu->driver == "mdev_copy") {
        EXPECT_OK(unbind_driver(bdf_));
      }
      EXPECT_OK(bind_driver(bdf_, "vfio-pci"));
    }
    if (log_) {
      EXPECT_EQ(log_->with("fault addr"), std::vector<std::string>())
          << "the engine was given an address that is not mapped";
    }
    CopyTest::TearDown();
  }

  std::string types() const {
    return "/sys/class/mdev_bus/" + bdf_ + "/mdev_supported_types";
  }

  std::string bdf_;
  std::optional<KernelLog> log_;
};

TEST_F(MdevCopyParent, HasItsOwnInstances) {
  auto available = [&](const std::string& type) {
    return read_text(types() + "/mdev_copy-" + type + "/available_instances");
  };
  EXPECT_EQ(available("64"), "63");
  EXPECT_EQ(available("1024"), "3");
  EXPECT_EQ(driver_->available("64"), 64u) << "the other parent's are free";
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  EXPECT_EQ(engine.read32(MDEV_COPY_CAPS), MDEV_COPY_CAP_PARENT);
  create("64", test_uuid(1));
  CopyEngine other(test_uuid(1));
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(other.read32(MDEV_COPY_CAPS), 0u);
}

TEST_F(MdevCopyParent, ItsEngineMovesTheData) {
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  Memory m(8 * kPage), expected(8 * kPage);
  fill_random(m.data(), m.size(), 1);
  memcpy(expected.data(), m.data(), m.size());
  ASSERT_OK(map_dma(engine.container(), m.data(), kData, m.size()));

  const uint32_t length = 5000;  // three pages on one side, two on the other
  EXPECT_EQ(
      engine.run(copy_desc(kData + 4 * kPage + 4000, kData + 4, length, true)),
      0u);
  memcpy(expected.at(4 * kPage + 4000), expected.at(4), length);
  EXPECT_TRUE(wait_event(engine.irq(), 1000));
  EXPECT_EQ(memcmp(m.data(), expected.data(), m.size()), 0);
  EXPECT_EQ(engine.read64(MDEV_COPY_PARENT_BYTES), 2 * length);

  EXPECT_EQ(engine.run(fill_desc(kData + 3 * kPage - 40, 0xa1b2c3d4, 80)), 0u);
  for (size_t i = 0; i < 80; i += 4)
    memcpy(expected.at(3 * kPage - 40 + i), "\xd4\xc3\xb2\xa1", 4);
  EXPECT_EQ(memcmp(m.data(), expected.data(), m.size()), 0);
  EXPECT_EQ(engine.read64(MDEV_COPY_PARENT_BYTES), 2 * length + 80);

  const uint32_t slot = engine.push(crc_desc(kData + kPage - 100, 3000));
  engine.ring();
  EXPECT_EQ(engine.wait(slot), 0u);
  EXPECT_EQ(engine.at(slot).result, crc32_of(m.at(kPage - 100), 3000));
  EXPECT_EQ(engine.read64(MDEV_COPY_PARENT_BYTES), 2 * length + 80 + 6000);
}

TEST_F(MdevCopyParent, SparsePages) {
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  // Pages far from each other, none next to another in physical memory either.
  constexpr uint64_t kPages = 4096, kStep = 256;
  Memory m(kPages * kPage, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  madvise(m.data(), m.size(), MADV_NOHUGEPAGE);
  ASSERT_OK(map_dma(engine.container(), m.data(), kData, m.size()));
  uint32_t last = 0;
  for (uint64_t page = 0; page < kPages; page += kStep) {
    fill_random(m.at(page * kPage), 512, page);
    last = engine.push(
        copy_desc(kData + (page + 3) * kPage + 100, kData + page * kPage, 512));
  }
  engine.ring();
  ASSERT_EQ(engine.wait(last, 60000), 0u);
  for (uint64_t page = 0; page < kPages; page += kStep)
    ASSERT_EQ(memcmp(m.at((page + 3) * kPage + 100), m.at(page * kPage), 512),
              0)
        << page;
  EXPECT_EQ(engine.pinned(), 2 * kPages / kStep + 2);
  EXPECT_EQ(engine.read64(MDEV_COPY_FAILED), 0u);
}

TEST_F(MdevCopyParent, TheLimit) {
  ScopedParam limit("mdev_copy", "max_pinned", "256");
  ASSERT_TRUE(limit.applied());
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  // One page more than 63 are pinned before any is worked on; the copy is
  // then ended, for all of it would take a minute.
  constexpr uint64_t kBatch = 63 * kPage;
  Memory m(16 * kBatch);
  ASSERT_OK(map_dma(engine.container(), m.data(), kData, m.size()));
  for (uint64_t round = 0; round < 8; round++) {
    const uint64_t from = round * 2 * kBatch, to = from + kBatch;
    fill_random(m.at(from), 2048, round);
    const uint64_t before = engine.read64(MDEV_COPY_PARENT_BYTES);
    engine.push(copy_desc(kData + to, kData + from, kBatch));
    engine.ring();
    while (engine.read64(MDEV_COPY_PARENT_BYTES) < before + 2 * kPage)
      usleep(10000);
    engine.disable();
    ASSERT_EQ(memcmp(m.at(from), m.at(to), kPage), 0) << round;
    ASSERT_LE(engine.pinned(), 256u);
    ASSERT_TRUE(engine.enable());
  }
  EXPECT_GT(engine.pinned(), 100u);
}

TEST_F(MdevCopyParent, UnmappingWaitsForATransfer) {
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  Memory m(4 * kPage);
  fill_random(m.data(), m.size(), 1);
  ASSERT_OK(map_dma(engine.container(), m.data(), kData, 2 * kPage));
  ASSERT_OK(map_dma(engine.container(), m.at(2 * kPage), kGiB, 2 * kPage));
  const uint32_t slot = engine.push(copy_desc(kGiB, kData, 2 * kPage));
  engine.ring();
  usleep(150000);
  ASSERT_EQ(unmap_dma(engine.container(), kGiB, 2 * kPage).size, 2 * kPage);
  memset(m.at(2 * kPage), 0xee, 2 * kPage);
  EXPECT_EQ(engine.wait(slot), MDEV_COPY_ERR_IOVA);
  usleep(300000);
  for (size_t i = 2 * kPage; i < 4 * kPage; i++)
    ASSERT_EQ(*m.at(i), 0xee) << "written behind the unmapping, byte " << i;
}

TEST_F(MdevCopyParent, TwoInstancesShareTheEngine) {
  ASSERT_OK(write_text(types() + "/mdev_copy-256/create", test_uuid(2)));
  {
    CopyEngine first(uuid_), second(test_uuid(2));
    ASSERT_TRUE(first.ok() && second.ok());
    // The same IOVAs, of different containers.
    Memory a(4 * kPage), b(4 * kPage);
    fill_random(a.data(), 2 * kPage, 1);
    fill_random(b.data(), 2 * kPage, 2);
    ASSERT_OK(map_dma(first.container(), a.data(), kData, a.size()));
    ASSERT_OK(map_dma(second.container(), b.data(), kData, b.size()));
    uint32_t slots[2] = {
        first.push(copy_desc(kData + 2 * kPage, kData, 2 * kPage)),
        second.push(copy_desc(kData + 2 * kPage, kData, 2 * kPage))};
    first.ring();
    second.ring();
    EXPECT_EQ(first.wait(slots[0], 20000), 0u);
    EXPECT_EQ(second.wait(slots[1], 20000), 0u);
    EXPECT_EQ(memcmp(a.data(), a.at(2 * kPage), 2 * kPage), 0);
    EXPECT_EQ(memcmp(b.data(), b.at(2 * kPage), 2 * kPage), 0);
  }
  EXPECT_OK(mdev_remove(test_uuid(2)));
}

TEST_F(MdevCopyParent, TheParentGoesWhileAnInstanceIsOpen) {
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  Memory m(4 * kPage);
  m.touch(1);
  ASSERT_OK(map_dma(engine.container(), m.data(), kData, m.size()));
  Fd wanted = make_eventfd();
  ASSERT_OK(set_irq_eventfd(engine.device(), VFIO_PCI_REQ_IRQ_INDEX, wanted));
  engine.push(copy_desc(kData + 2 * kPage, kData, 2 * kPage));
  engine.ring();
  std::atomic<long> result = 1;
  std::thread unbinder([&] { result = unbind_driver(bdf_); });
  EXPECT_TRUE(wait_event(wanted, 5000));
  EXPECT_EQ(result, 1);
  engine.close();
  unbinder.join();
  EXPECT_GE(result, 0);
  EXPECT_FALSE(mdev_exists(uuid_));
}

// --- a machine without an IOMMU (noiommu-vm) -------------------------------

class NoiommuMdevCopy : public CopyTest {
 protected:
  void SetUp() override {
    edus_ = pci_devices(0x1234, 0x11e8);
    ASSERT_FALSE(edus_.empty());
    if (edus_[0].group >= 0) GTEST_SKIP() << "this machine has an IOMMU";
    CopyTest::SetUp();
  }

  std::vector<PciDevice> edus_;
};

TEST_F(NoiommuMdevCopy, TheCpuNeedsNone) {
  create();
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  Memory m(8 * kPage);
  fill_random(m.data(), 4 * kPage, 1);
  ASSERT_OK(map_dma(engine.container(), m.data(), kGiB, m.size()));
  EXPECT_EQ(engine.run(copy_desc(kGiB + 4 * kPage, kGiB, 4 * kPage, true)), 0u);
  EXPECT_TRUE(wait_event(engine.irq(), 1000));
  EXPECT_EQ(memcmp(m.data(), m.at(4 * kPage), 4 * kPage), 0);
}

TEST_F(NoiommuMdevCopy, AParentWithAnEngineDoes) {
  EXPECT_ERR(EOPNOTSUPP, bind_driver(edus_[0].bdf, "mdev_copy"));
  EXPECT_EQ(pci_device(edus_[0].bdf)->driver, "");
  EXPECT_FALSE(exists("/sys/class/mdev_bus/" + edus_[0].bdf));
}

}  // namespace
}  // namespace stack
