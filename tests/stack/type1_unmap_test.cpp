// SPDX-License-Identifier: GPL-2.0
//
// UNMAP_DMA: arguments, the rules of v2 (never bisect) and of v1 (whole
// mappings by their first address), the size reported, and memory or
// processes that are gone before it.
#include <sys/mman.h>

#include <functional>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x400000;
constexpr uint64_t kLastPage = ~0ull - kPage + 1;
constexpr uint64_t kHalf = 1ull << 63;
constexpr uint32_t kAll = VFIO_DMA_UNMAP_FLAG_ALL;
constexpr uint32_t kVaddr = VFIO_DMA_UNMAP_FLAG_VADDR;
constexpr uint32_t kBitmap = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;

using Unmap = vfio_iommu_type1_dma_unmap;

// Each case sees mappings of pages 4-7, 8-11 and 16-19 above kIova.
class Mapped : public testing::Test {
 protected:
  void map(unsigned long type) {
    REQUIRE_DEVICES(1);
    s = Session({lone_devices()[0]}, type);
    ASSERT_TRUE(s.ok());
    m = Memory(20 * kPage);
    m.touch(1);
    before = locked_pages();
    for (uint64_t first : {4, 8, 16})
      ASSERT_OK(map_dma(s.container(), m.at(first * kPage),
                        kIova + first * kPage, 4 * kPage));
  }
  void expect_mapped(uint64_t npages) {
    EXPECT_EQ(locked_pages(), before + npages);
  }
  Session s;
  Memory m;
  uint64_t before = 0;
};

// --- arguments ------------------------------------------------------------

struct ArgCase {
  const char* name;
  int error;
  uint64_t unmapped;  // pages
  std::function<void(Unmap&)> change;
};

// From a good request for pages 4-7.
const ArgCase kArgCases[] = {
    {"good", 0, 4, [](Unmap&) {}},
    {"argsz_0", EINVAL, 0, [](Unmap& u) { u.argsz = 0; }},
    {"argsz_one_short", EINVAL, 0, [](Unmap& u) { u.argsz = 23; }},
    {"argsz_over", 0, 4, [](Unmap& u) { u.argsz = 64; }},
    {"flags_unknown_8", EINVAL, 0, [](Unmap& u) { u.flags = 8; }},
    {"flags_unknown_top", EINVAL, 0, [](Unmap& u) { u.flags = 1u << 31; }},
    {"size_0", EINVAL, 0, [](Unmap& u) { u.size = 0; }},
    {"size_odd", EINVAL, 0, [](Unmap& u) { u.size += 1; }},
    {"size_half_page", EINVAL, 0, [](Unmap& u) { u.size -= kPage / 2; }},
    {"iova_odd", EINVAL, 0, [](Unmap& u) { u.iova += 1; }},
    {"iova_half_page", EINVAL, 0, [](Unmap& u) { u.iova += kPage / 2; }},
    {"all_with_iova", EINVAL, 0, [](Unmap& u) { u.flags = kAll, u.size = 0; }},
    {"all_with_size", EINVAL, 0, [](Unmap& u) { u.flags = kAll, u.iova = 0; }},
    {"all_with_both", EINVAL, 0, [](Unmap& u) { u.flags = kAll; }},
    {"all", 0, 12, [](Unmap& u) { u.flags = kAll, u.iova = u.size = 0; }},
    {"all_bitmap", EINVAL, 0,
     [](Unmap& u) { u.flags = kAll | kBitmap, u.iova = u.size = 0; }},
    {"vaddr_bitmap", EINVAL, 0, [](Unmap& u) { u.flags = kVaddr | kBitmap; }},
    {"bitmap_without_room", EINVAL, 0, [](Unmap& u) { u.flags = kBitmap; }},
    {"nothing_there", 0, 0, [](Unmap& u) { u.iova = kIova + kGiB; }},
    {"last_page", 0, 0, [](Unmap& u) { u.iova = kLastPage, u.size = kPage; }},
    {"outside_aperture", 0, 0, [](Unmap& u) { u.iova = 1ull << 60; }},
    {"reserved_window", 0, 0, [](Unmap& u) { u.iova = 0xfee00000; }},
    {"upper_half", 0, 0, [](Unmap& u) { u.iova = u.size = kHalf; }},
    {"lower_half", 0, 12, [](Unmap& u) { u.iova = 0, u.size = kHalf; }},
    {"all_but_last_page", 0, 12,
     [](Unmap& u) { u.iova = 0, u.size = kLastPage; }},
    {"from_its_iova_to_the_last_address", 0, 12,
     [](Unmap& u) { u.size = -u.iova; }},
};

class UnmapArguments : public Mapped,
                       public testing::WithParamInterface<ArgCase> {};

TEST_P(UnmapArguments, V2) {
  map(VFIO_TYPE1v2_IOMMU);
  if (HasFatalFailure()) return;
  const ArgCase& test = GetParam();
  Unmap u{};
  u.argsz = sizeof u;
  u.iova = kIova + 4 * kPage;
  u.size = 4 * kPage;
  test.change(u);
  uint64_t asked = u.size;
  long result = call(s.container(), VFIO_IOMMU_UNMAP_DMA, &u);
  observe_result("unmap", result);
  observe("size", u.size);
  EXPECT_ERR(test.error, result);
  EXPECT_EQ(u.size, test.error ? asked : test.unmapped * kPage);
  expect_mapped(12 - test.unmapped);
}

INSTANTIATE_TEST_SUITE_P(All, UnmapArguments, testing::ValuesIn(kArgCases),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

struct Wrap {
  const char* name;
  uint64_t iova, size;
};

class UnmapWrap : public Mapped, public testing::WithParamInterface<Wrap> {};

// Past 2^64 is EOVERFLOW as in the newest kernel.
TEST_P(UnmapWrap, IsEOVERFLOW) {
  map(VFIO_TYPE1v2_IOMMU);
  EXPECT_ERR(EOVERFLOW,
             unmap_dma(s.container(), GetParam().iova, GetParam().size).result);
  expect_mapped(12);
}

INSTANTIATE_TEST_SUITE_P(
    All, UnmapWrap,
    testing::Values(Wrap{"last_page_and_one", kLastPage, 2 * kPage},
                    Wrap{"from_a_mapping", kIova + 4 * kPage, kLastPage},
                    Wrap{"upper_half_and_a_page", kHalf, kHalf + kPage}),
    [](const auto& info) { return std::string(info.param.name); });

// --- ranges ---------------------------------------------------------------

struct Range {
  const char* name;
  uint64_t first, npages;
  int v2_error;
  uint64_t v2_pages, v1_pages;
};

// v1 stops at a mapping that begins before the range, and takes the whole of
// one that begins in it.
const Range kRanges[] = {
    {"exact", 4, 4, 0, 4, 4},
    {"two_adjacent", 4, 8, 0, 8, 8},
    {"three_with_hole", 4, 16, 0, 12, 12},
    {"hole_around", 2, 6, 0, 4, 4},
    {"hole_only", 12, 4, 0, 0, 0},
    {"below_all", 0, 4, 0, 0, 0},
    {"all_and_more", 0, 64, 0, 12, 12},
    {"first_page_of_one", 4, 1, EINVAL, 0, 4},
    {"last_page_of_one", 7, 1, EINVAL, 0, 0},
    {"middle_of_one", 5, 2, EINVAL, 0, 0},
    {"begins_inside", 6, 6, EINVAL, 0, 0},
    {"ends_inside", 4, 6, EINVAL, 0, 8},
    {"begins_and_ends_inside", 6, 4, EINVAL, 0, 0},
    {"hole_into_next", 12, 5, EINVAL, 0, 4},
    {"inside_into_hole", 9, 5, EINVAL, 0, 0},
};

class UnmapRange : public Mapped, public testing::WithParamInterface<Range> {};

TEST_P(UnmapRange, V2) {
  map(VFIO_TYPE1v2_IOMMU);
  const Range& r = GetParam();
  Unmapped u =
      unmap_dma(s.container(), kIova + r.first * kPage, r.npages * kPage);
  observe("size", u.size);
  EXPECT_ERR(r.v2_error, u.result);
  if (!r.v2_error) {
    EXPECT_EQ(u.size, r.v2_pages * kPage);
  }
  expect_mapped(12 - r.v2_pages);
}

TEST_P(UnmapRange, V1) {
  map(VFIO_TYPE1_IOMMU);
  const Range& r = GetParam();
  Unmapped u =
      unmap_dma(s.container(), kIova + r.first * kPage, r.npages * kPage);
  observe("size", u.size);
  EXPECT_OK(u.result);
  EXPECT_EQ(u.size, r.v1_pages * kPage);
  expect_mapped(12 - r.v1_pages);
}

INSTANTIATE_TEST_SUITE_P(All, UnmapRange, testing::ValuesIn(kRanges),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

// --- whole address spaces -------------------------------------------------

TEST_F(Mapped, TwoHalfSpaceCalls) {
  map(VFIO_TYPE1v2_IOMMU);
  uint64_t last = iova_ranges(s.container()).back().last;
  ASSERT_OK(map_dma(s.container(), m.data(), last + 1 - kPage, kPage));
  EXPECT_EQ(unmap_dma(s.container(), 0, kHalf).size, 13 * kPage);
  Unmapped upper = unmap_dma(s.container(), kHalf, kHalf);
  EXPECT_OK(upper.result);
  EXPECT_EQ(upper.size, 0u);
  expect_mapped(0);
}

TEST_F(Mapped, AllWithNothingMapped) {
  map(VFIO_TYPE1v2_IOMMU);
  EXPECT_EQ(unmap_dma(s.container(), 0, 0, kAll).size, 12 * kPage);
  Unmapped again = unmap_dma(s.container(), 0, 0, kAll);
  EXPECT_OK(again.result);
  EXPECT_EQ(again.size, 0u);
}

TEST_F(Mapped, AllOnV1) {
  map(VFIO_TYPE1_IOMMU);
  Unmapped all = unmap_dma(s.container(), 0, 0, kAll);
  EXPECT_OK(all.result);
  EXPECT_EQ(all.size, 12 * kPage);
  expect_mapped(0);
}

TEST_F(Mapped, TwiceIsZero) {
  map(VFIO_TYPE1v2_IOMMU);
  EXPECT_EQ(unmap_dma(s.container(), kIova + 4 * kPage, 4 * kPage).size,
            4 * kPage);
  Unmapped again = unmap_dma(s.container(), kIova + 4 * kPage, 4 * kPage);
  EXPECT_OK(again.result);
  EXPECT_EQ(again.size, 0u);
  expect_mapped(8);
}

// --- the argument's memory ------------------------------------------------

TEST_F(Mapped, ArgumentBadPointerIsEFAULT) {
  map(VFIO_TYPE1v2_IOMMU);
  EXPECT_ERR(EFAULT, call(s.container(), VFIO_IOMMU_UNMAP_DMA, nullptr));
  EXPECT_ERR(EFAULT, call(s.container(), VFIO_IOMMU_UNMAP_DMA, 8ul));
  expect_mapped(12);
}

TEST_F(Mapped, ArgumentInReadOnlyPageIsEFAULTButDone) {
  // What was unmapped cannot be reported; it is unmapped nevertheless.
  map(VFIO_TYPE1v2_IOMMU);
  Memory arg(kPage);
  auto* u = new (arg.data()) Unmap{};
  u->argsz = sizeof *u;
  u->iova = kIova + 4 * kPage;
  u->size = 4 * kPage;
  mprotect(arg.data(), kPage, PROT_READ);
  EXPECT_ERR(EFAULT, call(s.container(), VFIO_IOMMU_UNMAP_DMA, u));
  observe("still_locked", locked_pages() - before);
  expect_mapped(8);
}

// --- memory and processes that are gone -----------------------------------

TEST_F(Mapped, MunmapFirst) {
  map(VFIO_TYPE1v2_IOMMU);
  munmap(m.data(), m.size());
  m.release();
  expect_mapped(12);
  EXPECT_EQ(unmap_dma(s.container(), 0, kHalf).size, 12 * kPage);
  expect_mapped(0);
}

TEST_F(Mapped, MremapAndOverwriteFirst) {
  map(VFIO_TYPE1v2_IOMMU);
  void* moved = mremap(m.data(), m.size(), m.size(),
                       MREMAP_MAYMOVE | MREMAP_FIXED, m.data() + 64 * kPage);
  ASSERT_NE(moved, MAP_FAILED);
  EXPECT_EQ(unmap_dma(s.container(), 0, kHalf).size, 12 * kPage);
  expect_mapped(0);
  munmap(moved, m.size());
  m.release();
}

TEST_F(Mapped, MadvDontneedFirst) {
  map(VFIO_TYPE1v2_IOMMU);
  ASSERT_EQ(madvise(m.data(), m.size(), MADV_DONTNEED), 0);
  EXPECT_EQ(unmap_dma(s.container(), 0, kHalf).size, 12 * kPage);
  expect_mapped(0);
}

class ProcessGone : public testing::TestWithParam<int> {};

TEST_P(ProcessGone, MappingsAndGroupAreReleased) {
  REQUIRE_DEVICES(1);
  PciDevice edu = lone_devices()[0];
  int64_t pins = outstanding_pins();
  int signal = GetParam();
  Child child([&](Child& self) {
    Session s({edu});
    Memory m(1000 * kPage);
    ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
    ASSERT_OK(map_dma(s.container(), m.data(), kIova + kGiB, kPage));
    self.notify();
    if (signal) pause();
    _exit(0);  // without closing anything
  });
  ASSERT_TRUE(child.await());
  if (signal) {
    EXPECT_EQ(locked_pages(child.pid()), 1001u);
    EXPECT_ERR(EBUSY, open_group(edu).get());
    child.kill(signal);
  }
  child.wait(signal);
  EXPECT_EQ(outstanding_pins(), pins);
  Session again({edu});
  EXPECT_TRUE(again.ok());
}

INSTANTIATE_TEST_SUITE_P(By, ProcessGone, testing::Values(0, SIGKILL, SIGSEGV),
                         [](const auto& info) {
                           return info.param == 0         ? "Exit"
                                  : info.param == SIGKILL ? "Kill"
                                                          : "Segv";
                         });

TEST(ProcessGone, ContainerHeldByAnother) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]});
  uint64_t before = locked_pages();
  in_child([&] {
    Memory m(50 * kPage);
    ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  });
  // Its pages stay mapped for the device until somebody unmaps them.
  EXPECT_EQ(dma_avail(s.container()), 65534u);
  EXPECT_EQ(locked_pages(), before);
  EXPECT_EQ(unmap_dma(s.container(), kIova, 50 * kPage).size, 50 * kPage);
  EXPECT_EQ(locked_pages(), before);
}

}  // namespace
}  // namespace stack
