// SPDX-License-Identifier: GPL-2.0
//
// What tests of vfio_zpci share: a guest's memory, an edu device in a container
// of its own, and a table that is registered for its function.
#pragma once

#include <string.h>

#include "mdev.hpp"
#include "nested.hpp"

namespace stack {

inline constexpr uint32_t kGuestFormats[] = {VFIO_ZPCI_FORMAT_S390,
                                             VFIO_ZPCI_FORMAT_VTD};

// A guest, its table of the format that is the parameter, and its device.
class NestedTest : public testing::TestWithParam<uint32_t> {
 public:
  static std::string format_name(const testing::TestParamInfo<uint32_t>& info) {
    return info.param == VFIO_ZPCI_FORMAT_S390 ? "S390" : "Vtd";
  }

 protected:
  static constexpr uint64_t kIova = 0x12345000;
  static constexpr uint32_t kFh = 7;
  static constexpr uint64_t kGuestSize = 16ull << 20;

  void SetUp() override {
    REQUIRE_DEVICES(1);
    // The kernel's own vfio.ko does not load it when it is asked for.
    if (on_stock()) {
      ASSERT_EQ(system("modprobe vfio_zpci"), 0);
    }
    s = Session({lone_devices()[0]}, VFIO_ZPCI_IOMMU);
    ASSERT_TRUE(s.ok());
    c = s.container();
    edu = std::make_unique<Edu>(s.device());
    ASSERT_TRUE(edu->ok());
    ASSERT_OK(map_dma(c, memory.data(), 0, memory.size()));
    tables =
        std::make_unique<GuestTables>(memory.data(), GetParam(), memory.size());
    ASSERT_OK(zpci_register(c, kFh, s.group(), *tables));
  }
  void TearDown() override {
    edu.reset();
    s = Session();
    if (on_stock()) {
      EXPECT_OK(unload_module("vfio_zpci"));
    }
  }

  // What the device has written to the guest page after this.
  void device_writes(uint64_t iova, uint8_t value) {
    memset(memory.at(kScratch), value, 64);
    tables->map(kScratchIova, kScratch);
    ASSERT_EQ(zpci_refresh(c, kFh, kScratchIova, kPage), kRefreshed);
    ASSERT_TRUE(edu->fetch(kScratchIova, 0, 64));
    ASSERT_TRUE(edu->store(iova, 0, 64));
  }
  uint8_t at(uint64_t gpa) const { return *memory.at(gpa); }

  static constexpr uint64_t kScratch = 0x3000, kScratchIova = 0x7000000;
  Memory memory = Memory::aligned(kGuestSize);
  Session s;
  int c = -1;
  std::unique_ptr<Edu> edu;
  std::unique_ptr<GuestTables> tables;
};

}  // namespace stack
