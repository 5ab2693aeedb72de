// SPDX-License-Identifier: GPL-2.0
//
// vfio_zpci: an edu device does DMA to a guest's IOVAs, and reaches what the
// guest's own table says at the last refresh, and nothing else. Both formats of
// tables; the outcomes of a refresh. The module is ours also when vfio.ko is
// the distribution's.
#include "nested_fixture.hpp"

namespace stack {
namespace {

class Nested : public NestedTest {};

INSTANTIATE_TEST_SUITE_P(Formats, Nested, testing::ValuesIn(kGuestFormats),
                         NestedTest::format_name);

TEST_P(Nested, TheDeviceReachesWhatTheTableMaps) {
  tables->map(kIova, 0x5000);
  ASSERT_EQ(zpci_refresh(c, kFh, kIova, kPage), kRefreshed);
  device_writes(kIova, 0x11);
  EXPECT_EQ(at(0x5000), 0x11);

  // Another frame: at once after the refresh, and not before.
  tables->map(kIova, 0x9000);
  device_writes(kIova, 0x22);
  EXPECT_EQ(at(0x5000), 0x22);
  EXPECT_EQ(at(0x9000), 0);
  ASSERT_EQ(zpci_refresh(c, kFh, kIova, kPage), kRefreshed);
  device_writes(kIova, 0x33);
  EXPECT_EQ(at(0x5000), 0x22);
  EXPECT_EQ(at(0x9000), 0x33);

  tables->unmap(kIova);
  ASSERT_EQ(zpci_refresh(c, kFh, kIova, kPage), kRefreshed);
  device_writes(kIova, 0x44);
  EXPECT_EQ(at(0x9000), 0x33);
}

TEST_P(Nested, ProtectionIsThatOfTheTable) {
  tables->map(kIova, 0x5000, kGuestRead);
  ASSERT_EQ(zpci_refresh(c, kFh, kIova, kPage), kRefreshed);
  device_writes(kIova, 0x11);
  EXPECT_EQ(at(0x5000), 0);

  memset(memory.at(0x5000), 0x66, 64);
  ASSERT_TRUE(edu->fetch(kIova, 0, 64)) << "it may read";
  tables->map(kIova + kPage, 0x6000);
  ASSERT_EQ(zpci_refresh(c, kFh, kIova + kPage, kPage), kRefreshed);
  ASSERT_TRUE(edu->store(kIova + kPage, 0, 64));
  EXPECT_EQ(at(0x6000), 0x66);

  tables->map(kIova, 0x5000);
  ASSERT_EQ(zpci_refresh(c, kFh, kIova, kPage), kRefreshed);
  device_writes(kIova, 0x22);
  EXPECT_EQ(at(0x5000), 0x22);
}

TEST_P(Nested, AFrameAndATableOfPages) {
  const uint64_t frame = tables->frame_size();
  const uint64_t iova = 40 * frame;
  tables->map_frame(iova, 2 * frame);
  ASSERT_EQ(zpci_refresh(c, kFh, iova, frame), kRefreshed);
  EXPECT_EQ(zpci_statistics(c, kFh).pages, frame / kPage);
  device_writes(iova + 5 * kPage, 0x11);
  EXPECT_EQ(at(2 * frame + 5 * kPage), 0x11);

  // The frame gives way to a page table, of which one page is refreshed.
  tables->map(iova + 5 * kPage, 0xa000);
  ASSERT_EQ(zpci_refresh(c, kFh, iova + 5 * kPage, kPage), kRefreshed);
  device_writes(iova + 5 * kPage, 0x22);
  EXPECT_EQ(at(0xa000), 0x22);
  EXPECT_EQ(at(2 * frame + 5 * kPage), 0x11);

  tables->unmap(iova, 2);
  ASSERT_EQ(zpci_refresh(c, kFh, 0, 1ull << 31), kRefreshed);
  EXPECT_EQ(zpci_statistics(c, kFh).pages, 0u);
}

TEST_P(Nested, MemoryThatIsTakenAwayIsNotReached) {
  ASSERT_EQ(unmap_dma(c, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL).size, kGuestSize);
  const uint64_t half = kGuestSize / 2;
  ASSERT_OK(map_dma(c, memory.data(), 0, half));
  ASSERT_OK(map_dma(c, memory.at(half), half, half));
  tables->map(kIova, 0x5000);
  tables->map(kIova + kPage, half + 0x5000);
  ASSERT_EQ(zpci_refresh(c, kFh, kIova, 2 * kPage), kRefreshed);
  device_writes(kIova, 0x11);
  EXPECT_EQ(at(0x5000), 0x11);

  ASSERT_EQ(unmap_dma(c, 0, half).size, half);
  ASSERT_TRUE(edu->store(kIova, 0, 64));
  memset(memory.at(0x5000), 0x55, 64);
  ASSERT_TRUE(edu->store(kIova, 0, 64));
  EXPECT_EQ(at(0x5000), 0x55);
  ASSERT_TRUE(edu->store(kIova + kPage, 0, 64)) << "the other half is there";
  EXPECT_EQ(at(half + 0x5000), 0x11);
  EXPECT_ERR(EINVAL, unmap_dma(c, half, kPage).result);
}

TEST_P(Nested, DirectMapping) {
  const uint64_t pba = 0x10000000;
  ASSERT_OK(zpci_deregister(c, kFh));
  ASSERT_OK(zpci_register_direct(c, kFh, s.group(), pba, pba + (1 << 30) - 1));
  EXPECT_EQ(zpci_statistics(c, kFh).pages, kGuestSize / kPage);
  memset(memory.at(0x8000), 0x77, 64);
  ASSERT_TRUE(edu->fetch(pba + 0x8000, 0, 64));
  ASSERT_TRUE(edu->store(pba + 0x9000, 0, 64));
  EXPECT_EQ(at(0x9000), 0x77);

  // Memory that comes later.
  Memory more(kPage);
  ASSERT_OK(map_dma(c, more.data(), kGuestSize, kPage));
  ASSERT_TRUE(edu->store(pba + kGuestSize, 0, 64));
  EXPECT_EQ(*more.data(), 0x77);
  ASSERT_EQ(unmap_dma(c, kGuestSize, kPage).size, kPage);
  memset(more.data(), 0, kPage);
  ASSERT_TRUE(edu->store(pba + kGuestSize, 0, 64));
  EXPECT_EQ(*more.data(), 0);
}

// Each row of RPCIT's outcomes.
TEST_P(Nested, Outcomes) {
  constexpr ZpciRefreshed kUnknown{0, VFIO_ZPCI_CC_INVALID_HANDLE, 0};
  constexpr ZpciRefreshed kError{0, VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR};
  constexpr ZpciRefreshed kInError{0, VFIO_ZPCI_CC_ERROR,
                                   VFIO_ZPCI_STATUS_IN_ERROR};
  const auto expect_event = [&](uint32_t code, uint64_t address) {
    const vfio_zpci_event event = zpci_event(c, kFh, VFIO_ZPCI_EVENT_CLEAR);
    EXPECT_EQ(event.code, code);
    EXPECT_EQ(event.fid, kFh + 1000);
    EXPECT_EQ(event.address, address);
    EXPECT_EQ(zpci_event(c, kFh).code, 0u) << "it has been cleared";
    EXPECT_EQ(zpci_refresh(c, kFh, 0, kPage), kInError);
    EXPECT_OK(zpci_set_state(c, kFh, VFIO_ZPCI_STATE_ENABLED));
  };

  EXPECT_EQ(zpci_refresh(c, kFh + 1, 0, kPage), kUnknown);
  EXPECT_EQ(zpci_refresh(c, kFh, kIova, 0), kRefreshed) << "nothing";

  // Out of the window, which begins at 0: its end, and one that wraps.
  const uint64_t end = 1ull << 38;
  EXPECT_EQ(zpci_refresh(c, kFh, end, kPage), kError);
  expect_event(VFIO_ZPCI_EVENT_OUT_OF_RANGE, end);
  EXPECT_EQ(zpci_refresh(c, kFh, end - kPage, 2 * kPage), kError);
  expect_event(VFIO_ZPCI_EVENT_OUT_OF_RANGE, end - kPage);
  EXPECT_EQ(zpci_refresh(c, kFh, ~0ull, 2), kError);
  expect_event(VFIO_ZPCI_EVENT_OUT_OF_RANGE, ~0ull);
  EXPECT_EQ(zpci_refresh(c, kFh, 0, end), kRefreshed);

  // An entry that leads out of guest memory; what is before it is mapped.
  tables->map(kIova, 0x5000);
  tables->map(kIova + kPage, kGuestSize);
  EXPECT_EQ(zpci_refresh(c, kFh, kIova, 4 * kPage), kError);
  EXPECT_EQ(zpci_statistics(c, kFh).pages, 1u);
  expect_event(VFIO_ZPCI_EVENT_ENTRY, kIova + kPage);

  // Write access to memory that may only be read is not given; none is an
  // error.
  tables->map(kIova + kPage, 0x6000);
  EXPECT_EQ(zpci_refresh(c, kFh, kIova, 2 * kPage), kRefreshed);

  if (GetParam() == VFIO_ZPCI_FORMAT_S390) {
    tables->write(kIova, 0, 0);
    EXPECT_EQ(zpci_refresh(c, kFh, kIova, kPage), kError);
    expect_event(VFIO_ZPCI_EVENT_ENTRY, kIova);
    tables->write(kIova, 1, 0x80);
    EXPECT_EQ(zpci_refresh(c, kFh, kIova, kPage), kError);
    expect_event(VFIO_ZPCI_EVENT_TYPE, kIova);
    tables->write(kIova, 2, 0x4004);
    EXPECT_EQ(zpci_refresh(c, kFh, kIova, kPage), kError);
    expect_event(VFIO_ZPCI_EVENT_LENGTH, kIova);
    tables->write(kIova, 2, 0x40c7);
    EXPECT_EQ(zpci_refresh(c, kFh, kIova, kPage), kError);
    expect_event(VFIO_ZPCI_EVENT_LENGTH, kIova);
  }

  for (uint32_t state :
       {VFIO_ZPCI_STATE_PERMANENT_ERROR, VFIO_ZPCI_STATE_DISABLED}) {
    ASSERT_OK(zpci_set_state(c, kFh, state));
    EXPECT_EQ(zpci_refresh(c, kFh, 0, kPage), kUnknown);
    EXPECT_EQ(zpci_statistics(c, kFh).state, state);
  }
  // Disabling it took the anchor away, and all that was mapped.
  EXPECT_EQ(zpci_statistics(c, kFh).pages, 0u);
  ASSERT_OK(zpci_set_state(c, kFh, VFIO_ZPCI_STATE_ENABLED));
  EXPECT_EQ(zpci_refresh(c, kFh, kIova, kPage), kError);
  expect_event(VFIO_ZPCI_EVENT_NO_ANCHOR, kIova);
  EXPECT_OK(zpci_deregister(c, kFh, VFIO_ZPCI_DEREGISTER_FORGET));
  EXPECT_EQ(zpci_refresh(c, kFh, 0, kPage), kUnknown);
}

TEST_P(Nested, Registration) {
  GuestTables other(memory.data(), GetParam(), memory.size() / 2);
  EXPECT_ERR(EBUSY, zpci_register(c, kFh, s.group(), *tables));
  EXPECT_ERR(EBUSY, zpci_register(c, kFh + 1, s.group(), other))
      << "another anchor for the same group";
  ASSERT_OK(zpci_register(c, kFh + 1, s.group(), *tables)) << "the same anchor";
  tables->map(kIova, 0x5000);
  ASSERT_EQ(zpci_refresh(c, kFh + 1, kIova, kPage), kRefreshed);
  ASSERT_OK(zpci_deregister(c, kFh + 1));
  EXPECT_ERR(EINVAL, zpci_deregister(c, kFh + 1));
  EXPECT_EQ(zpci_statistics(c, kFh).pages, 1u) << "the other has it";
  ASSERT_OK(zpci_deregister(c, kFh));
  EXPECT_EQ(zpci_statistics(c, kFh).pages, 0u);
  ASSERT_OK(zpci_register(c, kFh, s.group(), other));

  EXPECT_ERR(ENODEV, zpci_register(c, 50, c, *tables));
  EXPECT_ERR(ENODEV, zpci_register(c, 50, -1, *tables));
  EXPECT_ERR(EINVAL, zpci_register(c, 50, s.group(), *tables, 0, ~0ull))
      << "more than the table translates";
  EXPECT_ERR(EINVAL, zpci_register(c, 50, s.group(), *tables, kPage, 0));
  EXPECT_ERR(ENOENT, zpci_deregister(c, 50));
  EXPECT_ERR(ENOENT, zpci_set_state(c, 50, VFIO_ZPCI_STATE_ENABLED));
  EXPECT_ERR(EINVAL, zpci_set_state(c, kFh, 17));
}

// Ranges one after the other, until one fails.
TEST_P(Nested, SeveralRanges) {
  for (uint64_t i = 0; i < 8; i++) tables->map(kIova + i * kPage, 0x5000);
  vfio_zpci_range ranges[] = {{kIova, kPage},
                              {kIova + 2 * kPage, 2 * kPage},
                              {~0ull, 1},
                              {kIova + 6 * kPage, kPage}};
  vfio_zpci_refresh_ranges request{};
  request.argsz = sizeof request;
  request.fh = kFh;
  request.count = 2;
  request.ranges = reinterpret_cast<uintptr_t>(ranges);
  ASSERT_OK(call(c, VFIO_ZPCI_REFRESH_RANGES, &request));
  EXPECT_EQ(request.done, 2u);
  EXPECT_EQ(request.cc, unsigned{VFIO_ZPCI_CC_OK});
  EXPECT_EQ(zpci_statistics(c, kFh).pages, 3u);
  request.count = 4;
  ASSERT_OK(call(c, VFIO_ZPCI_REFRESH_RANGES, &request));
  EXPECT_EQ(request.done, 2u);
  EXPECT_EQ(request.cc, unsigned{VFIO_ZPCI_CC_ERROR});
  EXPECT_EQ(request.status, unsigned{VFIO_ZPCI_STATUS_ERROR});
  request.ranges = 8;
  EXPECT_ERR(EFAULT, call(c, VFIO_ZPCI_REFRESH_RANGES, &request));
}

TEST_P(Nested, BadRequests) {
  vfio_zpci_refresh refresh{sizeof refresh, 0, kFh, 0, 0, 0, 0, kPage};
  refresh.argsz--;
  EXPECT_ERR(EINVAL, call(c, VFIO_ZPCI_REFRESH, &refresh));
  refresh.argsz++;
  refresh.flags = 1;
  EXPECT_ERR(EINVAL, call(c, VFIO_ZPCI_REFRESH, &refresh));
  EXPECT_ERR(EFAULT, call(c, VFIO_ZPCI_REFRESH, 8ul));
  EXPECT_ERR(ENOTTY, call(c, _IO(VFIO_TYPE, VFIO_BASE + 120)));
  EXPECT_ERR(ENOTTY, call(c, VFIO_IOMMU_DIRTY_PAGES, &refresh));
  EXPECT_ERR(EEXIST, map_dma(c, memory.data(), 0, kPage));
  EXPECT_ERR(EINVAL, map_dma(c, memory.data(), 1ull << 52, kPage));
  EXPECT_ERR(EINVAL, map_dma(c, memory.data() + 1, kGuestSize, kPage));
  EXPECT_EQ(call(c, VFIO_CHECK_EXTENSION, VFIO_ZPCI_IOMMU), 1);
  EXPECT_EQ(call(c, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL), 1);
  EXPECT_FALSE(iommu_info(c).empty());
  EXPECT_GT(dma_avail(c), 60000u);
}

// What is pinned is the guest's memory, once, whatever is mapped.
TEST_P(Nested, NothingIsPinnedByARefresh) {
  const int64_t pins = outstanding_pins();
  const uint64_t locked = locked_pages();
  for (uint64_t i = 0; i < 300; i++)
    tables->map(kIova + i * kPage, (i * 7 % 300) * kPage + kPage);
  ASSERT_EQ(zpci_refresh(c, kFh, kIova, 300 * kPage), kRefreshed);
  EXPECT_EQ(outstanding_pins(), pins);
  EXPECT_EQ(locked_pages(), locked);
  EXPECT_EQ(zpci_statistics(c, kFh).mapped, 300u);
}

}  // namespace
}  // namespace stack
