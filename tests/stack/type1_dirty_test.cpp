// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_DIRTY_PAGES and UNMAP_DMA with GET_DIRTY_BITMAP. A hardware
// group cannot tell what it wrote, so all that is mapped is dirty always.
#include <string.h>

#include <functional>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x10000000;
constexpr uint32_t kStart = VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
constexpr uint32_t kStop = VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP;
constexpr uint32_t kGet = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;

// The kernel's layout: the second struct directly behind the first, where the
// first has a flexible array and cannot be a member itself.
template <typename Head, typename Tail>
struct Joined {
  Head& head() { return *reinterpret_cast<Head*>(bytes); }
  Tail& tail() { return *reinterpret_cast<Tail*>(bytes + sizeof(Head)); }
  alignas(8) uint8_t bytes[sizeof(Head) + sizeof(Tail)] = {};
};
using GetHead = vfio_iommu_type1_dirty_bitmap;
struct GetBitmap : Joined<GetHead, vfio_iommu_type1_dirty_bitmap_get> {
  vfio_iommu_type1_dirty_bitmap_get& range() { return tail(); }
  vfio_bitmap& bitmap() { return tail().bitmap; }
};
struct UnmapBitmap : Joined<vfio_iommu_type1_dma_unmap, vfio_bitmap> {
  vfio_bitmap& bitmap() { return tail(); }
};

using Data = decltype(vfio_bitmap::data);

long dirty(int container, uint32_t flags) {
  GetHead arg{};
  arg.argsz = sizeof arg;
  arg.flags = flags;
  return call(container, VFIO_IOMMU_DIRTY_PAGES, &arg);
}

std::string hex(const std::vector<uint64_t>& words) {
  std::string text;
  char buffer[20];
  for (uint64_t w : words) {
    snprintf(buffer, sizeof buffer, "%016lx ", w);
    text += buffer;
  }
  return text;
}

class Dirty : public OneDevice {
 protected:
  void SetUp() override {
    OneDevice::SetUp();
    if (HasFatalFailure()) return;
    c = s.container();
    m = Memory(256 * kPage);
  }
  void map(uint64_t first, uint64_t npages) {
    ASSERT_OK(
        map_dma(c, m.at(first * kPage), kIova + first * kPage, npages * kPage));
  }
  GetBitmap request(uint64_t first, uint64_t npages,
                    std::vector<uint64_t>& words) {
    GetBitmap get{};
    get.head().argsz = sizeof get;
    get.head().flags = kGet;
    get.range().iova = kIova + first * kPage;
    get.range().size = npages * kPage;
    get.bitmap().pgsize = kPage;
    get.bitmap().size = words.size() * 8;
    get.bitmap().data = reinterpret_cast<Data>(words.data());
    return get;
  }
  // The bitmap of pages first.. as words, prefilled.
  std::vector<uint64_t> get(uint64_t first, uint64_t npages,
                            uint64_t fill = 0) {
    std::vector<uint64_t> words((npages + 63) / 64, fill);
    GetBitmap arg = request(first, npages, words);
    EXPECT_OK(call(c, VFIO_IOMMU_DIRTY_PAGES, &arg));
    return words;
  }
  int c = -1;
  Memory m;
};

using Words = std::vector<uint64_t>;

// --- order and flags ------------------------------------------------------

TEST_F(Dirty, StartStopInAnyOrder) {
  EXPECT_OK(dirty(c, kStop)) << "stop without start";
  EXPECT_OK(dirty(c, kStart));
  EXPECT_OK(dirty(c, kStart)) << "start twice";
  EXPECT_OK(dirty(c, kStop));
  EXPECT_OK(dirty(c, kStop));
}

TEST_F(Dirty, GetWithoutStartIsEINVAL) {
  map(0, 8);
  Words words(1);
  GetBitmap arg = request(0, 8, words);
  EXPECT_ERR(EINVAL, call(c, VFIO_IOMMU_DIRTY_PAGES, &arg));
  EXPECT_OK(dirty(c, kStart));
  EXPECT_OK(call(c, VFIO_IOMMU_DIRTY_PAGES, &arg));
  EXPECT_OK(dirty(c, kStop));
  EXPECT_ERR(EINVAL, call(c, VFIO_IOMMU_DIRTY_PAGES, &arg));
}

TEST_F(Dirty, FlagCombinationsAreEINVAL) {
  for (uint32_t flags : {0u, kStart | kStop, kStart | kGet, kStop | kGet,
                         kStart | kStop | kGet, 8u, 1u << 31, kStart | 8u, ~0u})
    EXPECT_ERR(EINVAL, dirty(c, flags)) << flags;
  Words words(1);
  GetBitmap arg = request(0, 8, words);
  EXPECT_ERR(EINVAL, call(c, VFIO_IOMMU_DIRTY_PAGES, &arg)) << "not started";
}

TEST_F(Dirty, ArgszAndPointer) {
  for (uint32_t argsz : {0u, 4u, 7u}) {
    GetHead arg{};
    arg.argsz = argsz;
    arg.flags = kStart;
    EXPECT_ERR(EINVAL, call(c, VFIO_IOMMU_DIRTY_PAGES, &arg)) << argsz;
  }
  EXPECT_ERR(EFAULT, call(c, VFIO_IOMMU_DIRTY_PAGES, 8ul));
  GetHead big{};
  big.argsz = 4096;
  big.flags = kStart;
  EXPECT_OK(call(c, VFIO_IOMMU_DIRTY_PAGES, &big));
}

TEST(DirtyV1, IsEACCES) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]}, VFIO_TYPE1_IOMMU);
  for (uint32_t flags : {kStart, kStop, kGet, 0u, ~0u})
    EXPECT_ERR(EACCES, dirty(s.container(), flags)) << flags;
  EXPECT_ERR(EACCES, call(s.container(), VFIO_IOMMU_DIRTY_PAGES, 8ul));
}

// --- GET_BITMAP arguments -------------------------------------------------

struct GetCase {
  const char* name;
  int error;
  std::function<void(GetBitmap&)> change;
};

// From a good request for the mapped pages 0..63.
const GetCase kGetCases[] = {
    {"good", 0, [](GetBitmap&) {}},
    {"argsz_head_only", EINVAL, [](GetBitmap& g) { g.head().argsz = 8; }},
    {"argsz_one_short", EINVAL,
     [](GetBitmap& g) { g.head().argsz = sizeof g - 1; }},
    {"argsz_over", 0, [](GetBitmap& g) { g.head().argsz = 4096; }},
    {"size_0", EINVAL, [](GetBitmap& g) { g.range().size = 0; }},
    {"size_odd", EINVAL, [](GetBitmap& g) { g.range().size -= 1; }},
    {"iova_odd", EINVAL, [](GetBitmap& g) { g.range().iova += 8; }},
    {"bitmap_size_0", EINVAL, [](GetBitmap& g) { g.bitmap().size = 0; }},
    {"bitmap_too_small", EINVAL, [](GetBitmap& g) { g.bitmap().size = 7; }},
    {"bitmap_larger", 0, [](GetBitmap& g) { g.bitmap().size = 16; }},
    {"bitmap_too_large", EINVAL,
     [](GetBitmap& g) { g.bitmap().size = (1ull << 28) + 1; }},
    {"pgsize_0", EINVAL, [](GetBitmap& g) { g.bitmap().pgsize = 0; }},
    {"pgsize_512", EINVAL, [](GetBitmap& g) { g.bitmap().pgsize = 512; }},
    {"pgsize_2m", EINVAL, [](GetBitmap& g) { g.bitmap().pgsize = kHuge; }},
    {"pgsize_two_bits", EINVAL,
     [](GetBitmap& g) { g.bitmap().pgsize = kPage | kHuge; }},
    {"data_null", EFAULT, [](GetBitmap& g) { g.bitmap().data = nullptr; }},
    {"data_kernel", EINVAL,
     [](GetBitmap& g) {
       g.bitmap().data = reinterpret_cast<Data>(0xffff888000000000);
     }},
    {"begins_inside", EINVAL,
     [](GetBitmap& g) { g.range().iova += kPage, g.range().size -= kPage; }},
    {"ends_inside", EINVAL, [](GetBitmap& g) { g.range().size -= kPage; }},
    {"wider", 0,
     [](GetBitmap& g) { g.range().size += 64 * kPage, g.bitmap().size = 16; }},
    {"nothing_mapped_there", 0, [](GetBitmap& g) { g.range().iova += kGiB; }},
};

class GetArguments : public Dirty,
                     public testing::WithParamInterface<GetCase> {};

TEST_P(GetArguments, Verdict) {
  map(0, 64);
  ASSERT_OK(dirty(c, kStart));
  Words words(2);
  GetBitmap arg = request(0, 64, words);
  arg.bitmap().size = 8;
  GetParam().change(arg);
  long result = call(c, VFIO_IOMMU_DIRTY_PAGES, &arg);
  observe_result("get", result);
  observe("bitmap", hex(words));
  EXPECT_ERR(GetParam().error, result);
  if (GetParam().error) {
    EXPECT_EQ(words, Words({0, 0})) << "untouched";
  }
}

INSTANTIATE_TEST_SUITE_P(All, GetArguments, testing::ValuesIn(kGetCases),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST_F(Dirty, GetRangePast2To64IsEOVERFLOW) {
  ASSERT_OK(dirty(c, kStart));
  Words words(2);
  GetBitmap arg = request(0, 64, words);
  arg.range().iova = ~0ull - kPage + 1;
  arg.range().size = 2 * kPage;
  EXPECT_ERR(EOVERFLOW, call(c, VFIO_IOMMU_DIRTY_PAGES, &arg));
}

TEST_F(Dirty, GetRangeToTheLastAddress) {
  map(0, 64);
  ASSERT_OK(dirty(c, kStart));
  Words words(2);
  GetBitmap arg = request(0, 64, words);
  arg.range().iova = ~0ull - kPage + 1;
  arg.range().size = kPage;
  EXPECT_OK(call(c, VFIO_IOMMU_DIRTY_PAGES, &arg));
  EXPECT_EQ(words, Words({0, 0}));
}

// --- contents -------------------------------------------------------------

// A bitmap of 2^28 bytes, the largest, has room for 2^31 pages: one more than
// a single mapping may have while dirty pages are tracked.
TEST_F(Dirty, TheLargestRange) {
  constexpr uint64_t kPages = 1ull << 31, kBytes = kPages / 8;
  Memory bits(kBytes, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  ASSERT_TRUE(bits.ok());
  const auto get = [&](uint64_t npages, uint64_t bytes) {
    Words none;
    GetBitmap arg = request(0, npages, none);
    arg.range().iova = 0;
    arg.bitmap().size = bytes;
    arg.bitmap().data = reinterpret_cast<Data>(bits.data());
    return call(c, VFIO_IOMMU_DIRTY_PAGES, &arg);
  };
  map(0, 3);
  ASSERT_OK(dirty(c, kStart));
  ASSERT_OK(get(kPages, kBytes));
  const auto* words = reinterpret_cast<const uint64_t*>(bits.data());
  const uint64_t first = kIova / kPage;
  EXPECT_EQ(words[first / 64], 7ull << first % 64);
  EXPECT_ERR(EINVAL, get(kPages + 1, kBytes)) << "a bit too few";
  EXPECT_ERR(EINVAL, get(kPages + 1, kBytes + 8)) << "over the limit";
  EXPECT_ERR(EINVAL, get(kPages, kBytes - 1));

  UnmapBitmap unmap{};
  unmap.head().argsz = sizeof unmap;
  unmap.head().flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
  unmap.head().size = kPages * kPage;
  unmap.bitmap().pgsize = kPage;
  unmap.bitmap().size = kBytes;
  unmap.bitmap().data = reinterpret_cast<Data>(bits.data());
  EXPECT_OK(call(c, VFIO_IOMMU_UNMAP_DMA, &unmap));
  EXPECT_EQ(unmap.head().size, 3 * kPage);
}

TEST_F(Dirty, AllMappedPagesAreDirty) {
  map(0, 64);
  ASSERT_OK(dirty(c, kStart));
  EXPECT_EQ(get(0, 64), Words({~0ull}));
  EXPECT_EQ(get(0, 64), Words({~0ull})) << "and stay so";
}

TEST_F(Dirty, MappedAfterStart) {
  ASSERT_OK(dirty(c, kStart));
  map(0, 3);
  EXPECT_EQ(get(0, 64), Words({7}));
}

TEST_F(Dirty, RestartedTracking) {
  map(0, 10);
  for (int i = 0; i < 3; i++) {
    ASSERT_OK(dirty(c, kStart));
    EXPECT_EQ(get(0, 10), Words({0x3ff}));
    ASSERT_OK(dirty(c, kStop));
  }
}

struct Piece {
  uint64_t first, npages;
};
struct Layout {
  const char* name;
  std::vector<Piece> pieces;
};

class DirtyLayout : public Dirty, public testing::WithParamInterface<Layout> {
 protected:
  void SetUp() override {
    Dirty::SetUp();
    for (const Piece& p : GetParam().pieces) {
      map(p.first, p.npages);
      for (uint64_t i = p.first; i < p.first + p.npages; i++)
        want[i / 64] |= 1ull << (i % 64);
    }
    ASSERT_OK(dirty(c, kStart));
  }
  Words want = Words(4);
};

// Mappings that share words of the bitmap must not harm each other's bits.
TEST_P(DirtyLayout, EachPageItsBit) { EXPECT_EQ(hex(get(0, 256)), hex(want)); }

// Nor leave anything behind that a later call would report.
TEST_P(DirtyLayout, TheSameEachTime) {
  for (int i = 0; i < 3; i++)
    EXPECT_EQ(hex(get(0, 256)), hex(want)) << "call " << i;
}

// The bits of what is not mapped are nobody's promise within a word that a
// mapping shares: 6.1 keeps or clears them by where the mapping begins.
TEST_P(DirtyLayout, OnBitsThatWereSet) {
  Words got = get(0, 256, ~0ull);
  for (size_t i = 0; i < 4; i++) {
    EXPECT_EQ(got[i] & want[i], want[i]) << "word " << i;
    if (!want[i]) {
      EXPECT_EQ(got[i], ~0ull) << "nothing is mapped in word " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, DirtyLayout,
    testing::Values(
        Layout{"one_page", {{0, 1}}}, Layout{"second_page", {{1, 1}}},
        Layout{"last_of_word", {{63, 1}}}, Layout{"whole_words", {{64, 128}}},
        Layout{"across_a_word", {{60, 10}}},
        Layout{"two_in_a_word", {{3, 5}, {20, 7}}},
        Layout{"adjacent_in_a_word", {{3, 5}, {8, 7}}},
        Layout{"adjacent_across_words", {{1, 70}, {71, 60}, {131, 3}}},
        Layout{"unaligned_long", {{5, 130}, {140, 100}}},
        Layout{"many_small",
               {{0, 1},
                {2, 1},
                {4, 3},
                {8, 50},
                {62, 2},
                {64, 1},
                {66, 61},
                {127, 2},
                {255, 1}}},
        Layout{"full", {{0, 256}}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(Dirty, RangeThatBeginsAtAMappingNotAtAWord) {
  map(3, 5);
  map(10, 60);
  ASSERT_OK(dirty(c, kStart));
  EXPECT_EQ(hex(get(3, 67)), hex({0xffffffffffffff9f, 7}));
  ASSERT_OK(dirty(c, kStop));
  ASSERT_OK(dirty(c, kStart));
  EXPECT_EQ(hex(get(10, 60)), hex({(1ull << 60) - 1}));
  EXPECT_EQ(hex(get(8, 2)), hex({0}));
}

// --- UNMAP with the bitmap ------------------------------------------------

class DirtyUnmap : public Dirty {
 protected:
  long unmap(uint64_t first, uint64_t npages, Words& words,
             const std::function<void(UnmapBitmap&)>& change = {}) {
    UnmapBitmap arg{};
    arg.head().argsz = sizeof arg;
    arg.head().flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
    arg.head().iova = kIova + first * kPage;
    arg.head().size = npages * kPage;
    arg.bitmap().pgsize = kPage;
    arg.bitmap().size = words.size() * 8;
    arg.bitmap().data = reinterpret_cast<Data>(words.data());
    if (change) change(arg);
    long result = call(c, VFIO_IOMMU_UNMAP_DMA, &arg);
    size = arg.head().size;
    return result;
  }
  uint64_t size = 0;
};

TEST_F(DirtyUnmap, ReportsAndUnmaps) {
  uint64_t before = locked_pages();
  map(0, 10);
  ASSERT_OK(dirty(c, kStart));
  Words words(1);
  EXPECT_OK(unmap(0, 10, words));
  EXPECT_EQ(size, 10 * kPage);
  EXPECT_EQ(words, Words({0x3ff}));
  EXPECT_EQ(locked_pages(), before);
  EXPECT_EQ(get(0, 10), Words({0}));
}

TEST_F(DirtyUnmap, SeveralMappings) {
  map(1, 3);
  map(6, 70);
  ASSERT_OK(dirty(c, kStart));
  Words words(2);
  EXPECT_OK(unmap(0, 128, words));
  EXPECT_EQ(size, 73 * kPage);
  EXPECT_EQ(hex(words), hex({0xffffffffffffffce, 0xfff}));
}

TEST_F(DirtyUnmap, NothingThere) {
  ASSERT_OK(dirty(c, kStart));
  Words words(1);
  EXPECT_OK(unmap(0, 10, words));
  EXPECT_EQ(size, 0u);
  EXPECT_EQ(words, Words({0}));
}

TEST_F(DirtyUnmap, NotTrackingIsEINVAL) {
  uint64_t before = locked_pages();
  map(0, 10);
  Words words(1);
  EXPECT_ERR(EINVAL, unmap(0, 10, words));
  EXPECT_EQ(locked_pages(), before + 10);
}

TEST_F(DirtyUnmap, BadArgumentsChangeNothing) {
  uint64_t before = locked_pages();
  map(0, 10);
  ASSERT_OK(dirty(c, kStart));
  Words words(1);
  auto bad = [&](int error, const char* what,
                 const std::function<void(UnmapBitmap&)>& change) {
    EXPECT_ERR(error, unmap(0, 10, words, change)) << what;
    EXPECT_EQ(locked_pages(), before + 10) << what;
    EXPECT_EQ(words, Words({0})) << what;
  };
  bad(EINVAL, "argsz", [](auto& u) { u.head().argsz = sizeof u - 1; });
  bad(EINVAL, "argsz head", [](auto& u) { u.head().argsz = 24; });
  bad(EINVAL, "size 0", [](auto& u) { u.bitmap().size = 0; });
  bad(EINVAL, "size 1", [](auto& u) { u.bitmap().size = 1; });
  bad(EINVAL, "size max", [](auto& u) { u.bitmap().size = 1ull << 29; });
  bad(EINVAL, "pgsize 0", [](auto& u) { u.bitmap().pgsize = 0; });
  bad(EINVAL, "pgsize 2M", [](auto& u) { u.bitmap().pgsize = kHuge; });
  bad(EINVAL, "bisects", [](auto& u) { u.head().size = 5 * kPage; });
  bad(EFAULT, "data null", [](auto& u) { u.bitmap().data = nullptr; });
  bad(EINVAL, "all", [](auto& u) {
    u.head().flags |= VFIO_DMA_UNMAP_FLAG_ALL;
    u.head().iova = u.head().size = 0;
  });
  EXPECT_OK(unmap(0, 10, words));
}

TEST_F(DirtyUnmap, PlainUnmapWhileTracking) {
  map(0, 10);
  map(20, 10);
  ASSERT_OK(dirty(c, kStart));
  EXPECT_EQ(unmap_dma(c, kIova, 10 * kPage).size, 10 * kPage);
  EXPECT_EQ(get(0, 64), Words({0x3ff00000}));
}

}  // namespace
}  // namespace stack
