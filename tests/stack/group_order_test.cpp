// SPDX-License-Identifier: GPL-2.0
//
// Closing container, group and device in every order with mappings live,
// several groups in one container, and a whole session of a user without
// privileges.
#include <string.h>

#include <algorithm>
#include <array>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x100000;

class CloseOrder : public testing::TestWithParam<const char*> {};

TEST_P(CloseOrder, WithMappingsLive) {
  REQUIRE_DEVICES(1);
  PciDevice edu = lone_devices()[0];
  Memory m(8 * kPage);
  uint64_t before = locked_pages();
  {
    Session s({edu});
    ASSERT_TRUE(s.ok());
    ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
    auto engine = std::make_unique<Edu>(s.device());
    memcpy(m.data(), "from memory", 12);
    ASSERT_TRUE(engine->fetch(kIova, 0, 12));
    bool device_open = true;
    for (char which : std::string(GetParam())) {
      if (which == 'c') s.container_fd().reset();
      if (which == 'g') s.group_fd().reset();
      if (which == 'd') {
        engine.reset();
        s.device_fd().reset();
        device_open = false;
      }
      if (device_open) {
        // A device fd keeps group and container alive, mappings included.
        EXPECT_EQ(locked_pages(), before + 8);
        EXPECT_ERR(EBUSY, open_group(edu).get());
        memset(m.data(), 0, 12);
        EXPECT_TRUE(engine->store(kIova, 0, 12));
        EXPECT_STREQ(reinterpret_cast<char*>(m.data()), "from memory");
      }
    }
  }
  EXPECT_EQ(locked_pages(), before);
  Session again({edu});
  EXPECT_TRUE(again.ok());
  EXPECT_OK(map_dma(again.container(), m.data(), kIova, m.size()));
}

INSTANTIATE_TEST_SUITE_P(
    All, CloseOrder, testing::Values("cgd", "cdg", "gcd", "gdc", "dcg", "dgc"),
    [](const auto& info) { return std::string(info.param); });

TEST(CloseOrder, BarMappingKeepsEverythingAlive) {
  REQUIRE_DEVICES(1);
  PciDevice edu = lone_devices()[0];
  Memory m(kPage);
  uint64_t before = locked_pages();
  {
    std::unique_ptr<Edu> engine;
    {
      Session s({edu});
      ASSERT_OK(map_dma(s.container(), m.data(), kIova, kPage));
      engine = std::make_unique<Edu>(s.device());
    }
    // Every fd is closed; the mmap of the BAR holds the device file.
    EXPECT_ERR(EBUSY, open_group(edu).get());
    EXPECT_EQ(locked_pages(), before + 1);
    EXPECT_EQ(engine->read32(0), uint32_t{0x010000ed});
  }
  EXPECT_EQ(locked_pages(), before);
  EXPECT_OK(open_group(edu).get());
}

TEST(CloseOrder, ContainerClosedBeforeSetIommu) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]}, 0);
  s.container_fd().reset();
  EXPECT_EQ(group_flags(s.group()),
            VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
  EXPECT_ERR(EINVAL, get_device(s.group(), s.pci().bdf).get());
  EXPECT_OK(unset_container(s.group()));
}

TEST(CloseOrder, ManyTimesOver) {
  REQUIRE_DEVICES(1);
  Memory m(4 * kPage);
  uint64_t before = locked_pages();
  for (int i = 0; i < 30; i++) {
    Session s({lone_devices()[0]});
    ASSERT_TRUE(s.ok());
    ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  }
  EXPECT_EQ(locked_pages(), before);
}

// --- two groups -----------------------------------------------------------

TEST(TwoGroups, ShareMappings) {
  REQUIRE_DEVICES(2);
  auto all = lone_devices();
  Session s({all[0], all[1]});
  ASSERT_TRUE(s.ok());
  Memory m(2 * kPage);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_EQ(locked_pages(), before + 2) << "charged once, not per group";
  Edu a(s.device(0)), b(s.device(1));
  strcpy(reinterpret_cast<char*>(m.data()), "hand over");
  // The first device reads and writes page 1; the second copies it back.
  ASSERT_TRUE(a.copy(kIova + kPage, kIova, 16));
  EXPECT_STREQ(reinterpret_cast<char*>(m.at(kPage)), "hand over");
  memset(m.data(), 0, 16);
  ASSERT_TRUE(b.copy(kIova, kIova + kPage, 16));
  EXPECT_STREQ(reinterpret_cast<char*>(m.data()), "hand over");
}

TEST(TwoGroups, LateGroupSeesWhatIsMapped) {
  REQUIRE_DEVICES(2);
  auto all = lone_devices();
  Session s({all[0]});
  Memory m(3 * kPage);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  Fd g = open_group(all[1]);
  ASSERT_OK(set_container(g, s.container()));
  EXPECT_EQ(locked_pages(), before + 3);
  Fd d = get_device(g, all[1].bdf);
  ASSERT_OK(d.get());
  Edu b(d);
  strcpy(reinterpret_cast<char*>(m.at(kPage)), "replayed");
  ASSERT_TRUE(b.copy(kIova + 2 * kPage, kIova + kPage, 16));
  EXPECT_STREQ(reinterpret_cast<char*>(m.at(2 * kPage)), "replayed");
}

TEST(TwoGroups, OneLeavesTheOtherKeepsMappings) {
  REQUIRE_DEVICES(2);
  auto all = lone_devices();
  Session s({all[0], all[1]});
  Memory m(2 * kPage);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  s.device_fd(0).reset();
  ASSERT_OK(unset_container(s.group(0)));
  EXPECT_EQ(locked_pages(), before + 2);
  Edu b(s.device(1));
  strcpy(reinterpret_cast<char*>(m.data()), "still here");
  ASSERT_TRUE(b.copy(kIova + kPage, kIova, 16));
  EXPECT_STREQ(reinterpret_cast<char*>(m.at(kPage)), "still here");
  EXPECT_ERR(EINVAL, set_iommu(s.container(), VFIO_TYPE1v2_IOMMU));

  // The one that left starts anew in a container of its own.
  Fd c = open_container();
  ASSERT_OK(set_container(s.group(0), c));
  ASSERT_OK(set_iommu(c, VFIO_TYPE1v2_IOMMU));
  EXPECT_EQ(unmap_dma(c, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL).size, 0u);
}

TEST(TwoGroups, SeparateContainersAreSeparate) {
  REQUIRE_DEVICES(2);
  auto all = lone_devices();
  Session s({all[0]}), t({all[1]});
  Memory m(kPage), n(kPage);
  strcpy(reinterpret_cast<char*>(m.data()), "first");
  strcpy(reinterpret_cast<char*>(n.data()), "second");
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, kPage));
  ASSERT_OK(map_dma(t.container(), n.data(), kIova, kPage));
  Edu a(s.device()), b(t.device());
  ASSERT_TRUE(a.copy(kIova + 100, kIova, 8));
  ASSERT_TRUE(b.copy(kIova + 100, kIova, 8));
  EXPECT_STREQ(reinterpret_cast<char*>(m.at(100)), "first");
  EXPECT_STREQ(reinterpret_cast<char*>(n.at(100)), "second");
}

// --- without privileges ---------------------------------------------------

class Unprivileged : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_DEVICES(1);
    edu = lone_devices()[0];
    ASSERT_EQ(chown(edu.node().c_str(), kUser, kUser), 0);
  }
  void TearDown() override {
    if (edu.group >= 0) {
      EXPECT_EQ(chown(edu.node().c_str(), 0, 0), 0);
    }
  }
  PciDevice edu;
};

TEST_F(Unprivileged, WholeSession) {
  in_child(
      [&] {
        EXPECT_EQ(getuid(), kUser);
        Session s({edu});
        ASSERT_TRUE(s.ok());
        Memory m(2 * kPage);
        ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
        EXPECT_EQ(locked_pages(), 2u);
        Edu engine(s.device());
        strcpy(reinterpret_cast<char*>(m.data()), "as a user");
        EXPECT_TRUE(engine.copy(kIova + kPage, kIova, 16));
        EXPECT_STREQ(reinterpret_cast<char*>(m.at(kPage)), "as a user");
        EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
        EXPECT_EQ(locked_pages(), 0u);
      },
      {.drop_user = true, .memlock = 64 << 10});
}

TEST_F(Unprivileged, GroupPassedFromRoot) {
  EXPECT_EQ(chown(edu.node().c_str(), 0, 0), 0);
  Session s({edu});
  Memory m(kPage);
  in_child(
      [&] {
        EXPECT_OK(map_dma(s.container(), m.data(), kIova, kPage));
        EXPECT_EQ(locked_pages(), 1u);
        EXPECT_OK(unmap_dma(s.container(), kIova, kPage).result);
      },
      {.drop_user = true, .memlock = kPage});
}

}  // namespace
}  // namespace stack
