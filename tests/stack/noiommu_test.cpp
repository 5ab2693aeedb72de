// SPDX-License-Identifier: GPL-2.0
//
// No-IOMMU mode, on a machine without an IOMMU (noiommu-vm): off by default,
// for CAP_SYS_RAWIO only, taints, and never together with real groups.
#include <dirent.h>
#include <string.h>

#include "testdev.hpp"

using namespace stack;

namespace {

constexpr unsigned kTaintUser = 1u << 6;
const ChildOptions kAsUser{.drop_user = true, .memlock = std::nullopt};
const char kParam[] = "enable_unsafe_noiommu_mode";

unsigned taint() {
  return static_cast<unsigned>(
      strtoul(read_text("/proc/sys/kernel/tainted").c_str(), nullptr, 10));
}

bool machine_has_iommu() {
  DIR* dir = opendir("/sys/class/iommu");
  int entries = 0;
  while (dir && readdir(dir)) entries++;
  if (dir) closedir(dir);
  return entries > 2;
}

PciDevice first_edu() {
  auto all = pci_devices(0x1234, 0x11e8);
  return all.empty() ? PciDevice{} : all[0];
}

class Noiommu : public testing::Test {
 protected:
  void SetUp() override {
    if (!exists("/sys/module/vfio/parameters/" + std::string(kParam)))
      GTEST_SKIP() << "stock: this vfio.ko is built without no-IOMMU mode";
    if (machine_has_iommu()) GTEST_SKIP() << "this machine has an IOMMU";
    edu = first_edu();
    ASSERT_FALSE(edu.bdf.empty()) << "needs an edu device";
    ASSERT_EQ(edu.driver, "") << "the test binds it itself";
  }
  void TearDown() override {
    // An unbind would wait for us for ever.
    device.reset();
    group.reset();
    container.reset();
    edu = edu.bdf.empty() ? edu : *pci_device(edu.bdf);
    if (!edu.driver.empty()) {
      EXPECT_OK(unbind_driver(edu.bdf));
    }
  }
  // Binds with the mode on; the group node's path.
  void bind() {
    mode.emplace("vfio", kParam, "Y");
    ASSERT_TRUE(mode->applied());
    ASSERT_OK(bind_driver(edu.bdf, "vfio-pci"));
    edu = *pci_device(edu.bdf);
    ASSERT_GE(edu.group, 0);
    node = "/dev/vfio/noiommu-" + std::to_string(edu.group);
    ASSERT_TRUE(exists(node)) << node;
  }
  void open_all() {
    container = open_container();
    group = open_path(node);
    ASSERT_OK(group.get());
    ASSERT_OK(set_container(group, container));
    ASSERT_OK(set_iommu(container, VFIO_NOIOMMU_IOMMU));
    device = get_device(group, edu.bdf);
    ASSERT_OK(device.get());
  }
  PciDevice edu;
  std::string node;
  std::optional<ScopedParam> mode;
  Fd container, group, device;
};

// Runs first: whether the kernel is tainted cannot be taken back.
TEST_F(Noiommu, OffUntilAskedForAndTaints) {
  EXPECT_EQ(param("vfio", kParam), "N") << "the default";
  EXPECT_EQ(taint() & kTaintUser, 0u);
  container = open_container();
  EXPECT_EQ(call(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU), 0);
  EXPECT_LT(bind_driver(edu.bdf, "vfio-pci"), 0)
      << "a device without an IOMMU is refused";
  EXPECT_EQ(pci_device(edu.bdf)->driver, "");
  EXPECT_EQ(taint() & kTaintUser, 0u);

  bind();
  if (HasFatalFailure()) return;
  EXPECT_EQ(taint() & kTaintUser, kTaintUser) << "user-requested taint";
  EXPECT_EQ(call(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU), 1);
  EXPECT_FALSE(exists("/dev/vfio/" + std::to_string(edu.group)))
      << "only under the name that warns";
}

TEST_F(Noiommu, TheDeviceIsUsable) {
  bind();
  if (HasFatalFailure()) return;
  open_all();
  if (HasFatalFailure()) return;
  vfio_device_info info{};
  info.argsz = sizeof info;
  ASSERT_OK(call(device, VFIO_DEVICE_GET_INFO, &info));
  EXPECT_TRUE(info.flags & VFIO_DEVICE_FLAGS_PCI);
  EXPECT_EQ(config_read16(device, 0), 0x1234);
  Edu engine(device);
  ASSERT_TRUE(engine.ok());
  EXPECT_EQ(engine.read32(0) & 0xff, 0xedu) << "its identification";

  // Without an IOMMU the device speaks physical addresses.
  Memory m(kPage);
  m.touch(1);
  ASSERT_EQ(mlock(m.data(), kPage), 0);
  uint64_t pfn = pfn_of(m.data());
  ASSERT_NE(pfn, 0u);
  memcpy(m.data(), "physical", 8);
  ASSERT_TRUE(engine.copy(pfn * kPage + 64, pfn * kPage, 8));
  EXPECT_EQ(memcmp(m.at(64), "physical", 8), 0);
}

TEST_F(Noiommu, TheContainerHasNoMappings) {
  bind();
  if (HasFatalFailure()) return;
  container = open_container();
  group = open_path(node);
  ASSERT_OK(set_container(group, container));
  Memory m(kPage);
  EXPECT_ERR(EINVAL, map_dma(container, m.data(), 0, kPage))
      << "no IOMMU driver set";
  for (unsigned long type :
       {VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_TYPE1_NESTING_IOMMU, 77})
    EXPECT_ERR(ENODEV, set_iommu(container, type)) << "type " << type;
  EXPECT_EQ(call(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), 0)
      << "not for a container with such a group";
  EXPECT_EQ(call(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU), 1);
  ASSERT_OK(set_iommu(container, VFIO_NOIOMMU_IOMMU));
  EXPECT_ERR(EINVAL, set_iommu(container, VFIO_NOIOMMU_IOMMU)) << "once";
  EXPECT_ERR(ENOTTY, map_dma(container, m.data(), 0, kPage));
  EXPECT_ERR(ENOTTY, unmap_dma(container, 0, kPage).result);
  vfio_iommu_type1_info info{};
  info.argsz = sizeof info;
  EXPECT_ERR(ENOTTY, call(container, VFIO_IOMMU_GET_INFO, &info));
  EXPECT_ERR(ENOTTY, dirty_start(container));
  EXPECT_EQ(call(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), 0);
  EXPECT_EQ(call(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU), 0);
  EXPECT_OK(unset_container(group));
  EXPECT_ERR(EINVAL, map_dma(container, m.data(), 0, kPage));
}

TEST_F(Noiommu, NeedsRawio) {
  bind();
  if (HasFatalFailure()) return;
  ASSERT_EQ(chmod(node.c_str(), 0666), 0) << "the mode is not what stops it";
  in_child([&] { EXPECT_ERR(EPERM, open_path(node).get()); }, kAsUser);
  group = open_path(node);
  ASSERT_OK(group.get());
  container = open_container();
  in_child([&] { EXPECT_ERR(EPERM, set_container(group, container)); },
           kAsUser);
  ASSERT_OK(set_container(group, container));
  in_child([&] { EXPECT_ERR(EPERM, set_iommu(container, VFIO_NOIOMMU_IOMMU)); },
           kAsUser);
  ASSERT_OK(set_iommu(container, VFIO_NOIOMMU_IOMMU));
  in_child([&] { EXPECT_ERR(EPERM, get_device(group, edu.bdf).get()); },
           kAsUser);
  EXPECT_OK(get_device(group, edu.bdf).get());
}

TEST_F(Noiommu, DoesNotMixWithOtherGroups) {
  bind();
  if (HasFatalFailure()) return;
  Testdev emulated;
  ASSERT_TRUE(emulated.ok());
  container = open_container();
  group = open_path(node);
  Fd other = open_path(emulated.node());
  ASSERT_TRUE(group.valid() && other.valid());
  ASSERT_OK(set_container(other, container));
  EXPECT_ERR(EPERM, set_container(group, container)) << "joins as the second";
  ASSERT_OK(unset_container(other));
  ASSERT_OK(set_container(group, container));
  EXPECT_ERR(EPERM, set_container(other, container)) << "the other way round";
  ASSERT_OK(set_iommu(container, VFIO_NOIOMMU_IOMMU));
  EXPECT_ERR(EPERM, set_container(other, container)) << "with the IOMMU set";
  ASSERT_OK(unset_container(group));
  EXPECT_OK(set_container(other, container)) << "an empty container is free";
  EXPECT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
}

TEST_F(Noiommu, TwoOfThemShareAContainer) {
  auto all = pci_devices(0x1234, 0x11e8);
  ASSERT_GE(all.size(), 2u);
  bind();
  if (HasFatalFailure()) return;
  open_all();
  if (HasFatalFailure()) return;
  ASSERT_OK(bind_driver(all[1].bdf, "vfio-pci"));
  int number = pci_device(all[1].bdf)->group;
  EXPECT_NE(number, edu.group) << "a group each";
  {
    Fd second = open_path("/dev/vfio/noiommu-" + std::to_string(number));
    ASSERT_OK(second.get());
    ASSERT_OK(set_container(second, container));
    EXPECT_OK(get_device(second, all[1].bdf).get());
  }
  EXPECT_OK(unbind_driver(all[1].bdf));
  EXPECT_FALSE(exists("/dev/vfio/noiommu-" + std::to_string(number)));
  EXPECT_EQ(pci_device(all[1].bdf)->group, -1) << "the group was only for this";
}

TEST_F(Noiommu, SwitchedOffWhileBound) {
  bind();
  if (HasFatalFailure()) return;
  mode.reset();
  ASSERT_EQ(param("vfio", kParam), "N");
  container = open_container();
  group = open_path(node);
  ASSERT_OK(group.get());
  ASSERT_OK(set_container(group, container));
  EXPECT_EQ(call(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU), 0);
  EXPECT_ERR(ENODEV, set_iommu(container, VFIO_NOIOMMU_IOMMU));
  EXPECT_EQ(taint() & kTaintUser, kTaintUser) << "the taint stays";
}

}  // namespace
