// SPDX-License-Identifier: GPL-2.0
//
// vfio_pin_pages and vfio_unpin_pages in a container that has no hardware:
// which pages, what is accounted, and each refusal.
#include "testdev.hpp"

using namespace stack;

namespace {

constexpr uint64_t kIova = 0x10000000;

class EmulatedPin : public OneTestdev {};

TEST_F(EmulatedPin, MappingAccountsNothing) {
  Memory m(16 * kPage);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  EXPECT_EQ(locked_pages(), before) << "nothing is pinned by MAP_DMA";
  Unmapped u = unmap_dma(s->container(), kIova, m.size());
  EXPECT_OK(u.result);
  EXPECT_EQ(u.size, m.size());
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(EmulatedPin, AccountsAPageOnceHoweverOftenPinned) {
  Memory m(16 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));

  EXPECT_EQ(pin(s->device(), kIova, 4), 4);
  EXPECT_EQ(locked_pages(), before + 4) << "first pin";
  EXPECT_EQ(pin(s->device(), kIova, 4), 4);
  EXPECT_EQ(locked_pages(), before + 4) << "second pin of the same pages";
  EXPECT_EQ(pin(s->device(), kIova + 2 * kPage, 4), 4);
  EXPECT_EQ(locked_pages(), before + 6) << "two of these four are new";

  EXPECT_OK(unpin(s->device(), kIova, 4));
  EXPECT_EQ(locked_pages(), before + 6) << "each is pinned once more";
  EXPECT_OK(unpin(s->device(), kIova, 4));
  EXPECT_EQ(locked_pages(), before + 4) << "the last pin of pages 0 and 1";
  EXPECT_OK(unpin(s->device(), kIova + 2 * kPage, 4));
  EXPECT_EQ(locked_pages(), before) << "all given back";
  EXPECT_ERR(ENOENT, unpin(s->device(), kIova, 1));
}

TEST_F(EmulatedPin, ReturnsTheFramesOfTheMemory) {
  Memory m(8 * kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  std::vector<uint64_t> pfns;
  ASSERT_EQ(pin(s->device(), kIova, 8, kRead | kWrite, 0, &pfns), 8);
  for (size_t i = 0; i < pfns.size(); i++)
    EXPECT_EQ(pfns[i], pfn_of(m.at(i * kPage))) << "page " << i;
  std::vector<uint64_t> again;
  ASSERT_EQ(pin(s->device(), kIova, 8, kRead | kWrite, 0, &again), 8);
  EXPECT_EQ(again, pfns) << "a second pin gives the same frames";
}

TEST_F(EmulatedPin, FaultsInMemoryThatWasNeverTouched) {
  Memory m(4 * kPage);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  std::vector<uint64_t> pfns;
  ASSERT_EQ(pin(s->device(), kIova, 4, kRead | kWrite, 0, &pfns), 4);
  m.touch(7);
  for (size_t i = 0; i < pfns.size(); i++)
    EXPECT_EQ(pfns[i], pfn_of(m.at(i * kPage)))
        << "a write after the pin must not move page " << i;
}

TEST_F(EmulatedPin, AcrossAdjacentMappings) {
  Memory a(4 * kPage), b(4 * kPage);
  a.touch(1);
  b.touch(2);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), a.data(), kIova, a.size()));
  ASSERT_OK(map_dma(s->container(), b.data(), kIova + a.size(), b.size()));
  std::vector<uint64_t> pfns;
  ASSERT_EQ(pin(s->device(), kIova + 3 * kPage, 2, kRead, 0, &pfns), 2);
  EXPECT_EQ(pfns[0], pfn_of(a.at(3 * kPage))) << "last page of the first";
  EXPECT_EQ(pfns[1], pfn_of(b.data())) << "first page of the second";
  EXPECT_EQ(locked_pages(), before + 2);
  EXPECT_OK(unpin(s->device(), kIova + 3 * kPage, 2));
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(EmulatedPin, AcrossAHolePinsNothing) {
  Memory m(8 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, 4 * kPage));
  ASSERT_OK(
      map_dma(s->container(), m.at(4 * kPage), kIova + 5 * kPage, 3 * kPage));
  EXPECT_ERR(EINVAL, pin(s->device(), kIova, 8));
  EXPECT_EQ(locked_pages(), before) << "what came before the hole is undone";

  // The undo takes back its own pins and no one else's.
  ASSERT_EQ(pin(s->device(), kIova + 2 * kPage, 2), 2);
  EXPECT_ERR(EINVAL, pin(s->device(), kIova, 8));
  EXPECT_EQ(locked_pages(), before + 2) << "the earlier pins are still there";
  EXPECT_OK(unpin(s->device(), kIova + 2 * kPage, 2));
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(EmulatedPin, Refusals) {
  Memory m(4 * kPage);
  Memory big(1024 * kPage);
  m.touch(1);
  const uint64_t ro = 0x20000000, wo = 0x30000000, large = 0x40000000;
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_OK(map_dma(s->container(), m.data(), ro, m.size(), kMapRead));
  ASSERT_OK(map_dma(s->container(), m.data(), wo, m.size(), kMapWrite));
  ASSERT_OK(map_dma(s->container(), big.data(), large, big.size()));
  const struct {
    const char* name;
    uint64_t iova;
    int npage;
    uint32_t prot, flags;
    long want;
  } cases[] = {
      {"write of a read-only mapping", ro, 1, kWrite, 0, -EPERM},
      {"read and write of a read-only mapping", ro, 1, kRead | kWrite, 0,
       -EPERM},
      {"read of a read-only mapping", ro, 2, kRead, 0, 2},
      {"read of a write-only mapping", wo, 1, kRead, 0, -EPERM},
      {"write of a write-only mapping", wo, 2, kWrite, 0, 2},
      {"no pages", kIova, 0, kRead, 0, -EINVAL},
      {"a negative count", kIova, -1, kRead, 0, -E2BIG},
      {"513 pages", large, 513, kRead, 0, -E2BIG},
      {"512 pages", large, 512, kRead, 0, 512},
      {"no array", kIova, 1, kRead, VFIO_TESTDEV_NO_PAGES, -EINVAL},
      {"below every mapping", kIova - kPage, 1, kRead, 0, -EINVAL},
      {"after a mapping", kIova + m.size(), 1, kRead, 0, -EINVAL},
      {"address 0", 0, 1, kRead, 0, -EINVAL},
      {"the last page", ~0ull - kPage + 1, 1, kRead, 0, -EINVAL},
      {"one page too far", kIova + 3 * kPage, 2, kRead, 0, -EINVAL},
  };
  for (const auto& c : cases) {
    uint64_t before = locked_pages();
    long got = pin(s->device(), c.iova, c.npage, c.prot, c.flags);
    EXPECT_EQ(errno_name(got), errno_name(c.want)) << c.name;
    EXPECT_EQ(locked_pages(), before + (got > 0 ? got : 0)) << c.name;
    if (got > 0) {
      EXPECT_OK(unpin(s->device(), c.iova, static_cast<int>(got))) << c.name;
    }
    EXPECT_EQ(locked_pages(), before) << c.name;
  }
}

// As for a mapping.
TEST_F(EmulatedPin, ARangeThatWrapsIsEOVERFLOW) {
  uint64_t before = locked_pages();
  EXPECT_ERR(EOVERFLOW, pin(s->device(), ~0ull - kPage + 1, 2, kRead));
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(EmulatedPin, MemoryThatIsNotThere) {
  Memory m(4 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_EQ(munmap(m.at(2 * kPage), kPage), 0);
  EXPECT_ERR(EFAULT, pin(s->device(), kIova, 4));
  EXPECT_EQ(locked_pages(), before) << "pages before the fault are unpinned";
  EXPECT_EQ(pin(s->device(), kIova, 2), 2);
  EXPECT_EQ(locked_pages(), before + 2);
}

TEST_F(EmulatedPin, ReadOnlyMemoryUnderAWritableMapping) {
  Memory m(kPage, PROT_READ);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()))
      << "an emulated container looks at the memory only when it pins";
  EXPECT_ERR(EFAULT, pin(s->device(), kIova, 1, kRead))
      << "the mapping's own protection counts";
}

TEST_F(EmulatedPin, FromAKernelThread) {
  Memory m(4 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  std::vector<uint64_t> pfns;
  ASSERT_EQ(
      pin(s->device(), kIova, 4, kRead | kWrite, VFIO_TESTDEV_KTHREAD, &pfns),
      4);
  EXPECT_EQ(locked_pages(), before + 4) << "charged to the mm that mapped";
  EXPECT_EQ(pfns[3], pfn_of(m.at(3 * kPage)));
  EXPECT_OK(unpin(s->device(), kIova, 4, VFIO_TESTDEV_KTHREAD));
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(EmulatedPin, UnpinOfAMappedPageThatIsNotPinnedChangesNothing) {
  Memory m(4 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_EQ(pin(s->device(), kIova, 1), 1);
  EXPECT_OK(unpin(s->device(), kIova + kPage, 3, VFIO_TESTDEV_RAW));
  EXPECT_EQ(locked_pages(), before + 1);
}

TEST_F(EmulatedPin, HugePage) {
  Memory m = Memory::aligned(2 * kHuge);
  m.touch(1);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  std::vector<uint64_t> pfns;
  ASSERT_EQ(pin(s->device(), kIova + kHuge - 8 * kPage, 512, kRead, 0, &pfns),
            512);
  for (size_t i = 0; i < pfns.size(); i++)
    ASSERT_EQ(pfns[i], pfn_of(m.at(kHuge + (i - 8) * kPage))) << "page " << i;
  EXPECT_EQ(locked_pages(), before + 512);
  EXPECT_OK(unpin(s->device(), kIova + kHuge - 8 * kPage, 512));
  EXPECT_EQ(locked_pages(), before);
}

TEST(EmulatedPinKinds, V1ContainerCannotPin) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev}, VFIO_TYPE1_IOMMU);
  ASSERT_TRUE(s.ok());
  Memory m(kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_ERR(EACCES, pin(s.device(), kIova, 1));
  char byte = 0;
  EXPECT_OK(dma_read(s.device(), kIova, &byte, 1)) << "dma_rw works in v1";
  EXPECT_EQ(byte, 1);
}

TEST(EmulatedPinKinds, DeviceWithoutDmaUnmapCannotPin) {
  Testdev dev({.kind = VFIO_TESTDEV_NO_UNMAP});
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  Memory m(kPage);
  m.touch(5);
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_ERR(EINVAL, pin(s.device(), kIova, 1));
  char byte = 0;
  EXPECT_OK(dma_read(s.device(), kIova, &byte, 1));
  EXPECT_EQ(byte, 5);
}

// Run as an ordinary user with a limit of eight locked pages.
TEST_F(EmulatedPin, RlimitExactlyAndOneOver) {
  in_child(
      [&] {
        Memory m(32 * kPage);
        m.touch(1);
        ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()))
            << "a mapping alone locks nothing";
        EXPECT_EQ(pin(s->device(), kIova, 8), 8) << "exactly the limit";
        EXPECT_EQ(locked_pages(), 8u);
        EXPECT_ERR(ENOMEM, pin(s->device(), kIova + 8 * kPage, 1));
        EXPECT_EQ(pin(s->device(), kIova, 8), 8) << "again costs nothing";
        EXPECT_OK(unpin(s->device(), kIova, 8));
        EXPECT_OK(unpin(s->device(), kIova, 1));
        EXPECT_EQ(pin(s->device(), kIova + 8 * kPage, 1), 1)
            << "one freed, one more fits";
        EXPECT_OK(unpin(s->device(), kIova + 8 * kPage, 1));
        EXPECT_OK(unpin(s->device(), kIova + kPage, 7));
        EXPECT_EQ(locked_pages(), 0u);
        EXPECT_ERR(ENOMEM, pin(s->device(), kIova, 9))
            << "one over in a single call";
        EXPECT_EQ(locked_pages(), 0u) << "the refused call is undone";
        EXPECT_ERR(ENOMEM,
                   pin(s->device(), kIova, 9, kRead, VFIO_TESTDEV_KTHREAD))
            << "a kernel thread charges the same limit";
      },
      {.drop_user = true, .memlock = 8 * kPage});
}

TEST_F(EmulatedPin, LockCapIsExemptFromTheLimit) {
  in_child(
      [&] {
        Memory m(32 * kPage);
        m.touch(1);
        ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
        EXPECT_EQ(pin(s->device(), kIova, 32), 32) << "root has CAP_IPC_LOCK";
        EXPECT_EQ(locked_pages(), 32u) << "and is charged all the same";
      },
      {.memlock = 8 * kPage});
}

}  // namespace
