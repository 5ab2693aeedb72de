// SPDX-License-Identifier: GPL-2.0
//
// MAP_DMA of memory of each kind: what is charged to VmLck, what cannot be
// mapped, and that a failure half-way leaves nothing behind.
#include <sys/mman.h>

#include <functional>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x40000000;
constexpr uint32_t kRead = VFIO_DMA_MAP_FLAG_READ;
constexpr uint32_t kWrite = VFIO_DMA_MAP_FLAG_WRITE;

using Type1Memory = OneDevice;

// --- accounting by kind ---------------------------------------------------

struct Kind {
  const char* name;
  uint32_t flags;
  std::function<Memory()> make;
  uint64_t charged;  // pages; 0: EFAULT
};

Memory touched(Memory m) {
  m.touch(1);
  return m;
}

Memory file_memory(int prot, int flags, unsigned memfd_flags = 0,
                   size_t size = 8 * kPage) {
  Fd fd = make_memfd(size, memfd_flags);
  return Memory(size, prot, flags, fd);
}

const int kRw = PROT_READ | PROT_WRITE;

const Kind kKinds[] = {
    {"anon_touched", kRead | kWrite, [] { return touched(Memory(8 * kPage)); },
     8},
    {"anon_untouched_write", kWrite, [] { return Memory(8 * kPage); }, 8},
    {"anon_one_page", kRead | kWrite, [] { return Memory(kPage); }, 1},
    {"anon_touched_then_readonly", kRead,
     [] {
       Memory m = touched(Memory(8 * kPage));
       mprotect(m.data(), m.size(), PROT_READ);
       return m;
     },
     8},
    {"anon_600_pages", kRead | kWrite,
     [] { return touched(Memory(600 * kPage)); }, 600},
    {"anon_shared", kRead | kWrite,
     [] { return Memory(8 * kPage, kRw, MAP_SHARED | MAP_ANONYMOUS); }, 8},
    {"thp_2_huge", kRead | kWrite,
     [] { return touched(Memory::aligned(2 * kHuge)); }, 1024},
    {"thp_second_half_gone", kRead | kWrite,
     [] {
       Memory m = touched(Memory::aligned(kHuge));
       munmap(m.at(kHuge / 2), kHuge / 2);
       return m;
     },
     0},  // fails
    {"hugetlb", kRead | kWrite,
     [] {
       return touched(
           Memory(2 * kHuge, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB));
     },
     1024},
    {"hugetlb_memfd", kRead | kWrite,
     [] { return file_memory(kRw, MAP_SHARED, MFD_HUGETLB, 2 * kHuge); }, 1024},
    {"memfd_shared", kRead | kWrite,
     [] { return file_memory(kRw, MAP_SHARED); }, 8},
    {"memfd_shared_read", kRead,
     [] { return file_memory(PROT_READ, MAP_SHARED); }, 8},
    {"memfd_private_write", kRead | kWrite,
     [] { return file_memory(kRw, MAP_PRIVATE); }, 8},
    {"memfd_private_read", kRead,
     [] { return file_memory(PROT_READ, MAP_PRIVATE); }, 8},
    {"mlocked", kRead | kWrite,
     [] {
       Memory m(8 * kPage);
       mlock(m.data(), m.size());
       return m;
     },
     8},
    {"mlocked_on_fault", kRead | kWrite,
     [] {
       Memory m(8 * kPage);
       mlock2(m.data(), m.size(), MLOCK_ONFAULT);
       return m;
     },
     8},
    {"grows_down", kRead | kWrite,
     [] {
       return touched(
           Memory(8 * kPage, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN));
     },
     8},
};

class MapKind : public testing::TestWithParam<Kind> {};

TEST_P(MapKind, ChargesAndReturns) {
  REQUIRE_DEVICES(1);
  const Kind& kind = GetParam();
  Session s({lone_devices()[0]});
  Memory m = kind.make();
  ASSERT_TRUE(m.ok());
  uint64_t before = locked_pages();
  uint32_t avail = dma_avail(s.container());
  long result = map_dma(s.container(), m.data(), kIova, m.size(), kind.flags);
  observe_result("map", result);
  if (kind.charged) {
    ASSERT_OK(result);
  } else {
    ASSERT_ERR(EFAULT, result);
    EXPECT_EQ(dma_avail(s.container()), avail);
  }
  EXPECT_EQ(locked_pages(), before + kind.charged);
  observe("charged", locked_pages() - before);
  EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size,
            kind.charged ? m.size() : 0);
  EXPECT_EQ(locked_pages(), before);
}

INSTANTIATE_TEST_SUITE_P(All, MapKind, testing::ValuesIn(kKinds),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST_F(Type1Memory, SamePagesTwiceAreChargedTwice) {
  Memory m(4 * kPage);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  ASSERT_OK(map_dma(s.container(), m.data(), kIova + kHuge, m.size()));
  EXPECT_EQ(locked_pages(), before + 8);
  unmap_dma(s.container(), kIova, m.size());
  EXPECT_EQ(locked_pages(), before + 4);
}

TEST_F(Type1Memory, PinsAreCountedByTheKernel) {
  Memory m(16 * kPage);
  int64_t pins = outstanding_pins();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_EQ(outstanding_pins(), pins + 16);
  unmap_dma(s.container(), kIova, m.size());
  EXPECT_EQ(outstanding_pins(), pins);
}

TEST_F(Type1Memory, UnwrittenMemoryLeaksNoReferences) {
  Memory m(8 * kPage);
  int64_t pins = outstanding_pins();
  for (int i = 0; i < 3000; i++) {
    ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size(), kRead));
    ASSERT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
  }
  EXPECT_EQ(outstanding_pins(), pins);
}

// --- memory that cannot be mapped -----------------------------------------

TEST_F(Type1Memory, UnmappedIsEFAULT) {
  Memory m(kPage);
  uint8_t* gone = m.data();
  munmap(gone, kPage);
  EXPECT_ERR(EFAULT, map_dma(s.container(), gone, kIova, kPage));
  m.release();
}

TEST_F(Type1Memory, ProtNoneIsEFAULT) {
  Memory m(kPage, PROT_NONE);
  for (uint32_t flags : {kRead, kWrite, kRead | kWrite})
    EXPECT_ERR(EFAULT, map_dma(s.container(), m.data(), kIova, kPage, flags));
}

TEST_F(Type1Memory, ReadOnlyMappedForWriteIsEFAULT) {
  Memory m(kPage, PROT_READ);
  EXPECT_ERR(EFAULT, map_dma(s.container(), m.data(), kIova, kPage, kWrite));
  EXPECT_ERR(EFAULT,
             map_dma(s.container(), m.data(), kIova, kPage, kRead | kWrite));
  EXPECT_OK(map_dma(s.container(), m.data(), kIova, kPage, kRead));
}

TEST_F(Type1Memory, WriteOnlyMemory) {
  // x86 cannot express write without read, so this is mapped for both.
  Memory m(kPage, PROT_WRITE);
  for (uint32_t flags : {kRead, kWrite}) {
    long result = map_dma(s.container(), m.data(), kIova, kPage, flags);
    observe_result(flags == kRead ? "read" : "write", result);
    unmap_dma(s.container(), kIova, kPage);
  }
}

TEST_F(Type1Memory, BeyondEndOfFile) {
  Fd fd = make_memfd(2 * kPage);
  Memory m(4 * kPage, kRw, MAP_SHARED, fd);
  uint64_t before = locked_pages();
  EXPECT_ERR(EFAULT, map_dma(s.container(), m.data(), kIova, 4 * kPage));
  EXPECT_EQ(locked_pages(), before);
  EXPECT_OK(map_dma(s.container(), m.data(), kIova, 2 * kPage));
}

class PartlyBad : public testing::TestWithParam<size_t> {};

TEST_P(PartlyBad, IsRolledBack) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]});
  constexpr size_t kPages = 1300;  // several batches of pins
  Memory m(kPages * kPage);
  m.touch(1);
  munmap(m.at(GetParam() * kPage), kPage);
  uint64_t before = locked_pages();
  int64_t pins = outstanding_pins();
  uint32_t avail = dma_avail(s.container());
  EXPECT_ERR(EFAULT, map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_EQ(locked_pages(), before);
  EXPECT_EQ(outstanding_pins(), pins);
  EXPECT_EQ(dma_avail(s.container()), avail);
  EXPECT_EQ(unmap_dma(s.container(), 0, kFirstIova + 2 * kGiB).size, 0u);
  // The bad page put right, the same request works.
  ASSERT_NE(mmap(m.at(GetParam() * kPage), kPage, kRw,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
            MAP_FAILED);
  EXPECT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_EQ(locked_pages(), before + kPages);
}

INSTANTIATE_TEST_SUITE_P(BadPage, PartlyBad,
                         testing::Values(0, 1, 511, 512, 513, 1024, 1299));

TEST_F(Type1Memory, PatchworkOfKinds) {
  // Anonymous, shared file, huge and read-only zero pages in one mapping.
  Memory m = Memory::aligned(4 * kHuge);
  m.touch(1);
  Fd fd = make_memfd(16 * kPage);
  ASSERT_NE(mmap(m.at(kHuge), 16 * kPage, kRw, MAP_SHARED | MAP_FIXED, fd, 0),
            MAP_FAILED);
  ASSERT_NE(mmap(m.at(2 * kHuge), kHuge, kRw,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0),
            MAP_FAILED);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_EQ(locked_pages(), before + 4 * 512);
  EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(Type1Memory, HugePageAtOddIova) {
  // A huge page at an IOVA that is not aligned to it, and one from its middle.
  Memory m(kHuge, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
  ASSERT_TRUE(m.ok());
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova + kPage, kHuge));
  ASSERT_OK(
      map_dma(s.container(), m.at(5 * kPage), kIova + 8 * kHuge, 7 * kPage));
  EXPECT_EQ(locked_pages(), before + 512 + 7);
  EXPECT_EQ(unmap_dma(s.container(), kIova, 16 * kHuge).size,
            kHuge + 7 * kPage);
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(Type1Memory, DisableHugepages) {
  ScopedParam param("vfio_iommu_type1", "disable_hugepages", "Y");
  ASSERT_TRUE(param.applied());
  Memory m = touched(Memory::aligned(kHuge));
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_EQ(locked_pages(), before + 512);
  Edu edu(s.device());
  *m.at(7 * kPage) = 0x5a;
  EXPECT_TRUE(edu.copy(kIova + 500 * kPage, kIova + 7 * kPage, 1));
  EXPECT_EQ(*m.at(500 * kPage), 0x5a);
  EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
  EXPECT_EQ(locked_pages(), before);
}

}  // namespace
}  // namespace stack
