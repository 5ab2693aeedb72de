// SPDX-License-Identifier: GPL-2.0
//
// /dev/vfio/vfio: the node, API version, extensions, SET_IOMMU, and ioctls
// that are unknown or out of order.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "harness.hpp"

namespace stack {
namespace {

constexpr unsigned long kUnknown = _IO(VFIO_TYPE, VFIO_BASE + 90);

TEST(ContainerNode, MiscDevice10_196) {
  struct stat st;
  ASSERT_EQ(stat("/dev/vfio/vfio", &st), 0);
  EXPECT_TRUE(S_ISCHR(st.st_mode));
  EXPECT_EQ(major(st.st_rdev), 10u);
  EXPECT_EQ(minor(st.st_rdev), 196u);
}

TEST(ContainerNode, Mode0666) {
  struct stat st;
  ASSERT_EQ(stat("/dev/vfio/vfio", &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0666u);
}

TEST(ContainerNode, AnyUserMayOpen) {
  in_child(
      [] {
        Fd c = open_container();
        EXPECT_OK(c.get());
        EXPECT_EQ(call(c, VFIO_GET_API_VERSION), VFIO_API_VERSION);
        EXPECT_ERR(EINVAL, set_iommu(c, VFIO_TYPE1v2_IOMMU));
      },
      {.drop_user = true, .memlock = {}});
}

TEST(ContainerNode, ReadOnlyOpenStillTakesIoctls) {
  Fd c = open_path("/dev/vfio/vfio", O_RDONLY);
  ASSERT_OK(c.get());
  EXPECT_EQ(call(c, VFIO_GET_API_VERSION), 0);
}

TEST(ContainerNode, ReadWriteMmapRefused) {
  Fd c = open_container();
  char byte = 0;
  EXPECT_EQ(read(c, &byte, 1), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(write(c, &byte, 1), -1);
  EXPECT_EQ(errno, EINVAL);
  void* p = mmap(nullptr, kPage, PROT_READ, MAP_SHARED, c, 0);
  EXPECT_EQ(p, MAP_FAILED);
  observe_result("mmap", -errno);
}

TEST(Container, ApiVersionIs0) {
  Fd c = open_container();
  EXPECT_EQ(call(c, VFIO_GET_API_VERSION), 0);
  // The argument does not matter.
  EXPECT_EQ(call(c, VFIO_GET_API_VERSION, 12345ul), 0);
}

TEST(Container, ManyAtOnceAreIndependent) {
  std::vector<Fd> all;
  for (int i = 0; i < 32; i++) {
    all.push_back(open_container());
    ASSERT_OK(all.back().get());
  }
  for (Fd& c : all) EXPECT_EQ(call(c, VFIO_GET_API_VERSION), 0);
}

// --- extensions -----------------------------------------------------------

struct Extension {
  unsigned long value;
  const char* name;
  long unset;     // no IOMMU set
  long with_edu;  // type1 v2 set, one edu behind the emulated VT-d
};

// Without an IOMMU, UPDATE_VADDR and DMA_CC cannot be told. The emulated VT-d
// has no snoop control, so coherency is not enforced, and no two-stage domains
// for NESTING. Numbers 11 and 12 mean nothing to any 6.1 driver.
const Extension kExtensions[] = {
    {1, "TYPE1", 1, 1},        {2, "SPAPR_TCE", 0, 0},
    {3, "TYPE1v2", 1, 1},      {4, "DMA_CC", 0, 0},
    {5, "EEH", 0, 0},          {6, "NESTING", 0, 0},
    {7, "SPAPR_TCE_v2", 0, 0}, {8, "NOIOMMU", 0, 0},
    {9, "UNMAP_ALL", 1, 1},    {10, "UPDATE_VADDR", 0, 1},
    {11, "eleven", 0, 0},      {12, "twelve", 0, 0},
    {0, "zero", 0, 0},         {0xffffffff, "u32_max", 0, 0},
    {~0ul, "u64_max", 0, 0},   {0x100000001, "high_bits", 0, 0},
};

class ContainerExtension : public testing::TestWithParam<Extension> {};

TEST_P(ContainerExtension, BeforeGroup) {
  Fd c = open_container();
  long got = call(c, VFIO_CHECK_EXTENSION, GetParam().value);
  observe_result(GetParam().name, got);
  EXPECT_EQ(got, GetParam().unset);
}

TEST_P(ContainerExtension, WithGroupBeforeIommu) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]}, 0);
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(call(s.container(), VFIO_CHECK_EXTENSION, GetParam().value),
            GetParam().unset);
}

TEST_P(ContainerExtension, AfterSetIommu) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]});
  ASSERT_TRUE(s.ok());
  long got = call(s.container(), VFIO_CHECK_EXTENSION, GetParam().value);
  observe_result(GetParam().name, got);
  EXPECT_EQ(got, GetParam().with_edu);
}

INSTANTIATE_TEST_SUITE_P(All, ContainerExtension,
                         testing::ValuesIn(kExtensions), [](const auto& info) {
                           return std::string(info.param.name);
                         });

// What CHECK_EXTENSION says of a type is what SET_IOMMU then does with it, and
// asking leaves the container as it was.
TEST(ContainerExtension, NestingIsWhatSetIommuDoes) {
  REQUIRE_DEVICES(2);
  Session s({lone_devices()[0], lone_devices()[1]}, 0);
  ASSERT_TRUE(s.ok());
  for (int i = 0; i < 3; i++)
    EXPECT_EQ(
        call(s.container(), VFIO_CHECK_EXTENSION, VFIO_TYPE1_NESTING_IOMMU), 0);
  EXPECT_LT(set_iommu(s.container(), VFIO_TYPE1_NESTING_IOMMU), 0);
  EXPECT_OK(set_iommu(s.container(), VFIO_TYPE1v2_IOMMU));
  EXPECT_OK(get_device(s.group(1), lone_devices()[1].bdf).get());
}

// --- SET_IOMMU ------------------------------------------------------------

class SetIommuType : public testing::TestWithParam<unsigned long> {};

TEST_P(SetIommuType, Works) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]}, 0);
  ASSERT_TRUE(s.ok());
  long result = set_iommu(s.container(), GetParam());
  observe_result("set_iommu", result);
  if (GetParam() != VFIO_TYPE1_NESTING_IOMMU) {
    ASSERT_OK(result);
  }
  if (result == 0) {
    Memory m(kPage);
    EXPECT_OK(map_dma(s.container(), m.data(), kFirstIova, kPage));
    EXPECT_EQ(unmap_dma(s.container(), kFirstIova, kPage).size, kPage);
    EXPECT_ERR(EINVAL, set_iommu(s.container(), GetParam()));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, SetIommuType,
                         testing::Values(VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU,
                                         VFIO_TYPE1_NESTING_IOMMU));

class SetIommuRefused : public testing::TestWithParam<unsigned long> {};

TEST_P(SetIommuRefused, UnknownTypeThenAGoodOne) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]}, 0);
  ASSERT_TRUE(s.ok());
  long result = set_iommu(s.container(), GetParam());
  observe_result("set_iommu", result);
  EXPECT_LT(result, 0);
  EXPECT_OK(set_iommu(s.container(), VFIO_TYPE1v2_IOMMU))
      << "a refusal must leave the container usable";
}

// UNMAP_ALL (9) is an extension that the driver has but not a type.
INSTANTIATE_TEST_SUITE_P(Types, SetIommuRefused,
                         testing::Values(0ul, 2ul, 4ul, 7ul, 8ul, 9ul, 10ul,
                                         11ul, 0xfffffffful, ~0ul));

TEST(SetIommu, UnknownTypeIsENODEV) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]}, 0);
  EXPECT_ERR(ENODEV, set_iommu(s.container(), 1234));
}

TEST(SetIommu, ExtensionThatIsNoTypeIsEINVAL) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]}, 0);
  EXPECT_ERR(EINVAL, set_iommu(s.container(), VFIO_UNMAP_ALL));
}

TEST(SetIommu, WithoutGroupIsEINVAL) {
  Fd c = open_container();
  for (unsigned long type : {1ul, 3ul, 6ul, 1234ul})
    EXPECT_ERR(EINVAL, set_iommu(c, type)) << "type " << type;
}

TEST(SetIommu, TwiceIsEINVAL) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]});
  EXPECT_ERR(EINVAL, set_iommu(s.container(), VFIO_TYPE1v2_IOMMU));
  EXPECT_ERR(EINVAL, set_iommu(s.container(), VFIO_TYPE1_IOMMU));
  Memory m(kPage);
  EXPECT_OK(map_dma(s.container(), m.data(), kFirstIova, kPage))
      << "still in service";
}

// --- unknown and out of order ---------------------------------------------

TEST(ContainerIoctl, UnknownBeforeIommuIsEINVAL) {
  Fd c = open_container();
  EXPECT_ERR(EINVAL, call(c, kUnknown));
  EXPECT_ERR(EINVAL, call(c, _IO('?', 1)));
}

TEST(ContainerIoctl, UnknownAfterIommuIsENOTTY) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]});
  EXPECT_ERR(ENOTTY, call(s.container(), kUnknown));
  EXPECT_ERR(ENOTTY, call(s.container(), _IO('?', 1)));
}

TEST(ContainerIoctl, GroupIoctlsOnContainer) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]});
  int fd = s.container();
  vfio_group_status status{sizeof status, 0};
  EXPECT_ERR(ENOTTY, call(fd, VFIO_GROUP_GET_STATUS, &status));
  EXPECT_ERR(ENOTTY, call(fd, VFIO_GROUP_SET_CONTAINER, &fd));
  EXPECT_ERR(ENOTTY, call(fd, VFIO_GROUP_UNSET_CONTAINER));
  EXPECT_ERR(ENOTTY, call(fd, VFIO_GROUP_GET_DEVICE_FD, "x"));
}

struct Early {
  const char* name;
  unsigned long request;
};

class ContainerTooEarly : public testing::TestWithParam<Early> {};

TEST_P(ContainerTooEarly, WithoutGroupIsEINVAL) {
  Fd c = open_container();
  uint8_t arg[256] = {64};
  EXPECT_ERR(EINVAL, call(c, GetParam().request, arg));
}

TEST_P(ContainerTooEarly, WithGroupIsEINVAL) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]}, 0);
  uint8_t arg[256] = {64};
  EXPECT_ERR(EINVAL, call(s.container(), GetParam().request, arg));
}

INSTANTIATE_TEST_SUITE_P(
    All, ContainerTooEarly,
    testing::Values(Early{"GetInfo", VFIO_IOMMU_GET_INFO},
                    Early{"MapDma", VFIO_IOMMU_MAP_DMA},
                    Early{"UnmapDma", VFIO_IOMMU_UNMAP_DMA},
                    Early{"DirtyPages", VFIO_IOMMU_DIRTY_PAGES}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace stack
