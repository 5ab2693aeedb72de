// SPDX-License-Identifier: GPL-2.0
//
// The 32-bit entry (compat_ioctl) of container, group and device. Arguments
// lie below 4 GiB; integers and pointers mean the same as in 64 bits.
#include <string.h>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = 0x600000;

class Compat : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_DEVICES(1);
    edu = lone_devices()[0];
    low = Memory(4 * kPage, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT);
    ASSERT_TRUE(low.ok());
    container = open_container();
    group = open_group(edu);
    ASSERT_OK(group.get());
  }
  template <typename T>
  uint32_t put(const T& value) {
    memcpy(low.data(), &value, sizeof value);
    return address(low.data());
  }
  template <typename T>
  const T& got() {
    return *reinterpret_cast<const T*>(low.data());
  }
  static uint32_t address(const void* p) {
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(p));
  }
  void attach() {
    ASSERT_OK(
        compat_call(group, VFIO_GROUP_SET_CONTAINER, put(container.get())));
    ASSERT_OK(compat_call(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
  }
  PciDevice edu;
  Memory low;
  Fd container, group;
};

TEST_F(Compat, Container) {
  EXPECT_EQ(compat_call(container, VFIO_GET_API_VERSION, 0), 0);
  EXPECT_EQ(compat_call(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), 1);
  EXPECT_EQ(compat_call(container, VFIO_CHECK_EXTENSION, 77), 0);
  EXPECT_ERR(EINVAL, compat_call(container, VFIO_SET_IOMMU, 1));
  EXPECT_ERR(EINVAL, compat_call(container, _IO(VFIO_TYPE, VFIO_BASE + 90), 0));
}

TEST_F(Compat, Group) {
  vfio_group_status status{sizeof status, 0};
  EXPECT_OK(compat_call(group, VFIO_GROUP_GET_STATUS, put(status)));
  EXPECT_EQ(got<vfio_group_status>().flags, VFIO_GROUP_FLAGS_VIABLE);
  EXPECT_ERR(EFAULT, compat_call(group, VFIO_GROUP_GET_STATUS, 8));
  EXPECT_ERR(EBADF, compat_call(group, VFIO_GROUP_SET_CONTAINER, put(-1)));
  EXPECT_ERR(EINVAL, compat_call(group, VFIO_GROUP_UNSET_CONTAINER, 0));
  EXPECT_ERR(ENOTTY, compat_call(group, VFIO_GET_API_VERSION, 0));
}

TEST_F(Compat, MapAndUnmap) {
  attach();
  uint64_t before = locked_pages();
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof map;
  map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  map.vaddr = address(low.at(kPage));
  map.iova = kIova;
  map.size = 2 * kPage;
  EXPECT_OK(compat_call(container, VFIO_IOMMU_MAP_DMA, put(map)));
  EXPECT_EQ(locked_pages(), before + 2);
  EXPECT_ERR(EEXIST, compat_call(container, VFIO_IOMMU_MAP_DMA, put(map)));
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = sizeof unmap;
  unmap.iova = kIova;
  unmap.size = kGiB;
  EXPECT_OK(compat_call(container, VFIO_IOMMU_UNMAP_DMA, put(unmap)));
  EXPECT_EQ(got<vfio_iommu_type1_dma_unmap>().size, 2 * kPage);
  EXPECT_EQ(locked_pages(), before);
  EXPECT_ERR(EFAULT, compat_call(container, VFIO_IOMMU_MAP_DMA, 8));
}

TEST_F(Compat, InfoAndDirtyPages) {
  attach();
  vfio_iommu_type1_info info{};
  info.argsz = sizeof info;
  EXPECT_OK(compat_call(container, VFIO_IOMMU_GET_INFO, put(info)));
  EXPECT_GT(got<vfio_iommu_type1_info>().argsz, sizeof info);
  vfio_iommu_type1_dirty_bitmap dirty{};
  dirty.argsz = sizeof dirty;
  dirty.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
  EXPECT_OK(compat_call(container, VFIO_IOMMU_DIRTY_PAGES, put(dirty)));
}

TEST_F(Compat, Device) {
  attach();
  strcpy(reinterpret_cast<char*>(low.data()), edu.bdf.c_str());
  Fd device(static_cast<int>(
      compat_call(group, VFIO_GROUP_GET_DEVICE_FD, address(low.data()))));
  ASSERT_OK(device.get());
  vfio_device_info info{};
  info.argsz = sizeof info;
  EXPECT_OK(compat_call(device, VFIO_DEVICE_GET_INFO, put(info)));
  EXPECT_TRUE(got<vfio_device_info>().flags & VFIO_DEVICE_FLAGS_PCI);
  vfio_region_info region{};
  region.argsz = sizeof region;
  EXPECT_OK(compat_call(device, VFIO_DEVICE_GET_REGION_INFO, put(region)));
  EXPECT_EQ(got<vfio_region_info>().size, 1ull << 20);
  vfio_device_feature feature{};
  feature.argsz = sizeof feature;
  feature.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_MIGRATION |
                  VFIO_DEVICE_FEATURE_GET;
  EXPECT_ERR(ENOTTY, compat_call(device, VFIO_DEVICE_FEATURE, put(feature)));
}

}  // namespace
}  // namespace stack
