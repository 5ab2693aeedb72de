// SPDX-License-Identifier: GPL-2.0
//
// DMA_LOGGING_REPORT and the iova bitmap behind it: which bits come out, for
// every page size and place of the bitmap, against a plain model.
#include <algorithm>
#include <random>

#include "dma_logging.hpp"

using namespace stack;

namespace {

// Byte-wise, with what was in the buffer before around and between the bits.
std::vector<uint8_t> model(std::vector<uint8_t> bits, uint64_t iova,
                           uint64_t size, uint64_t page_size,
                           const std::vector<Range>& dirty) {
  const uint64_t last = iova + size - 1;
  for (const Range& r : dirty) {
    uint64_t first = std::max<uint64_t>(r.iova, iova);
    uint64_t end = std::min<uint64_t>(r.iova + r.size - 1, last);
    if (first > end) continue;
    for (uint64_t bit = (first - iova) / page_size;
         bit <= (end - iova) / page_size; bit++)
      bits[bit / 8] |= static_cast<uint8_t>(1 << (bit % 8));
  }
  return bits;
}

class DmaLoggingReport : public DmaLoggingTest {
 protected:
  void SetUp() override {
    DmaLoggingTest::SetUp();
    if (HasFatalFailure()) return;
    ASSERT_OK(start({{0, 1ull << 50}}));
  }

  // Reports into memory at `offset` of a page, filled with `fill` before, and
  // compares all of it with the model.
  void check(const std::string& name, uint64_t iova, uint64_t size,
             uint64_t page_size, const std::vector<Range>& dirty,
             size_t offset = 0, uint8_t fill = 0) {
    config(dirty);
    size_t bytes = ((size - 1) / page_size) / 8 + 1;
    size_t whole = offset + bytes + 64;
    Memory m((whole + kPage - 1) / kPage * kPage + kPage);
    if (fill) memset(m.data(), fill, m.size());
    std::vector<uint8_t> before(m.data(), m.data() + m.size());
    ASSERT_OK(report(iova, size, page_size, m.at(offset))) << name;
    std::vector<uint8_t> want(before.begin() + static_cast<long>(offset),
                              before.end());
    want = model(std::move(want), iova, size, page_size, dirty);
    for (size_t i = 0; i < m.size(); i++) {
      uint8_t expected = i < offset ? before[i] : want[i - offset];
      ASSERT_EQ(m.data()[i], expected)
          << name << ": byte " << static_cast<long>(i - offset)
          << " of a bitmap of " << bytes;
    }
    vfio_testdev_log_status st = status();
    EXPECT_EQ(st.first_iova, iova) << name;
    EXPECT_EQ(st.read_size, size) << name << ": all of it was asked for";
    EXPECT_EQ(st.gaps, 0u) << name << ": and in one row";
  }
};

TEST_F(DmaLoggingReport, EachPageSize) {
  const uint64_t base = 1ull << 35;
  for (int shift = 12; shift <= 30; shift++) {
    uint64_t p = 1ull << shift;
    check("page size 2^" + std::to_string(shift), base, 200 * p, p,
          {{base, p},                // the first
           {base + 63 * p, 2 * p},   // over a word's end
           {base + 100 * p + 5, 1},  // a byte is enough
           {base + 130 * p - 1, 2},  // two bytes on two pages
           {base + 199 * p, p}});    // the last
  }
}

TEST_F(DmaLoggingReport, PlaceOfTheBitmap) {
  for (size_t offset : {0u, 8u, 64u, 4080u, 4088u, 1u, 3u, 4095u})
    for (uint64_t pages : {1u, 7u, 8u, 9u, 63u, 64u, 65u, 4096u * 8, 40000u})
      check("offset " + std::to_string(offset) + ", " + std::to_string(pages) +
                " pages",
            0x100000, pages * kPage, kPage,
            {{0x100000, kPage}, {0x100000 + (pages - 1) * kPage, kPage}},
            offset);
}

TEST_F(DmaLoggingReport, AllPages) {
  check("all", kGiB, kGiB, kPage, {{0, 1ull << 40}}, 24);
  check("all but the edges", kGiB, kGiB, kPage,
        {{kGiB + kPage, kGiB - 2 * kPage}}, 24);
}

TEST_F(DmaLoggingReport, OtherBitsAreKept) {
  check("filled before", 0, 1000 * kPage, kPage, {{64 * kPage, kPage}}, 40,
        0x52);
}

TEST_F(DmaLoggingReport, NothingDirty) {
  check("nothing", 0, 1000 * kPage, kPage, {});
  check("dirty below and above", kGiB, kGiB, kPage,
        {{0, kGiB}, {2 * kGiB, kGiB}});
}

// Bits count from the start of the range, wherever that is.
TEST_F(DmaLoggingReport, RangeNotAlignedToThePageSize) {
  check("starts inside a 2M page", 0x12345000, 9 * kHuge, kHuge,
        {{0x12345000, 1}, {0x12345000 + kHuge - 1, 2}});
  check("size is no multiple", 0x10000000, 3 * kHuge + 0x5000, kHuge,
        {{0x10000000 + 3 * kHuge + 0x4fff, 1}});
  check("a single byte", 0x10000123, 1, kPage, {{0, 1ull << 40}});
}

TEST_F(DmaLoggingReport, EndOfTheAddressSpace) {
  // The sum of iova and size must not pass 2^64 - 1.
  uint64_t iova = 0 - 128 * kPage;
  check("up to the page before the last", iova, 127 * kPage, kPage,
        {{iova + 126 * kPage, kPage}});
  check("up to the byte before the last", iova, 128 * kPage - 1, kPage,
        {{iova + 127 * kPage, 1}});
}

// 2 MiB of bitmap are pinned at a time, 64 GiB with 4K pages.
TEST_F(DmaLoggingReport, MoreThanOnePieceOfBitmap) {
  const uint64_t piece = 64 * kGiB, base = 1ull << 40;
  for (size_t offset : {size_t{0}, size_t{8}, size_t{4088}}) {
    check("130 GiB, bitmap at " + std::to_string(offset), base,
          2 * piece + 2 * kGiB, kPage,
          {{base + piece - 3 * kPage, 6 * kPage},
           {base + 2 * piece - 70 * kPage, 100 * kPage},
           {base + 2 * piece + 2 * kGiB - kPage, kPage},
           {base + 33 * kGiB, kGiB}},
          offset);
    EXPECT_GE(status().reads, 2u);
  }
}

TEST_F(DmaLoggingReport, RandomAgainstTheModel) {
  const unsigned seed = std::random_device{}();
  note("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  auto below = [&](uint64_t n) { return random() % n; };
  for (int round = 0; round < 150 && !HasFatalFailure(); round++) {
    uint64_t page = 1ull << (12 + below(10));
    uint64_t iova = below(1ull << 46) & (below(2) ? ~(page - 1) : ~0ull);
    uint64_t size = (1 + below(20000)) * page - (below(3) ? 0 : below(page));
    std::vector<Range> dirty;
    for (uint64_t n = below(20); n; n--) {
      uint64_t at = iova + below(size + 10 * page) - std::min(iova, 5 * page);
      dirty.push_back({at, 1 + below(below(2) ? page : 300 * page)});
    }
    check("seed " + std::to_string(seed) + " round " + std::to_string(round),
          iova, size, page, dirty, below(kPage),
          static_cast<uint8_t>(below(2) ? 0 : 0x11));
  }
}

TEST_F(DmaLoggingReport, Refusals) {
  Memory m(kPage);
  config({{0, ~0ull}});
  const struct {
    const char* name;
    uint64_t iova, size, page_size;
    const void* bitmap;
    int want;
  } cases[] = {
      {"page size 0", 0, kPage, 0, m.data(), EINVAL},
      {"page size 1", 0, kPage, 1, m.data(), EINVAL},
      {"page size 2K", 0, kPage, 2048, m.data(), EINVAL},
      {"page size 4097", 0, kPage, 4097, m.data(), EINVAL},
      {"page size 12K", 0, 3 * kPage, 3 * kPage, m.data(), EINVAL},
      {"wraps around", ~0ull - kPage, 2 * kPage, kPage, m.data(), EOVERFLOW},
      {"the largest of all", ~0ull, ~0ull, kPage, m.data(), EOVERFLOW},
      {"no bitmap", 0, kPage, kPage, nullptr, EFAULT},
      {"a bad pointer", 0, kPage, kPage, reinterpret_cast<void*>(8), EFAULT},
      {"a kernel address", 0, kPage, kPage,
       reinterpret_cast<void*>(0xffff888000000000), EFAULT},
  };
  for (const auto& c : cases)
    EXPECT_ERR(c.want, report(c.iova, c.size, c.page_size, c.bitmap)) << c.name;
  EXPECT_EQ(status().reads, 0u) << "none of them asked the driver";
  EXPECT_EQ(std::count(m.data(), m.at(kPage), 0), static_cast<long>(kPage));
}

// 6.1 lets an empty range through; it must not set a bit or run away.
TEST_F(DmaLoggingReport, EmptyRange) {
  Memory m(kPage);
  config({{0, ~0ull}});
  observe_result("result", report(kGiB, 0, kPage, m.data()));
  observe("bytes_asked_for", status().read_size);
  EXPECT_EQ(std::count(m.data(), m.at(kPage), 0), static_cast<long>(kPage));
}

TEST_F(DmaLoggingReport, BitmapThatCannotBeWritten) {
  config({{0, 1ull << 40}});
  Memory readonly(kPage, PROT_READ);
  EXPECT_ERR(EFAULT, report(0, kGiB, kPage, readonly.data()));
  EXPECT_EQ(readonly.data()[0], 0);

  // Its second page is missing: 32768 pages fit the first.
  Memory m(2 * kPage);
  ASSERT_EQ(mprotect(m.at(kPage), kPage, PROT_NONE), 0);
  EXPECT_ERR(EFAULT, report(0, 32769 * kPage, kPage, m.data()));
  observe("first_page_set", m.data()[0] == 0xff ? "yes" : "no");
  EXPECT_OK(report(0, 32768 * kPage, kPage, m.data())) << "what fits is fine";
  EXPECT_EQ(std::count(m.data(), m.at(kPage), 0xff), static_cast<long>(kPage));
}

// Memory that so far reads as the shared page of zeros gets pages of its own.
TEST_F(DmaLoggingReport, BitmapInUntouchedMemory) {
  Memory m(4 * kPage), other(4 * kPage);
  for (size_t i = 0; i < m.size(); i += kPage)
    ASSERT_EQ(static_cast<volatile uint8_t*>(m.data())[i], 0);
  config({{0, 1ull << 40}});
  ASSERT_OK(report(0, 4 * 32768 * kPage, kPage, m.data()));
  EXPECT_EQ(std::count(m.data(), m.at(m.size()), 0xff),
            static_cast<long>(m.size()));
  EXPECT_EQ(std::count(other.data(), other.at(other.size()), 0),
            static_cast<long>(other.size()))
      << "the zero page is still zero";
}

TEST_F(DmaLoggingReport, DriverErrorsComeThrough) {
  Memory m(kPage);
  config({}, 0, 0, EREMOTEIO);
  EXPECT_ERR(EREMOTEIO, report(0, kGiB, kPage, m.data()));
  config({});
  ASSERT_OK(stop());
  EXPECT_ERR(ENOENT, report(0, kPage, kPage, m.data()))
      << "the driver's answer when it is not logging";
}

// Of a kernel in which drivers cannot report: an answer would say that nothing
// was written.
class DmaLoggingUnsupported : public DmaLoggingTest {};

TEST_F(DmaLoggingUnsupported, ReportIsEOPNOTSUPP) {
  Memory m(kPage);
  ASSERT_OK(start({{0, 1ull << 50}}));
  config({{0, kPage}});
  EXPECT_ERR(EOPNOTSUPP, report(0, 64 * kPage, kPage, m.data()));
  EXPECT_EQ(std::count(m.data(), m.data() + kPage, 0),
            static_cast<long>(kPage));
  EXPECT_ERR(EINVAL, report(0, 64 * kPage, 3, m.data())) << "checked before";
  EXPECT_OK(stop());
}

}  // namespace
