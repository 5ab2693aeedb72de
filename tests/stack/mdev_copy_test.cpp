// SPDX-License-Identifier: GPL-2.0
//
// samples/mdev_copy, driven as its user does: types and instances, what it
// looks like, and its work compared with what the CPU makes of the same data.
#include "mdev_copy.hpp"

#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <algorithm>

namespace stack {
namespace {

const std::vector<std::pair<std::string, uint32_t>> kTypes = {
    {"64", 64}, {"256", 256}, {"1024", 1024}};

class MdevCopy : public CopyTest {};

TEST_F(MdevCopy, TypesShareTheEntriesOfTheParent) {
  auto available = [&] {
    std::vector<uint64_t> counts;
    for (const auto& [type, entries] : kTypes)
      counts.push_back(driver_->available(type));
    return counts;
  };
  using Counts = std::vector<uint64_t>;
  for (const auto& [type, entries] : kTypes)
    EXPECT_EQ(driver_->file(type, "device_api"), "vfio-pci");
  EXPECT_EQ(available(), (Counts{64, 16, 4}));
  create("1024", test_uuid(1));
  EXPECT_EQ(available(), (Counts{48, 12, 3}));
  create("64", test_uuid(2));
  EXPECT_EQ(available(), (Counts{47, 11, 2}));
  create("256", test_uuid(3));
  create("1024", test_uuid(4));
  create("1024", test_uuid(5));
  EXPECT_EQ(available(), (Counts{11, 2, 0}));
  EXPECT_ERR(ENOSPC, driver_->create("1024", test_uuid(6)));
  create("256", test_uuid(6));
  create("256", test_uuid(7));
  EXPECT_EQ(available(), (Counts{3, 0, 0}));
  EXPECT_ERR(ENOSPC, driver_->create("256", test_uuid(8)));
  for (unsigned i = 8; i < 11; i++) create("64", test_uuid(i));
  EXPECT_EQ(available(), (Counts{0, 0, 0}));
  EXPECT_ERR(ENOSPC, driver_->create("64", test_uuid(11)));
  EXPECT_FALSE(mdev_exists(test_uuid(11)));
  EXPECT_OK(mdev_remove(test_uuid(1)));
  EXPECT_EQ(available(), (Counts{16, 4, 1}));
  create("1024", test_uuid(11));
}

TEST_F(MdevCopy, LooksLikeAPciDevice) {
  create("256", uuid_);
  MdevSession session(uuid_);
  ASSERT_TRUE(session.ok()) << errno_name(session.result());
  const int device = session.device();
  vfio_device_info info{};
  info.argsz = sizeof info;
  ASSERT_OK(call(device, VFIO_DEVICE_GET_INFO, &info));
  EXPECT_EQ(info.flags,
            uint32_t{VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET});
  EXPECT_EQ(info.num_regions, unsigned{VFIO_PCI_NUM_REGIONS});
  EXPECT_EQ(info.num_irqs, unsigned{VFIO_PCI_NUM_IRQS});

  EXPECT_EQ(config_read16(device, PCI_VENDOR_ID), MDEV_COPY_VENDOR_ID);
  EXPECT_EQ(config_read16(device, PCI_DEVICE_ID), MDEV_COPY_DEVICE_ID);
  EXPECT_EQ(config_read16(device, PCI_CLASS_DEVICE), MDEV_COPY_CLASS >> 8);
  EXPECT_EQ(config_read16(device, PCI_SUBSYSTEM_ID), 256);
  config_write16(device, PCI_VENDOR_ID, 0);
  EXPECT_EQ(config_read16(device, PCI_VENDOR_ID), MDEV_COPY_VENDOR_ID);
  EXPECT_TRUE(config_read16(device, PCI_STATUS) & PCI_STATUS_CAP_LIST);
  const uint32_t msi = config_read16(device, PCI_CAPABILITY_LIST) & 0xff;
  EXPECT_EQ(config_read16(device, msi), PCI_CAP_ID_MSI) << "and no other";
  config_write16(device, msi + PCI_MSI_FLAGS, 0xffff);
  EXPECT_EQ(config_read16(device, msi + PCI_MSI_FLAGS),
            PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_64BIT);
  // A BAR keeps what is above its size.
  for (uint32_t bar : {0, 1, 2, 3, 4, 5}) {
    const uint32_t offset = PCI_BASE_ADDRESS_0 + 4 * bar;
    config_write16(device, offset, 0xffff);
    config_write16(device, offset + 2, 0xffff);
    EXPECT_EQ(config_read16(device, offset), bar == 0 || bar == 2 ? 0xf000 : 0);
  }
}

TEST_F(MdevCopy, Regions) {
  create();
  MdevSession session(uuid_);
  ASSERT_TRUE(session.ok());
  const int device = session.device();
  for (uint32_t index = 0; index < VFIO_PCI_NUM_REGIONS; index++) {
    const vfio_region_info info = region_info(device, index);
    const uint32_t rw =
        VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
    char byte[4];
    const off_t offset = static_cast<off_t>(info.offset);
    if (index == VFIO_PCI_BAR0_REGION_INDEX) {
      EXPECT_EQ(info.size, MDEV_COPY_BAR0_SIZE);
      EXPECT_EQ(info.flags, rw);
    } else if (index == VFIO_PCI_BAR2_REGION_INDEX) {
      EXPECT_EQ(info.size, MDEV_COPY_BAR2_SIZE);
      EXPECT_EQ(info.flags, rw | VFIO_REGION_INFO_FLAG_MMAP);
    } else if (index == VFIO_PCI_CONFIG_REGION_INDEX) {
      EXPECT_EQ(info.size, 256u);
      EXPECT_EQ(info.flags, rw);
      EXPECT_EQ(pread(device, byte, 3, offset + 1), 3);
    } else {
      EXPECT_EQ(info.size, 0u);
      EXPECT_EQ(info.flags, 0u);
    }
    const off_t end = offset + static_cast<off_t>(info.size);
    EXPECT_EQ(pread(device, byte, 4, end), -1) << "region " << index;
    EXPECT_EQ(pwrite(device, byte, 4, end), -1) << "region " << index;
    if (index == 0 || index == 2) {
      EXPECT_EQ(pread(device, byte, 2, offset), -1) << "half a register";
      EXPECT_EQ(pread(device, byte, 4, offset + 2), -1);
      EXPECT_EQ(pread(device, byte, 4, end - 4), 4);
    }
  }
  vfio_region_info none{};
  none.argsz = sizeof none;
  none.index = VFIO_PCI_NUM_REGIONS;
  EXPECT_ERR(EINVAL, call(device, VFIO_DEVICE_GET_REGION_INFO, &none));
  EXPECT_EQ(pread(device, &none, 4, off_t{VFIO_PCI_NUM_REGIONS} << 40), -1);

  const off_t page = off_t{VFIO_PCI_BAR2_REGION_INDEX} << 40;
  auto maps = [&](size_t size, int flags, off_t offset) {
    return Memory(size, PROT_READ | PROT_WRITE, flags, device, offset).ok();
  };
  EXPECT_TRUE(maps(kPage, MAP_SHARED, page));
  EXPECT_FALSE(maps(kPage, MAP_PRIVATE, page)) << "stores would be lost";
  EXPECT_FALSE(maps(2 * kPage, MAP_SHARED, page));
  EXPECT_FALSE(maps(kPage, MAP_SHARED, page + 4096));
  EXPECT_FALSE(maps(kPage, MAP_SHARED, 0)) << "registers have effects";
}

TEST_F(MdevCopy, Interrupts) {
  create();
  MdevSession session(uuid_);
  ASSERT_TRUE(session.ok());
  const int device = session.device();
  for (uint32_t index = 0; index < VFIO_PCI_NUM_IRQS; index++) {
    vfio_irq_info info{};
    info.argsz = sizeof info;
    info.index = index;
    ASSERT_OK(call(device, VFIO_DEVICE_GET_IRQ_INFO, &info));
    const bool has =
        index == VFIO_PCI_MSI_IRQ_INDEX || index == VFIO_PCI_REQ_IRQ_INDEX;
    EXPECT_EQ(info.count, has ? 1u : 0u);
    EXPECT_EQ(info.flags & VFIO_IRQ_INFO_EVENTFD, has ? 1u : 0u);
    Fd event = make_eventfd();
    if (!has) {
      EXPECT_ERR(EINVAL, set_irq_eventfd(device, index, event));
      continue;
    }
    ASSERT_OK(set_irq_eventfd(device, index, event));
    vfio_irq_set trigger{};
    trigger.argsz = sizeof trigger;
    trigger.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
    trigger.index = index;
    trigger.count = 1;
    EXPECT_OK(call(device, VFIO_DEVICE_SET_IRQS, &trigger));
    EXPECT_EQ(wait_event(event, 0), 1u);
    trigger.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK;
    EXPECT_ERR(EINVAL, call(device, VFIO_DEVICE_SET_IRQS, &trigger));
    EXPECT_ERR(EBADF, set_irq_eventfd(device, index, 1000));
    EXPECT_ERR(EINVAL, set_irq_eventfd(device, index, -2));
    EXPECT_OK(set_irq_eventfd(device, index, -1));
    trigger.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
    EXPECT_OK(call(device, VFIO_DEVICE_SET_IRQS, &trigger));
    EXPECT_FALSE(wait_event(event, 0)) << "it was taken away";
    EXPECT_OK(disable_irqs(device, index));
  }
}

class MdevCopyRing : public CopyTest,
                     public testing::WithParamInterface<Doorbell> {};

TEST_P(MdevCopyRing, EachOperationWithItsInterrupt) {
  create();
  CopyEngine engine(uuid_, GetParam());
  ASSERT_TRUE(engine.ok());
  Memory m(16 * kPage), expected(16 * kPage);
  fill_random(m.data(), m.size(), 1);
  memcpy(expected.data(), m.data(), m.size());
  ASSERT_OK(map_dma(engine.container(), m.data(), 0x100000, m.size()));
  EXPECT_FALSE(wait_event(engine.irq(), 0));

  EXPECT_EQ(engine.run(copy_desc(0x108000, 0x100000, 4 * kPage, true)), 0u);
  memcpy(expected.at(8 * kPage), expected.data(), 4 * kPage);
  EXPECT_EQ(wait_event(engine.irq(), 1000), 1u);

  EXPECT_EQ(engine.run(fill_desc(0x10c010, 0x12345678, kPage, true)), 0u);
  for (size_t i = 0; i < kPage; i += 4)
    memcpy(expected.at(12 * kPage + 16 + i), "\x78\x56\x34\x12", 4);
  EXPECT_EQ(wait_event(engine.irq(), 1000), 1u);

  uint32_t slot = engine.push(crc_desc(0x100123, 3 * kPage + 5));
  engine.ring();
  EXPECT_EQ(engine.wait(slot), 0u);
  EXPECT_EQ(engine.at(slot).result, crc32_of(m.at(0x123), 3 * kPage + 5));
  EXPECT_EQ(engine.at(slot).done, 3 * kPage + 5);
  EXPECT_FALSE(wait_event(engine.irq(), 0)) << "it did not ask for one";

  EXPECT_EQ(memcmp(m.data(), expected.data(), m.size()), 0);
  engine.settle();
  EXPECT_EQ(engine.read32(MDEV_COPY_HEAD), 3u);
  EXPECT_EQ(engine.read64(MDEV_COPY_COMPLETED), 3u);
  EXPECT_EQ(engine.read64(MDEV_COPY_BYTES), 8 * kPage + 5);
  EXPECT_EQ(engine.read32(MDEV_COPY_STATUS), 0u);
}

// Twice around the ring, as full as it can be.
TEST_P(MdevCopyRing, GoesAround) {
  create();
  CopyEngine engine(uuid_, GetParam());
  ASSERT_TRUE(engine.ok());
  const uint32_t count = 2 * engine.entries() + 3;
  Memory from(kPage), to(count * 64);
  fill_random(from.data(), from.size(), 2);
  ASSERT_OK(map_dma(engine.container(), from.data(), 0, from.size()));
  ASSERT_OK(map_dma(engine.container(), to.data(), kGiB,
                    (to.size() + kPage - 1) / kPage * kPage));
  uint32_t last = 0, pushed = 0;
  while (pushed < count) {
    while (pushed < count && !engine.full()) {
      last = engine.push(copy_desc(kGiB + pushed * 64, pushed, 64));
      pushed++;
    }
    engine.ring();
    ASSERT_EQ(engine.wait(last), 0u);
    engine.settle();
  }
  engine.settle();
  EXPECT_EQ(engine.read64(MDEV_COPY_COMPLETED), count);
  EXPECT_EQ(engine.read64(MDEV_COPY_FAILED), 0u);
  for (uint32_t i = 0; i < count; i++)
    ASSERT_EQ(memcmp(to.at(i * 64), from.at(i), 64), 0) << i;
}

INSTANTIATE_TEST_SUITE_P(All, MdevCopyRing,
                         testing::Values(Doorbell::kTail, Doorbell::kWrite,
                                         Doorbell::kKick, Doorbell::kPolled),
                         [](const auto& info) {
                           return doorbell_name(info.param);
                         });

// --- each size of ring -----------------------------------------------------

class MdevCopyType
    : public CopyTest,
      public testing::WithParamInterface<std::pair<std::string, uint32_t>> {};

TEST_P(MdevCopyType, AFullRingAtOnce) {
  const auto& [type, entries] = GetParam();
  create(type, uuid_);
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  EXPECT_EQ(engine.entries(), entries);
  EXPECT_FALSE(engine.enable(CopyEngine::kRing, 2 * entries)) << "too large";
  ASSERT_TRUE(engine.enable());

  // Descriptor i fills word i and the CRC of the last sees them all.
  const uint32_t words = entries - 2;
  const size_t bytes = (words * 4 + kPage - 1) / kPage * kPage;
  Memory m(bytes), expected(bytes);
  ASSERT_OK(map_dma(engine.container(), m.data(), kPage, bytes));
  for (uint32_t i = 0; i < words; i++) {
    const uint32_t value = i * 0x9e3779b9;
    engine.push(fill_desc(kPage + i * 4, value, 4));
    memcpy(expected.at(i * 4), &value, 4);
  }
  const uint32_t last = engine.push(crc_desc(kPage, words * 4, true));
  EXPECT_TRUE(engine.full());
  engine.ring();
  EXPECT_EQ(wait_event(engine.irq(), 10000), 1u);
  EXPECT_EQ(engine.wait(last), 0u);
  EXPECT_EQ(engine.at(last).result, crc32_of(expected.data(), words * 4));
  EXPECT_EQ(memcmp(m.data(), expected.data(), bytes), 0);
  EXPECT_EQ(engine.read32(MDEV_COPY_HEAD), entries - 1);
}

INSTANTIATE_TEST_SUITE_P(All, MdevCopyType, testing::ValuesIn(kTypes),
                         [](const auto& info) { return info.param.first; });

// --- examples/mdev_copy ----------------------------------------------------

class MdevCopyExample : public CopyTest {
 protected:
  // Runs it as the unprivileged user; its exit status.
  int run(const std::string& arguments) {
    const std::string command =
        "su user -s /bin/sh -c '/mdev_copy " + arguments + "' 2>&1";
    output_.clear();
    FILE* pipe = popen(command.c_str(), "r");
    if (!pipe) return -1;
    char text[256];
    while (fgets(text, sizeof text, pipe)) {
      output_ += text;
      note(std::string(text, strcspn(text, "\n")));
    }
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  bool says(std::string_view text) const {
    return output_.find(text) != std::string::npos;
  }

  std::string output_;
};

TEST_F(MdevCopyExample, WithInterrupts) {
  create();
  ASSERT_NO_FATAL_FAILURE(give_to_user());
  EXPECT_EQ(run(uuid_), 0);
  EXPECT_TRUE(says("compared: all equal\n"));
  EXPECT_TRUE(says("jobs: 600\n"));
  EXPECT_TRUE(says("moved by: the CPU\n"));
  EXPECT_TRUE(says("exits: 10 for doorbells\n")) << "21 rounds of three each";
  EXPECT_TRUE(says("interrupts: 10\n"));
}

TEST_F(MdevCopyExample, WithTheMappedDoorbell) {
  create("1024", uuid_);
  ASSERT_NO_FATAL_FAILURE(give_to_user());
  EXPECT_EQ(run("--poll --jobs 900 --size 4096 " + uuid_), 0);
  EXPECT_TRUE(says("compared: all equal\n"));
  EXPECT_TRUE(says("jobs: 900\n"));
  EXPECT_TRUE(says("doorbell: mapped\n"));
  EXPECT_TRUE(says("interrupts: 0\n"));
}

TEST_F(MdevCopyExample, SaysWhatIsWrong) {
  EXPECT_EQ(run(""), 2);
  EXPECT_EQ(run("--jobs x " + uuid_), 2);
  EXPECT_EQ(run(uuid_), 1);
  EXPECT_TRUE(says("no mediated device"));
  create();
  EXPECT_EQ(run(uuid_), 1);
  EXPECT_TRUE(says("Permission denied")) << "its node is still root's";
}

}  // namespace
}  // namespace stack
