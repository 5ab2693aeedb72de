// SPDX-License-Identifier: GPL-2.0
//
// A group of two functions: viability while another driver has one of them,
// and DMA ownership, which keeps that driver out while the group is in use.
#include "harness.hpp"

namespace stack {
namespace {

const char kForeign[] = "uio_pci_generic";

class SharedGroup : public testing::Test {
 protected:
  void SetUp() override {
    pair = edu_pair();
    ASSERT_EQ(pair.size(), 2u) << "two edu functions in one group";
    to_vfio(0);
    to_vfio(1);
  }
  void TearDown() override {
    for (size_t i = 0; i < pair.size(); i++) to_vfio(i);
  }
  std::string driver(size_t i) { return pci_device(pair[i].bdf)->driver; }
  void away(size_t i) {
    if (!driver(i).empty()) {
      ASSERT_OK(unbind_driver(pair[i].bdf));
    }
  }
  void to_vfio(size_t i) {
    if (driver(i) == "vfio-pci") return;
    away(i);
    ASSERT_OK(bind_driver(pair[i].bdf, "vfio-pci"));
  }
  void to_foreign(size_t i) {
    away(i);
    ASSERT_OK(bind_driver(pair[i].bdf, kForeign));
  }
  std::vector<PciDevice> pair;
};

TEST_F(SharedGroup, BothDevicesThroughOneGroup) {
  Fd c = open_container(), g = open_group(pair[0]);
  ASSERT_OK(set_container(g, c));
  ASSERT_OK(set_iommu(c, VFIO_TYPE1v2_IOMMU));
  Fd a = get_device(g, pair[0].bdf), b = get_device(g, pair[1].bdf);
  ASSERT_OK(a.get());
  ASSERT_OK(b.get());
  EXPECT_EQ(config_read16(a, 2), 0x11e8);
  EXPECT_EQ(config_read16(b, 2), 0x11e8);
  a.reset();
  EXPECT_ERR(EBUSY, unset_container(g));
  b.reset();
  EXPECT_OK(unset_container(g));
}

TEST_F(SharedGroup, SiblingUnboundIsViable) {
  away(1);
  Fd c = open_container(), g = open_group(pair[0]);
  EXPECT_EQ(group_flags(g), VFIO_GROUP_FLAGS_VIABLE);
  EXPECT_OK(set_container(g, c));
  EXPECT_OK(set_iommu(c, VFIO_TYPE1v2_IOMMU));
  EXPECT_ERR(ENODEV, get_device(g, pair[1].bdf).get()) << "it is not vfio's";
}

TEST_F(SharedGroup, SiblingOfAnotherDriverIsNotViable) {
  to_foreign(1);
  Fd c = open_container(), g = open_group(pair[0]);
  ASSERT_OK(g.get()) << "opening is still allowed";
  EXPECT_EQ(group_flags(g), 0);
  EXPECT_ERR(EPERM, set_container(g, c));
  EXPECT_EQ(group_flags(g), 0);
  EXPECT_ERR(EINVAL, set_iommu(c, VFIO_TYPE1v2_IOMMU)) << "no group joined";
  EXPECT_ERR(EINVAL, get_device(g, pair[0].bdf).get());

  // Once the other driver lets go, the same fd works.
  away(1);
  EXPECT_EQ(group_flags(g), VFIO_GROUP_FLAGS_VIABLE);
  EXPECT_OK(set_container(g, c));
}

TEST_F(SharedGroup, OtherDriverIsKeptOutWhileGroupIsHeld) {
  away(1);
  Fd c = open_container(), g = open_group(pair[0]);
  ASSERT_OK(set_container(g, c));
  long result = bind_driver(pair[1].bdf, kForeign);
  observe_result("bind", result);
  EXPECT_LT(result, 0);
  EXPECT_EQ(driver(1), "");
  // vfio-pci itself may come in.
  EXPECT_OK(bind_driver(pair[1].bdf, "vfio-pci"));
  ASSERT_OK(set_iommu(c, VFIO_TYPE1v2_IOMMU));
  EXPECT_OK(get_device(g, pair[1].bdf).get());
}

TEST_F(SharedGroup, OtherDriverMayBindOnceReleased) {
  away(1);
  {
    Fd c = open_container(), g = open_group(pair[0]);
    ASSERT_OK(set_container(g, c));
    ASSERT_OK(unset_container(g));
    EXPECT_OK(bind_driver(pair[1].bdf, kForeign)) << "after UNSET_CONTAINER";
    ASSERT_OK(unbind_driver(pair[1].bdf));
    ASSERT_OK(set_container(g, c));
  }
  EXPECT_OK(bind_driver(pair[1].bdf, kForeign)) << "after close";
}

TEST_F(SharedGroup, OpenGroupAloneDoesNotKeepOthersOut) {
  away(1);
  Fd g = open_group(pair[0]);
  EXPECT_OK(bind_driver(pair[1].bdf, kForeign));
}

TEST_F(SharedGroup, DeviceKeepsOwnershipAfterOthersClosed) {
  away(1);
  Fd device;
  {
    Fd c = open_container(), g = open_group(pair[0]);
    ASSERT_OK(set_container(g, c));
    ASSERT_OK(set_iommu(c, VFIO_TYPE1v2_IOMMU));
    device = get_device(g, pair[0].bdf);
    ASSERT_OK(device.get());
  }
  EXPECT_LT(bind_driver(pair[1].bdf, kForeign), 0);
  device.reset();
  EXPECT_OK(bind_driver(pair[1].bdf, kForeign));
}

}  // namespace
}  // namespace stack
