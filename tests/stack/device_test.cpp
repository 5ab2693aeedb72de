// SPDX-License-Identifier: GPL-2.0
//
// A device fd of vfio-pci: what our core passes on to the driver (info,
// regions, interrupts, reset, read, write, mmap) arrives there unharmed.
#include <string.h>
#include <sys/stat.h>

#include "harness.hpp"

namespace stack {
namespace {

class Device : public OneDevice {
 protected:
  void SetUp() override {
    OneDevice::SetUp();
    if (!HasFatalFailure()) d = s.device();
  }
  long offset(uint32_t index, uint64_t at = 0) {
    return static_cast<long>(region_info(d, index).offset + at);
  }
  int d = -1;
};

// --- info -----------------------------------------------------------------

TEST_F(Device, Info) {
  vfio_device_info info{};
  info.argsz = sizeof info;
  ASSERT_OK(call(d, VFIO_DEVICE_GET_INFO, &info));
  observe("flags", info.flags);
  observe("argsz", info.argsz);
  EXPECT_TRUE(info.flags & VFIO_DEVICE_FLAGS_PCI);
  EXPECT_EQ(info.num_regions, 9u);
  EXPECT_EQ(info.num_irqs, 5u);
}

TEST_F(Device, InfoArgszShortIsEINVAL) {
  for (uint32_t argsz : {0u, 8u, 15u}) {
    vfio_device_info info{};
    info.argsz = argsz;
    EXPECT_ERR(EINVAL, call(d, VFIO_DEVICE_GET_INFO, &info)) << argsz;
  }
  EXPECT_ERR(EFAULT, call(d, VFIO_DEVICE_GET_INFO, 8ul));
}

TEST_F(Device, UnknownIoctl) {
  observe_result("unknown", call(d, _IO(VFIO_TYPE, VFIO_BASE + 90), 0ul));
  EXPECT_ERR(ENOTTY, call(d, _IO(VFIO_TYPE, VFIO_BASE + 90), 0ul));
  EXPECT_ERR(ENOTTY, call(d, VFIO_GET_API_VERSION));
  EXPECT_ERR(ENOTTY, call(d, _IO('?', 1)));
}

class DeviceRegion : public Device,
                     public testing::WithParamInterface<uint32_t> {};

TEST_P(DeviceRegion, Info) {
  vfio_region_info info{};
  info.argsz = sizeof info;
  info.index = GetParam();
  long result = call(d, VFIO_DEVICE_GET_REGION_INFO, &info);
  observe_result("result", result);
  observe("flags", info.flags);
  observe("size", info.size);
  observe("offset", info.offset);
  observe("argsz", info.argsz);
  if (GetParam() >= 9) {
    EXPECT_ERR(EINVAL, result);
  } else if (GetParam() == VFIO_PCI_BAR0_REGION_INDEX) {
    EXPECT_EQ(info.size, 1u << 20);
    EXPECT_EQ(info.flags & 7u, VFIO_REGION_INFO_FLAG_READ |
                                   VFIO_REGION_INFO_FLAG_WRITE |
                                   VFIO_REGION_INFO_FLAG_MMAP);
  } else if (GetParam() == VFIO_PCI_CONFIG_REGION_INDEX) {
    EXPECT_EQ(info.size, 256u) << "no extended space on this bus";
  }
  info.argsz = sizeof info - 1;
  EXPECT_ERR(EINVAL, call(d, VFIO_DEVICE_GET_REGION_INFO, &info));
}

INSTANTIATE_TEST_SUITE_P(Index, DeviceRegion,
                         testing::Values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100,
                                         ~0u));

class DeviceIrqInfo : public Device,
                      public testing::WithParamInterface<uint32_t> {};

TEST_P(DeviceIrqInfo, Info) {
  vfio_irq_info info{};
  info.argsz = sizeof info;
  info.index = GetParam();
  long result = call(d, VFIO_DEVICE_GET_IRQ_INFO, &info);
  observe_result("result", result);
  observe("flags", info.flags);
  observe("count", info.count);
  if (GetParam() >= 5) {
    EXPECT_ERR(EINVAL, result);
  } else if (GetParam() == VFIO_PCI_MSI_IRQ_INDEX) {
    EXPECT_EQ(info.count, 1u);
  }
  info.argsz = sizeof info - 1;
  EXPECT_ERR(EINVAL, call(d, VFIO_DEVICE_GET_IRQ_INFO, &info));
}

INSTANTIATE_TEST_SUITE_P(Index, DeviceIrqInfo,
                         testing::Values(0, 1, 2, 3, 4, 5, 100, ~0u));

// --- read, write, mmap ----------------------------------------------------

TEST_F(Device, ConfigSpaceReads) {
  uint8_t config[256];
  ASSERT_EQ(pread(d, config, 256, offset(VFIO_PCI_CONFIG_REGION_INDEX)), 256);
  EXPECT_EQ(static_cast<unsigned>(config[0] | config[1] << 8), s.pci().vendor);
  EXPECT_EQ(static_cast<unsigned>(config[2] | config[3] << 8), s.pci().device);
  for (size_t size : {1, 2, 4, 3, 7}) {
    uint8_t part[8] = {};
    EXPECT_EQ(pread(d, part, size, offset(VFIO_PCI_CONFIG_REGION_INDEX, 1)),
              static_cast<ssize_t>(size));
    EXPECT_EQ(memcmp(part, config + 1, size), 0) << size;
  }
}

TEST_F(Device, ConfigSpaceWriteIsSeen) {
  uint16_t command = config_read16(d, 4);
  config_write16(d, 4, static_cast<uint16_t>(command | 6));
  EXPECT_EQ(config_read16(d, 4) & 6, 6);
  config_write16(d, 4, command);
  EXPECT_EQ(config_read16(d, 4), command);
}

TEST_F(Device, ReadsAtTheEdges) {
  uint8_t byte[16] = {};
  struct {
    const char* key;
    size_t size;
    off_t at;
  } reads[] = {
      {"config_end", 4, offset(VFIO_PCI_CONFIG_REGION_INDEX, 254)},
      {"config_past", 4, offset(VFIO_PCI_CONFIG_REGION_INDEX, 256)},
      {"bar0_end", 4, offset(VFIO_PCI_BAR0_REGION_INDEX, (1 << 20) - 4)},
      {"bar0_past", 4, offset(VFIO_PCI_BAR0_REGION_INDEX, 1 << 20)},
      {"bar1_absent", 4,
       offset(VFIO_PCI_BAR0_REGION_INDEX) + offset(VFIO_PCI_BAR1_REGION_INDEX)},
      {"region_40", 4, static_cast<off_t>(40ull << 40)},
      {"nothing", 0, offset(VFIO_PCI_CONFIG_REGION_INDEX)},
      {"negative", 4, -4096},
  };
  for (auto& r : reads) {
    ssize_t n = pread(d, byte, r.size, r.at);
    observe_result(r.key, n < 0 ? -errno : n);
  }
  EXPECT_EQ(pread(d, byte, 4, static_cast<off_t>(40ull << 40)), -1);
  EXPECT_EQ(errno, EINVAL);
  Memory gone(kPage);
  uint8_t* bad = gone.data();
  munmap(bad, kPage);
  gone.release();
  EXPECT_EQ(pread(d, bad, 4, offset(VFIO_PCI_CONFIG_REGION_INDEX)), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(pwrite(d, bad, 2, offset(VFIO_PCI_CONFIG_REGION_INDEX, 4)), -1);
  EXPECT_EQ(errno, EFAULT);
}

TEST_F(Device, PlainReadAndSeek) {
  // The file has no position of its own; only pread and pwrite name a place.
  uint32_t id = 0;
  ssize_t n = read(d, &id, 4);
  observe_result("read", n < 0 ? -errno : n);
  off_t at = lseek(d, offset(VFIO_PCI_CONFIG_REGION_INDEX), SEEK_SET);
  observe_result("lseek", at < 0 ? -errno : 0);
}

TEST_F(Device, BarByReadWriteAndByMmap) {
  Edu edu(d);
  ASSERT_TRUE(edu.ok());
  uint32_t id = 0;
  ASSERT_EQ(pread(d, &id, 4, offset(VFIO_PCI_BAR0_REGION_INDEX)), 4);
  EXPECT_EQ(id, edu.read32(0));
  uint32_t value = 0xcafe0001;
  ASSERT_EQ(pwrite(d, &value, 4, offset(VFIO_PCI_BAR0_REGION_INDEX, 4)), 4);
  EXPECT_EQ(edu.read32(4), ~value);
  edu.write32(8, 5);
  for (int i = 0; i < 1000 && (edu.read32(0x20) & 1); i++) usleep(1000);
  EXPECT_EQ(edu.read32(8), 120u) << "the factorial of 5";
}

TEST_F(Device, MmapRefusals) {
  auto map = [&](size_t size, int flags, off_t at) {
    void* p = mmap(nullptr, size, PROT_READ, flags, d, at);
    if (p == MAP_FAILED) return -static_cast<long>(errno);
    munmap(p, size);
    return 0l;
  };
  EXPECT_OK(map(kPage, MAP_SHARED, offset(VFIO_PCI_BAR0_REGION_INDEX)));
  EXPECT_ERR(EINVAL,
             map(kPage, MAP_SHARED, offset(VFIO_PCI_CONFIG_REGION_INDEX)));
  EXPECT_ERR(EINVAL,
             map(kPage, MAP_PRIVATE, offset(VFIO_PCI_BAR0_REGION_INDEX)));
  EXPECT_ERR(EINVAL, map(kPage, MAP_SHARED,
                         offset(VFIO_PCI_BAR0_REGION_INDEX, 1 << 20)));
  EXPECT_ERR(EINVAL, map((1 << 20) + kPage, MAP_SHARED,
                         offset(VFIO_PCI_BAR0_REGION_INDEX)));
  EXPECT_ERR(EINVAL, map(kPage, MAP_SHARED, static_cast<off_t>(40ull << 40)));
}

// --- reset ----------------------------------------------------------------

TEST_F(Device, Reset) {
  vfio_device_info info{};
  info.argsz = sizeof info;
  ASSERT_OK(call(d, VFIO_DEVICE_GET_INFO, &info));
  long result = call(d, VFIO_DEVICE_RESET);
  observe_result("reset", result);
  if (info.flags & VFIO_DEVICE_FLAGS_RESET)
    EXPECT_OK(result);
  else
    EXPECT_ERR(EINVAL, result);
}

class Nvme : public testing::Test {
 protected:
  void SetUp() override {
    for (const PciDevice& p : pci_devices(0x1b36, 0x0010))
      if (p.driver == "vfio-pci") {
        s = Session({p});
        ASSERT_TRUE(s.ok());
        d = s.device();
        return;
      }
    FAIL() << "no nvme bound to vfio-pci";
  }
  Session s;
  int d = -1;
};

TEST_F(Nvme, FunctionLevelReset) {
  vfio_device_info info{};
  info.argsz = sizeof info;
  ASSERT_OK(call(d, VFIO_DEVICE_GET_INFO, &info));
  EXPECT_TRUE(info.flags & VFIO_DEVICE_FLAGS_RESET);
  config_write16(d, 4, 6);
  EXPECT_OK(call(d, VFIO_DEVICE_RESET));
  observe("command", config_read16(d, 4));
  EXPECT_EQ(config_read16(d, 0), 0x1b36);
}

TEST_F(Nvme, RegionsAndInterrupts) {
  for (uint32_t i = 0; i < 9; i++) {
    vfio_region_info r = region_info(d, i);
    observe("size" + std::to_string(i), r.size);
    observe("flags" + std::to_string(i), r.flags);
  }
  vfio_irq_info irq{};
  irq.argsz = sizeof irq;
  irq.index = VFIO_PCI_MSIX_IRQ_INDEX;
  ASSERT_OK(call(d, VFIO_DEVICE_GET_IRQ_INFO, &irq));
  observe("msix", irq.count);
  EXPECT_GT(irq.count, 1u);
}

TEST_F(Nvme, RegionCapabilitiesFollowArgsz) {
  // BAR0 holds the MSI-X table, which vfio-pci says in a capability.
  vfio_region_info info{};
  info.argsz = sizeof info;
  ASSERT_OK(call(d, VFIO_DEVICE_GET_REGION_INFO, &info));
  ASSERT_TRUE(info.flags & VFIO_REGION_INFO_FLAG_CAPS);
  ASSERT_GT(info.argsz, sizeof info);
  std::vector<uint8_t> full(info.argsz);
  auto* whole = reinterpret_cast<vfio_region_info*>(full.data());
  whole->argsz = info.argsz;
  ASSERT_OK(call(d, VFIO_DEVICE_GET_REGION_INFO, whole));
  EXPECT_EQ(whole->cap_offset, sizeof info);
  EXPECT_NE(
      find_cap(full, whole->cap_offset, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE),
      nullptr);
}

// --- hot reset: the core tells vfio-pci whose group fds it was given -------

struct HotReset {
  vfio_pci_hot_reset* get() {
    return reinterpret_cast<vfio_pci_hot_reset*>(bytes);
  }
  HotReset(std::vector<int> fds) {
    get()->argsz =
        static_cast<uint32_t>(sizeof(vfio_pci_hot_reset) + 4 * fds.size());
    get()->count = static_cast<uint32_t>(fds.size());
    memcpy(bytes + sizeof(vfio_pci_hot_reset), fds.data(), 4 * fds.size());
  }
  alignas(8) uint8_t bytes[128] = {};
};

TEST_F(Nvme, HotResetInfo) {
  alignas(8) uint8_t buffer[256] = {};
  auto* info = reinterpret_cast<vfio_pci_hot_reset_info*>(buffer);
  info->argsz = sizeof *info;
  long result = call(d, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
  observe_result("no_room", result);
  EXPECT_ERR(ENOSPC, result);
  observe("count", info->count);
  info->argsz = sizeof buffer;
  EXPECT_OK(call(d, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info));
  EXPECT_EQ(info->count, 1u);
  EXPECT_EQ(info->devices[0].group_id, static_cast<uint32_t>(s.pci().group));
}

TEST_F(Nvme, HotResetWithTheGroup) {
  HotReset reset({s.group()});
  EXPECT_OK(call(d, VFIO_DEVICE_PCI_HOT_RESET, reset.get()));
  EXPECT_EQ(config_read16(d, 0), 0x1b36);
}

TEST_F(Nvme, HotResetWithWrongFiles) {
  REQUIRE_DEVICES(1);
  Fd other = open_group(lone_devices()[0]);
  struct {
    const char* key;
    std::vector<int> fds;
    int error;
  } cases[] = {
      {"none", {}, EINVAL},
      {"bad_fd", {-1}, EBADF},
      {"container", {s.container()}, EINVAL},
      {"device", {d}, EINVAL},
      {"another_group", {other.get()}, EINVAL},
      {"too_many", {s.group(), other.get(), s.group()}, EINVAL},
  };
  for (auto& test : cases) {
    HotReset reset(test.fds);
    long result = call(d, VFIO_DEVICE_PCI_HOT_RESET, reset.get());
    observe_result(test.key, result);
    EXPECT_ERR(test.error, result) << test.key;
  }
}

TEST_F(Device, FdinfoNamesIt) {
  const int fd = d;
  const std::string info = read_text("/proc/self/fdinfo/" + std::to_string(fd));
  const std::string key = "vfio-device-syspath: /sys/devices/";
  const size_t at = info.find(key);
  ASSERT_NE(at, std::string::npos) << info;
  const std::string line = info.substr(at, info.find('\n', at) - at);
  EXPECT_TRUE(exists(line.substr(line.find("/sys")) + "/vfio-dev")) << line;
}

}  // namespace
}  // namespace stack
