// SPDX-License-Identifier: GPL-2.0
//
// The interrupt remapping check and allow_unsafe_interrupts. These need a
// kernel booted with intremap=off: run-vm with STACK_CONFIG=unsafe, which
// selects them alone.
#include "harness.hpp"

namespace stack {
namespace {

class UnsafeInterrupts : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(read_text("/proc/cmdline").find("intremap=off"),
              std::string::npos)
        << "wrong configuration";
    REQUIRE_DEVICES(1);
  }
};

TEST_F(UnsafeInterrupts, RefusedByDefault) {
  EXPECT_EQ(param("vfio_iommu_type1", "allow_unsafe_interrupts"), "N");
  for (unsigned long type : {VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU}) {
    Session s({lone_devices()[0]}, 0);
    EXPECT_ERR(EPERM, set_iommu(s.container(), type));
    EXPECT_ERR(EINVAL, get_device(s.group(), s.pci().bdf).get());
  }
}

TEST_F(UnsafeInterrupts, AllowedByTheParameter) {
  ScopedParam allow("vfio_iommu_type1", "allow_unsafe_interrupts", "Y");
  ASSERT_TRUE(allow.applied());
  Session s({lone_devices()[0]});
  ASSERT_TRUE(s.ok());
  Memory m(kPage);
  EXPECT_OK(map_dma(s.container(), m.data(), 0, kPage));
}

TEST_F(UnsafeInterrupts, RefusalLeavesTheContainerUsable) {
  Session s({lone_devices()[0]}, 0);
  EXPECT_ERR(EPERM, set_iommu(s.container(), VFIO_TYPE1v2_IOMMU));
  ScopedParam allow("vfio_iommu_type1", "allow_unsafe_interrupts", "Y");
  EXPECT_OK(set_iommu(s.container(), VFIO_TYPE1v2_IOMMU));
}

TEST_F(UnsafeInterrupts, SecondGroupIsCheckedToo) {
  REQUIRE_DEVICES(2);
  Session s;
  {
    ScopedParam allow("vfio_iommu_type1", "allow_unsafe_interrupts", "Y");
    s = Session({lone_devices()[0]});
    ASSERT_TRUE(s.ok());
  }
  Fd group = open_group(lone_devices()[1]);
  EXPECT_ERR(EPERM, set_container(group, s.container()));
  EXPECT_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
}

}  // namespace
}  // namespace stack
