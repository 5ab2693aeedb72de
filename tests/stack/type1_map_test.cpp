// SPDX-License-Identifier: GPL-2.0
//
// MAP_DMA's arguments: what is refused, with which errno, and that a refusal
// changes neither the mappings nor the accounting.
#include <functional>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x200000;
constexpr uint32_t kRead = VFIO_DMA_MAP_FLAG_READ;
constexpr uint32_t kWrite = VFIO_DMA_MAP_FLAG_WRITE;
constexpr uint64_t kLastPage = ~0ull - kPage + 1;

using Map = vfio_iommu_type1_dma_map;

struct MapCase {
  const char* name;
  int error;  // 0: it works
  std::function<void(Map&)> change;
};

// Each starts from a good request for 4 pages and changes it.
const MapCase kMapCases[] = {
    {"good", 0, [](Map&) {}},
    {"argsz_0", EINVAL, [](Map& m) { m.argsz = 0; }},
    {"argsz_8", EINVAL, [](Map& m) { m.argsz = 8; }},
    {"argsz_one_short", EINVAL, [](Map& m) { m.argsz = sizeof m - 1; }},
    {"argsz_one_over", 0, [](Map& m) { m.argsz = sizeof m + 1; }},
    {"argsz_huge", 0, [](Map& m) { m.argsz = ~0u; }},
    {"flags_none", EINVAL, [](Map& m) { m.flags = 0; }},
    {"flags_read", 0, [](Map& m) { m.flags = kRead; }},
    {"flags_write", 0, [](Map& m) { m.flags = kWrite; }},
    {"flags_unknown_8", EINVAL, [](Map& m) { m.flags |= 8; }},
    {"flags_unknown_top", EINVAL, [](Map& m) { m.flags |= 1u << 31; }},
    {"flags_all", EINVAL, [](Map& m) { m.flags = ~0u; }},
    {"vaddr_with_read", EINVAL,
     [](Map& m) { m.flags = VFIO_DMA_MAP_FLAG_VADDR | kRead; }},
    {"vaddr_with_write", EINVAL,
     [](Map& m) { m.flags = VFIO_DMA_MAP_FLAG_VADDR | kWrite; }},
    {"vaddr_nothing_mapped", ENOENT,
     [](Map& m) { m.flags = VFIO_DMA_MAP_FLAG_VADDR; }},
    {"size_0", EINVAL, [](Map& m) { m.size = 0; }},
    {"size_1", EINVAL, [](Map& m) { m.size = 1; }},
    {"size_page_less_1", EINVAL, [](Map& m) { m.size = kPage - 1; }},
    {"size_page_plus_1", EINVAL, [](Map& m) { m.size = kPage + 1; }},
    {"size_page_plus_512", EINVAL, [](Map& m) { m.size = kPage + 512; }},
    {"iova_odd", EINVAL, [](Map& m) { m.iova += 1; }},
    {"iova_half_page", EINVAL, [](Map& m) { m.iova += kPage / 2; }},
    {"uva_odd", EINVAL, [](Map& m) { m.vaddr += 1; }},
    {"uva_half_page", EINVAL, [](Map& m) { m.vaddr += kPage / 2; }},
    {"iova_0", 0, [](Map& m) { m.iova = 0; }},
    {"iova_last_page", EINVAL,
     [](Map& m) { m.iova = kLastPage, m.size = kPage; }},
    {"size_2_to_63", EINVAL, [](Map& m) { m.iova = 0, m.size = 1ull << 63; }},
    {"uva_0", EFAULT, [](Map& m) { m.vaddr = 0; }},
    {"uva_kernel", EFAULT,
     [](Map& m) { m.vaddr = 0xffff888000000000, m.size = kPage; }},
    {"uva_non_canonical", EFAULT,
     [](Map& m) { m.vaddr = 0x0100000000000000, m.size = kPage; }},
    {"uva_last_page", EFAULT,
     [](Map& m) { m.vaddr = kLastPage, m.size = kPage; }},
    {"uva_wrap_size_zero_first", EINVAL,
     [](Map& m) { m.vaddr = kLastPage, m.size = 0; }},
};

void run_map_case(const MapCase& test, unsigned long type) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]}, type);
  ASSERT_TRUE(s.ok());
  Memory m(4 * kPage);
  m.touch(1);
  uint32_t avail = dma_avail(s.container());
  uint64_t locked = locked_pages();

  Map map{};
  map.argsz = sizeof map;
  map.flags = kRead | kWrite;
  map.vaddr = reinterpret_cast<uintptr_t>(m.data());
  map.iova = kIova;
  map.size = m.size();
  test.change(map);
  long result = call(s.container(), VFIO_IOMMU_MAP_DMA, &map);
  observe_result("map", result);
  EXPECT_ERR(test.error, result);
  if (test.error) {
    EXPECT_EQ(dma_avail(s.container()), avail);
    EXPECT_EQ(locked_pages(), locked);
    EXPECT_OK(map_dma(s.container(), m.data(), kIova, m.size()))
        << "the range is still free";
  } else {
    EXPECT_EQ(dma_avail(s.container()), avail - 1);
    EXPECT_EQ(locked_pages(), locked + 4);
    Unmapped u = unmap_dma(s.container(), map.iova, map.size);
    EXPECT_OK(u.result);
    EXPECT_EQ(u.size, map.size);
    EXPECT_EQ(dma_avail(s.container()), avail);
    EXPECT_EQ(locked_pages(), locked);
  }
}

class MapArguments : public testing::TestWithParam<MapCase> {};
TEST_P(MapArguments, V2) { run_map_case(GetParam(), VFIO_TYPE1v2_IOMMU); }
TEST_P(MapArguments, V1) { run_map_case(GetParam(), VFIO_TYPE1_IOMMU); }
INSTANTIATE_TEST_SUITE_P(All, MapArguments, testing::ValuesIn(kMapCases),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

// A range past 2^64, of either address, is EOVERFLOW as in the newest kernel.
const MapCase kWrapCases[] = {
    {"iova_two_pages_at_last", EOVERFLOW,
     [](Map& m) { m.iova = kLastPage, m.size = 2 * kPage; }},
    {"iova_by_size_max", EOVERFLOW, [](Map& m) { m.size = kLastPage; }},
    {"uva_two_pages_at_last", EOVERFLOW,
     [](Map& m) { m.vaddr = kLastPage, m.size = 2 * kPage; }},
    {"uva_by_size", EOVERFLOW, [](Map& m) { m.iova = 0, m.size = kLastPage; }},
    {"before_alignment", EOVERFLOW,
     [](Map& m) { m.iova = kLastPage + 1, m.size = 2 * kPage; }},
};

class MapWrap : public testing::TestWithParam<MapCase> {};
TEST_P(MapWrap, IsEOVERFLOW) { run_map_case(GetParam(), VFIO_TYPE1v2_IOMMU); }
INSTANTIATE_TEST_SUITE_P(All, MapWrap, testing::ValuesIn(kWrapCases),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

// --- the argument's memory ------------------------------------------------

using Type1Map = OneDevice;

TEST_F(Type1Map, ArgumentBadPointerIsEFAULT) {
  EXPECT_ERR(EFAULT, call(s.container(), VFIO_IOMMU_MAP_DMA, nullptr));
  EXPECT_ERR(EFAULT, call(s.container(), VFIO_IOMMU_MAP_DMA, 8ul));
  Memory two(2 * kPage);
  munmap(two.at(kPage), kPage);
  EXPECT_ERR(EFAULT,
             call(s.container(), VFIO_IOMMU_MAP_DMA, two.at(kPage - 16)))
      << "half of it in an unmapped page";
}

TEST_F(Type1Map, ArgumentInReadOnlyPageIsFine) {
  Memory arg(kPage), m(kPage);
  auto* map = new (arg.data()) Map{};
  *map = {sizeof(Map), kRead, reinterpret_cast<uintptr_t>(m.data()), kIova,
          kPage};
  mprotect(arg.data(), kPage, PROT_READ);
  EXPECT_OK(call(s.container(), VFIO_IOMMU_MAP_DMA, map));
}

// --- overlap --------------------------------------------------------------

struct Overlap {
  const char* name;
  int64_t first, npages;  // relative to a mapping of pages 4..7
  bool clash;
};

class MapOverlap : public testing::TestWithParam<Overlap> {};

TEST_P(MapOverlap, Verdict) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]});
  Memory m(16 * kPage);
  ASSERT_OK(map_dma(s.container(), m.data(), kIova + 4 * kPage, 4 * kPage));
  uint64_t locked = locked_pages();
  uint32_t avail = dma_avail(s.container());
  long result =
      map_dma(s.container(), m.data(), kIova + GetParam().first * kPage,
              GetParam().npages * kPage);
  EXPECT_ERR(GetParam().clash ? EEXIST : 0, result);
  if (GetParam().clash) {
    EXPECT_EQ(locked_pages(), locked);
    EXPECT_EQ(dma_avail(s.container()), avail);
    EXPECT_EQ(unmap_dma(s.container(), kIova + 4 * kPage, 4 * kPage).size,
              4 * kPage)
        << "the old one is whole";
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, MapOverlap,
    testing::Values(
        Overlap{"exact", 4, 4, true}, Overlap{"first_page", 4, 1, true},
        Overlap{"last_page", 7, 1, true}, Overlap{"middle", 5, 2, true},
        Overlap{"covering", 3, 6, true}, Overlap{"head", 2, 3, true},
        Overlap{"tail", 7, 3, true}, Overlap{"below", 3, 1, false},
        Overlap{"above", 8, 1, false}, Overlap{"below_larger", 0, 4, false},
        Overlap{"above_larger", 8, 8, false}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(Type1Map, ManyAdjacentAndGapsFilled) {
  Memory m(64 * kPage);
  uint64_t locked = locked_pages();
  for (uint64_t i = 0; i < 64; i += 2)
    ASSERT_OK(
        map_dma(s.container(), m.at(i * kPage), kIova + i * kPage, kPage));
  for (uint64_t i = 1; i < 64; i += 2)
    ASSERT_OK(
        map_dma(s.container(), m.at(i * kPage), kIova + i * kPage, kPage));
  for (uint64_t i = 0; i < 64; i++)
    EXPECT_ERR(EEXIST,
               map_dma(s.container(), m.data(), kIova + i * kPage, kPage));
  EXPECT_EQ(locked_pages(), locked + 64);
  EXPECT_EQ(unmap_dma(s.container(), kIova, 64 * kPage).size, 64 * kPage);
  EXPECT_EQ(locked_pages(), locked);
}

// --- aperture and reserved windows ----------------------------------------

TEST_F(Type1Map, ApertureEdges) {
  Memory m(4 * kPage);
  auto ranges = iova_ranges(s.container());
  ASSERT_FALSE(ranges.empty());
  uint64_t last = ranges.back().last;
  observe("last", last);
  int c = s.container();
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), last + 1, kPage)) << "outside";
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), last + 1 - kPage, 2 * kPage))
      << "straddles the end";
  EXPECT_OK(map_dma(c, m.data(), last + 1 - kPage, kPage)) << "the last page";
  EXPECT_ERR(EEXIST, map_dma(c, m.data(), last + 1 - kPage, 2 * kPage))
      << "overlap is found first";
  EXPECT_EQ(unmap_dma(c, last + 1 - kPage, kPage).size, kPage);
  EXPECT_OK(map_dma(c, m.data(), last + 1 - 4 * kPage, 4 * kPage));
}

TEST_F(Type1Map, HolesBetweenRangesAreRefused) {
  Memory m(4 * kPage);
  auto ranges = iova_ranges(s.container());
  ASSERT_GE(ranges.size(), 2u) << "the MSI window cuts the aperture in two";
  int c = s.container();
  for (size_t i = 0; i + 1 < ranges.size(); i++) {
    uint64_t hole = ranges[i].last + 1, end = ranges[i + 1].first;
    observe("hole", hole);
    observe("hole_end", end);
    EXPECT_ERR(EINVAL, map_dma(c, m.data(), hole, kPage));
    EXPECT_ERR(EINVAL, map_dma(c, m.data(), end - kPage, kPage));
    EXPECT_ERR(EINVAL, map_dma(c, m.data(), hole - kPage, 2 * kPage));
    EXPECT_ERR(EINVAL, map_dma(c, m.data(), end - kPage, 2 * kPage));
    EXPECT_OK(map_dma(c, m.data(), hole - 2 * kPage, 2 * kPage));
    EXPECT_OK(map_dma(c, m.data(), end, 2 * kPage));
  }
}

TEST_F(Type1Map, MsiWindow) {
  Memory m(kPage);
  int c = s.container();
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), 0xfee00000, kPage));
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), 0xfeeff000, kPage));
  EXPECT_OK(map_dma(c, m.data(), 0xfedff000, kPage));
  EXPECT_OK(map_dma(c, m.data(), 0xfef00000, kPage));
}

// --- which error comes first ----------------------------------------------

TEST_F(Type1Map, OrderOfErrors) {
  Memory m(4 * kPage);
  int c = s.container();
  ASSERT_OK(map_dma(c, m.data(), kIova, 4 * kPage));
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), kIova + 1, kPage))
      << "alignment before overlap";
  EXPECT_ERR(EEXIST, map_dma(c, nullptr, kIova, kPage))
      << "overlap before the memory";
  EXPECT_ERR(EINVAL, map_dma(c, nullptr, 0xfee00000, kPage))
      << "reserved before the memory";
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), kIova, kPage, 0))
      << "flags before overlap";
}

}  // namespace
}  // namespace stack
