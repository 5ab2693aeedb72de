// SPDX-License-Identifier: GPL-2.0
//
// RLIMIT_MEMLOCK, exactly and one page over, and dma_entry_limit.
#include <sys/resource.h>

#include <algorithm>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x300000;
constexpr uint32_t kRead = VFIO_DMA_MAP_FLAG_READ;

// The session is root's; the child has neither capability nor more than the
// limit, and maps through the container that it inherits.
using Memlock = OneDevice;

ChildOptions limited(uint64_t bytes) {
  return {.drop_user = true, .memlock = bytes};
}

TEST_F(Memlock, ExactlyTheLimitInOneMapping) {
  in_child(
      [&] {
        Memory m(16 * kPage);
        EXPECT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
        EXPECT_EQ(locked_pages(), 16u);
        EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
        EXPECT_EQ(locked_pages(), 0u);
      },
      limited(16 * kPage));
}

TEST_F(Memlock, OnePageOverInOneMapping) {
  in_child(
      [&] {
        Memory m(17 * kPage);
        uint32_t avail = dma_avail(s.container());
        EXPECT_ERR(ENOMEM, map_dma(s.container(), m.data(), kIova, m.size()));
        EXPECT_EQ(locked_pages(), 0u);
        EXPECT_EQ(dma_avail(s.container()), avail);
        EXPECT_EQ(unmap_dma(s.container(), 0, kFirstIova + kGiB).size, 0u);
        EXPECT_OK(map_dma(s.container(), m.data(), kIova, 16 * kPage));
        unmap_dma(s.container(), kIova, 16 * kPage);
      },
      limited(16 * kPage));
}

TEST_F(Memlock, OnePageOverInSeveralMappings) {
  in_child(
      [&] {
        Memory m(17 * kPage);
        for (uint64_t i = 0; i < 16; i++)
          ASSERT_OK(map_dma(s.container(), m.at(i * kPage), kIova + i * kPage,
                            kPage));
        EXPECT_ERR(ENOMEM, map_dma(s.container(), m.at(16 * kPage),
                                   kIova + 16 * kPage, kPage));
        EXPECT_EQ(locked_pages(), 16u);
        EXPECT_EQ(unmap_dma(s.container(), kIova + kPage, kPage).size, kPage);
        EXPECT_OK(map_dma(s.container(), m.at(16 * kPage), kIova + 16 * kPage,
                          kPage));
        unmap_dma(s.container(), 0, kFirstIova + kGiB);
        EXPECT_EQ(locked_pages(), 0u);
      },
      limited(16 * kPage));
}

TEST_F(Memlock, ManyBatchesOver) {
  in_child(
      [&] {
        Memory m(1600 * kPage);
        m.touch(1);
        EXPECT_ERR(ENOMEM, map_dma(s.container(), m.data(), kIova, m.size()));
        EXPECT_EQ(locked_pages(), 0u);
        EXPECT_OK(map_dma(s.container(), m.data(), kIova, 1599 * kPage));
        EXPECT_EQ(locked_pages(), 1599u);
        unmap_dma(s.container(), kIova, 1599 * kPage);
      },
      limited(1599 * kPage));
}

TEST_F(Memlock, HugePagesCountInFull) {
  in_child(
      [&] {
        Memory m(kHuge, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
        ASSERT_TRUE(m.ok());
        EXPECT_ERR(ENOMEM, map_dma(s.container(), m.data(), kIova, kHuge));
        EXPECT_OK(map_dma(s.container(), m.data(), kIova, kHuge - kPage));
        EXPECT_EQ(locked_pages(), 511u);
        unmap_dma(s.container(), kIova, kHuge - kPage);
      },
      limited(511 * kPage));
}

TEST_F(Memlock, PartOfAPageIsNone) {
  in_child(
      [&] {
        Memory m(4 * kPage);
        EXPECT_ERR(ENOMEM, map_dma(s.container(), m.data(), kIova, 4 * kPage));
        EXPECT_OK(map_dma(s.container(), m.data(), kIova, 3 * kPage));
        unmap_dma(s.container(), kIova, 3 * kPage);
      },
      limited(4 * kPage - 1));
}

TEST_F(Memlock, Zero) {
  in_child(
      [&] {
        Memory m(kPage);
        EXPECT_ERR(ENOMEM, map_dma(s.container(), m.data(), kIova, kPage));
      },
      limited(0));
}

// Memory that nobody has written gets pages of its own when it is mapped for
// reading, and needs its allowance as any other.
TEST_F(Memlock, ZeroForUnwrittenMemoryToRead) {
  in_child(
      [&] {
        Memory m(kPage, PROT_READ);
        EXPECT_ERR(ENOMEM,
                   map_dma(s.container(), m.data(), kIova, kPage, kRead));
        EXPECT_EQ(locked_pages(), 0u);
      },
      limited(0));
}

TEST_F(Memlock, SharesTheLimitWithMlock) {
  in_child(
      [&] {
        Memory locked(8 * kPage), m(8 * kPage);
        ASSERT_EQ(mlock(locked.data(), 4 * kPage), 0);
        EXPECT_ERR(ENOMEM, map_dma(s.container(), m.data(), kIova, 5 * kPage));
        EXPECT_OK(map_dma(s.container(), m.data(), kIova, 4 * kPage));
        EXPECT_EQ(locked_pages(), 8u);
        EXPECT_EQ(mlock(locked.at(4 * kPage), kPage), -1);
        EXPECT_EQ(errno, ENOMEM);
        unmap_dma(s.container(), kIova, 4 * kPage);
      },
      limited(8 * kPage));
}

TEST_F(Memlock, CapIpcLockIsExempt) {
  in_child(
      [&] {
        Memory m(4 * kPage);
        EXPECT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
        EXPECT_EQ(locked_pages(), 4u) << "counted all the same";
        unmap_dma(s.container(), kIova, m.size());
        EXPECT_EQ(locked_pages(), 0u);
      },
      {.drop_user = false, .memlock = 0});
}

TEST_F(Memlock, LimitIsTheCallersAtTheTimeOfTheCall) {
  in_child(
      [&] {
        Memory m(4 * kPage);
        EXPECT_OK(map_dma(s.container(), m.data(), kIova, 2 * kPage));
        rlimit none{0, 0};
        ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &none), 0);
        EXPECT_ERR(ENOMEM, map_dma(s.container(), m.at(2 * kPage),
                                   kIova + 2 * kPage, kPage));
        EXPECT_EQ(unmap_dma(s.container(), kIova, 2 * kPage).size, 2 * kPage);
        EXPECT_EQ(locked_pages(), 0u);
      },
      limited(4 * kPage));
}

// --- whose account --------------------------------------------------------

TEST_F(Memlock, ChargedToTheProcessThatMaps) {
  Memory m(4 * kPage);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, 2 * kPage));
  in_child([&] {
    EXPECT_EQ(locked_pages(), 0u) << "fork copies no charge";
    EXPECT_OK(map_dma(s.container(), m.data(), kIova + kHuge, 3 * kPage));
    EXPECT_EQ(locked_pages(), 3u);
    EXPECT_EQ(locked_pages(getppid()), before + 2);
    // Unmapping the parent's range credits the parent.
    EXPECT_EQ(unmap_dma(s.container(), kIova, 2 * kPage).size, 2 * kPage);
    EXPECT_EQ(locked_pages(), 3u);
    EXPECT_EQ(locked_pages(getppid()), before);
  });
  EXPECT_EQ(locked_pages(), before);
  // The child's mapping outlives it, and is unmapped here without harm.
  EXPECT_EQ(unmap_dma(s.container(), 0, kFirstIova + kGiB).size, 3 * kPage);
  EXPECT_EQ(locked_pages(), before);
}

// --- dma_entry_limit ------------------------------------------------------

class EntryLimit : public testing::Test {
 protected:
  void SetUp() override { REQUIRE_DEVICES(1); }
};

TEST_F(EntryLimit, DefaultIsTheParameter) {
  EXPECT_EQ(param("vfio_iommu_type1", "dma_entry_limit"), "65535");
  Session s({lone_devices()[0]});
  EXPECT_EQ(dma_avail(s.container()), 65535u);
}

TEST_F(EntryLimit, OneMoreIsENOSPC) {
  ScopedParam limit("vfio_iommu_type1", "dma_entry_limit", "3");
  ASSERT_TRUE(limit.applied());
  Session s({lone_devices()[0]});
  Memory m(8 * kPage);
  uint64_t before = locked_pages();
  for (uint32_t i = 0; i < 3; i++) {
    EXPECT_EQ(dma_avail(s.container()), 3 - i);
    ASSERT_OK(
        map_dma(s.container(), m.at(i * kPage), kIova + 2 * i * kPage, kPage));
  }
  EXPECT_EQ(dma_avail(s.container()), 0u);
  EXPECT_ERR(ENOSPC,
             map_dma(s.container(), m.at(3 * kPage), kFirstIova, kPage));
  EXPECT_EQ(locked_pages(), before + 3);
  EXPECT_ERR(EEXIST, map_dma(s.container(), m.data(), kIova, kPage))
      << "overlap is found first";
  EXPECT_ERR(ENOSPC, map_dma(s.container(), m.data(), 0xfee00000, kPage))
      << "and this before the reserved window";
  EXPECT_EQ(unmap_dma(s.container(), kIova, kPage).size, kPage);
  EXPECT_EQ(dma_avail(s.container()), 1u);
  EXPECT_OK(map_dma(s.container(), m.at(3 * kPage), kFirstIova, kPage));
  EXPECT_EQ(unmap_dma(s.container(), 0, 0, VFIO_DMA_UNMAP_FLAG_ALL).size,
            3 * kPage);
  EXPECT_EQ(dma_avail(s.container()), 3u);
}

TEST_F(EntryLimit, FailedMapUsesNone) {
  ScopedParam limit("vfio_iommu_type1", "dma_entry_limit", "1");
  Session s({lone_devices()[0]});
  Memory m(kPage);
  for (int i = 0; i < 5; i++)
    EXPECT_ERR(EFAULT, map_dma(s.container(), nullptr, kIova, kPage));
  EXPECT_OK(map_dma(s.container(), m.data(), kIova, kPage));
}

TEST_F(EntryLimit, ZeroRefusesAll) {
  ScopedParam limit("vfio_iommu_type1", "dma_entry_limit", "0");
  Session s({lone_devices()[0]});
  Memory m(kPage);
  EXPECT_EQ(dma_avail(s.container()), 0u);
  EXPECT_ERR(ENOSPC, map_dma(s.container(), m.data(), kIova, kPage));
}

TEST_F(EntryLimit, IsTakenAtSetIommu) {
  Session s({lone_devices()[0]});
  ScopedParam limit("vfio_iommu_type1", "dma_entry_limit", "1");
  EXPECT_EQ(dma_avail(s.container()), 65535u);
  Memory m(2 * kPage);
  EXPECT_OK(map_dma(s.container(), m.data(), kIova, kPage));
  EXPECT_OK(map_dma(s.container(), m.data(), kIova + kPage, kPage));
}

TEST_F(EntryLimit, V1HasItToo) {
  ScopedParam limit("vfio_iommu_type1", "dma_entry_limit", "1");
  Session s({lone_devices()[0]}, VFIO_TYPE1_IOMMU);
  Memory m(2 * kPage);
  EXPECT_OK(map_dma(s.container(), m.data(), kIova, kPage));
  EXPECT_ERR(ENOSPC, map_dma(s.container(), m.data(), kIova + kPage, kPage));
}

TEST_F(EntryLimit, ParametersAreWritableByRootOnly) {
  const std::string base = "/sys/module/vfio_iommu_type1/parameters/";
  for (const char* name :
       {"dma_entry_limit", "disable_hugepages", "allow_unsafe_interrupts"}) {
    observe(name, param("vfio_iommu_type1", name));
    EXPECT_FALSE(param("vfio_iommu_type1", name).empty()) << name;
  }
  in_child(
      [&] {
        EXPECT_ERR(EACCES, write_text(base + "dma_entry_limit", "1"));
        EXPECT_EQ(param("vfio_iommu_type1", "dma_entry_limit"), "65535");
      },
      {.drop_user = true, .memlock = {}});
  EXPECT_ERR(EINVAL, write_text(base + "dma_entry_limit", "many"));
}

}  // namespace
}  // namespace stack
