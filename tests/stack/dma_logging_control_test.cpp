// SPDX-License-Identifier: GPL-2.0
//
// DMA_LOGGING_START and STOP: which ranges reach the driver and how, what is
// refused before it, and the driver's own answers.
#include "dma_logging.hpp"

using namespace stack;

namespace {

class DmaLoggingControl : public DmaLoggingTest {};

TEST_F(DmaLoggingControl, RangesReachTheDriverInOrder) {
  const std::vector<Range> given = {{0x40000000, 0x200000},
                                    {0, 0x1000},
                                    {0x40200000, 0x1000},
                                    {0x1000, 0x3000},
                                    {1ull << 40, 1ull << 39}};
  uint64_t page_size = kPage;
  ASSERT_OK(start(given, &page_size));
  EXPECT_EQ(page_size, kPage);
  std::vector<Range> got;
  vfio_testdev_log_status st = status(&got);
  EXPECT_EQ(st.page_size, kPage);
  EXPECT_EQ(st.active, 1u);
  ASSERT_EQ(got.size(), given.size());
  const size_t order[] = {1, 3, 0, 2, 4};
  for (size_t i = 0; i < got.size(); i++) {
    EXPECT_EQ(got[i].iova, given[order[i]].iova) << "range " << i;
    EXPECT_EQ(got[i].size, given[order[i]].size) << "range " << i;
  }
  EXPECT_OK(stop());
  EXPECT_EQ(status().active, 0u);
}

TEST_F(DmaLoggingControl, TheDriversPageSizeComesBack) {
  config({}, 0, 0, 0, 0x10000);
  uint64_t page_size = kHuge;
  ASSERT_OK(start({{0, kHuge}}, &page_size));
  EXPECT_EQ(page_size, 0x10000u);
  EXPECT_EQ(status().page_size, kHuge) << "what the driver was given";
}

TEST_F(DmaLoggingControl, AsManyRangesAsFitAPage) {
  std::vector<Range> ranges;
  for (uint64_t i = 0; i < 256; i++) ranges.push_back({i * 2 * kPage, kPage});
  ASSERT_OK(start(ranges));
  EXPECT_EQ(status().nranges, 256u);
  ASSERT_OK(stop());
  ranges.push_back({1ull << 40, kPage});
  EXPECT_ERR(E2BIG, start(ranges)) << "one more";
  EXPECT_EQ(status().starts, 1u);
}

TEST_F(DmaLoggingControl, Refusals) {
  constexpr uint64_t kTop = 0 - kPage;
  const struct {
    const char* name;
    uint64_t page_size;
    std::vector<Range> ranges;
    int want;
  } cases[] = {
      {"no ranges", kPage, {}, EINVAL},
      {"iova not aligned", kPage, {{0x800, kPage}}, EINVAL},
      {"size not aligned", kPage, {{0x1000, 0x1800}}, EINVAL},
      {"aligned to 4K, page size 2M", kHuge, {{0x1000, kHuge}}, EINVAL},
      {"the second is not aligned",
       kPage,
       {{0, kPage}, {0x1001, kPage}},
       EINVAL},
      {"twice the same", kPage, {{0, kPage}, {0, kPage}}, EINVAL},
      {"overlap at the end",
       kPage,
       {{0, 3 * kPage}, {2 * kPage, 2 * kPage}},
       EINVAL},
      {"overlap at the front",
       kPage,
       {{2 * kPage, 2 * kPage}, {0, 3 * kPage}},
       EINVAL},
      {"one inside another",
       kPage,
       {{0, 8 * kPage}, {2 * kPage, kPage}},
       EINVAL},
      {"wraps around", kPage, {{kTop, 2 * kPage}}, EOVERFLOW},
      {"the largest size", kPage, {{2 * kPage, kTop}}, EOVERFLOW},
      {"the second wraps around",
       kPage,
       {{0, kPage}, {kTop, 2 * kPage}},
       EOVERFLOW},
  };
  for (const auto& c : cases)
    EXPECT_ERR(c.want, start(c.ranges, c.page_size)) << c.name;
  vfio_testdev_log_status st = status();
  EXPECT_EQ(st.starts, 0u) << "none of them reached the driver";
  EXPECT_EQ(st.active, 0u);
}

// What 6.1 makes of these is not in the header; it is kept as it is.
TEST_F(DmaLoggingControl, Corners) {
  constexpr uint64_t kTop = 0 - kPage;
  const struct {
    const char* name;
    uint64_t page_size;
    Range range;
  } cases[] = {
      {"up_to_the_last_address", kPage, {kTop, kPage}},
      {"one_page_below_it", kPage, {kTop - kPage, kPage}},
      {"empty_range", kPage, {kPage, 0}},
      {"page_size_0", 0, {kPage, kPage}},
      {"page_size_3", 3, {kPage, kPage}},
      {"page_size_1", 1, {kPage, 17}},
  };
  for (const auto& c : cases) {
    long result = start({c.range}, c.page_size);
    observe_result(c.name, result);
    EXPECT_EQ(status().active, result == 0 ? 1u : 0u) << c.name;
    if (result == 0) {
      EXPECT_OK(stop()) << c.name;
    }
  }
}

TEST_F(DmaLoggingControl, Pointers) {
  vfio_device_feature_dma_logging_control control{};
  control.page_size = kPage;
  control.num_ranges = 2;
  control.ranges = 8;
  EXPECT_ERR(EFAULT, feature(s->device(), kLogStart, &control, sizeof control));
  Memory m(2 * kPage);
  ASSERT_EQ(mprotect(m.at(kPage), kPage, PROT_NONE), 0);
  Range* ranges = reinterpret_cast<Range*>(m.at(kPage - sizeof(Range)));
  *ranges = {0, kPage};
  control.ranges = reinterpret_cast<uintptr_t>(ranges);
  EXPECT_ERR(EFAULT, feature(s->device(), kLogStart, &control, sizeof control))
      << "the second range is not readable";
  control.num_ranges = 1;
  EXPECT_OK(feature(s->device(), kLogStart, &control, sizeof control));
  EXPECT_OK(stop());
  EXPECT_EQ(status().starts, 1u);
}

// The page size cannot be returned, so the start is taken back.
TEST_F(DmaLoggingControl, FaultOnTheWayOutStopsAgain) {
  Range range{0, kPage};
  Memory m(kPage);
  auto* head = reinterpret_cast<vfio_device_feature*>(m.data());
  auto* control =
      reinterpret_cast<vfio_device_feature_dma_logging_control*>(head->data);
  head->argsz = sizeof *head + sizeof *control;
  head->flags = kLogStart;
  control->page_size = kPage;
  control->num_ranges = 1;
  control->ranges = reinterpret_cast<uintptr_t>(&range);
  ASSERT_EQ(mprotect(m.data(), kPage, PROT_READ), 0);
  EXPECT_ERR(EFAULT, call(s->device(), VFIO_DEVICE_FEATURE, head));
  vfio_testdev_log_status st = status();
  EXPECT_EQ(st.starts, 1u);
  EXPECT_EQ(st.stops, 1u);
  EXPECT_EQ(st.active, 0u);
}

TEST_F(DmaLoggingControl, DriverErrorsComeThrough) {
  config({}, ENOSPC);
  EXPECT_ERR(ENOSPC, start({{0, kPage}}));
  config({});
  EXPECT_ERR(ENOENT, stop()) << "the driver's answer when it is not logging";
  ASSERT_OK(start({{0, kPage}}));
  EXPECT_ERR(EALREADY, start({{0, kPage}})) << "its answer to a second start";
  config({}, 0, EIO);
  EXPECT_ERR(EIO, stop());
  config({});
  EXPECT_OK(stop());
}

TEST_F(DmaLoggingControl, HeaderChecks) {
  constexpr uint32_t kHead = sizeof(vfio_device_feature);
  constexpr uint32_t kControl = sizeof(vfio_device_feature_dma_logging_control);
  constexpr uint32_t kReport = sizeof(vfio_device_feature_dma_logging_report);
  constexpr uint32_t kGet = VFIO_DEVICE_FEATURE_GET;
  constexpr uint32_t kSet = VFIO_DEVICE_FEATURE_SET;
  constexpr uint32_t kProbe = VFIO_DEVICE_FEATURE_PROBE;
  constexpr uint32_t kStart = VFIO_DEVICE_FEATURE_DMA_LOGGING_START;
  constexpr uint32_t kStop = VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP;
  constexpr uint32_t kRep = VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;
  const struct {
    const char* name;
    uint32_t flags, argsz;
    int want;
  } cases[] = {
      {"probe start", kStart | kProbe | kSet, kHead, 0},
      {"probe stop", kStop | kProbe | kSet, kHead, 0},
      {"probe report", kRep | kProbe | kGet, kHead, 0},
      {"get start", kStart | kGet, kHead + kControl, EINVAL},
      {"get stop", kStop | kGet, kHead, EINVAL},
      {"set report", kRep | kSet, kHead + kReport, EINVAL},
      {"probe get start", kStart | kProbe | kGet, kHead, EINVAL},
      {"start without set", kStart, kHead + kControl, EINVAL},
      {"start, one byte short", kStart | kSet, kHead + kControl - 1, EINVAL},
      {"report, one byte short", kRep | kGet, kHead + kReport - 1, EINVAL},
      {"start with no ranges", kStart | kSet, kHead + kControl, EINVAL},
  };
  for (const auto& c : cases) {
    uint64_t data[8] = {};
    EXPECT_EQ(
        errno_name(feature(s->device(), c.flags, data, sizeof data, c.argsz)),
        errno_name(-c.want))
        << c.name;
  }
}

TEST(DmaLoggingNone, DeviceWithoutLogging) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  uint64_t data[8] = {};
  for (uint32_t flags : {kLogStart, kLogStop, kLogReport})
    EXPECT_ERR(ENOTTY, feature(s.device(), flags, data, sizeof data)) << flags;
}

}  // namespace
