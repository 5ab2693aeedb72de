// SPDX-License-Identifier: GPL-2.0
//
// Calls of the dma-logging features, for the dma_logging_* tests.
#pragma once

#include <string.h>

#include "testdev.hpp"

namespace stack {

using Range = vfio_testdev_range;

inline constexpr uint32_t kLogStart =
    VFIO_DEVICE_FEATURE_DMA_LOGGING_START | VFIO_DEVICE_FEATURE_SET;
inline constexpr uint32_t kLogStop =
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP | VFIO_DEVICE_FEATURE_SET;
inline constexpr uint32_t kLogReport =
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT | VFIO_DEVICE_FEATURE_GET;

class DmaLoggingTest : public OneTestdev {
 protected:
  TestdevOptions options() const override { return {.log = 1}; }

  // `page_size` in and out.
  long start(std::vector<Range> ranges, uint64_t* page_size) {
    vfio_device_feature_dma_logging_control control{};
    control.page_size = *page_size;
    control.num_ranges = static_cast<uint32_t>(ranges.size());
    control.ranges = reinterpret_cast<uintptr_t>(ranges.data());
    long result = feature(s->device(), kLogStart, &control, sizeof control);
    *page_size = control.page_size;
    return result;
  }
  long start(std::vector<Range> ranges, uint64_t page_size = kPage) {
    return start(std::move(ranges), &page_size);
  }
  long stop() { return feature(s->device(), kLogStop, nullptr, 0); }
  long report(uint64_t iova, uint64_t size, uint64_t page_size,
              const void* bitmap) {
    vfio_device_feature_dma_logging_report r{};
    r.iova = iova;
    r.length = size;
    r.page_size = page_size;
    r.bitmap = reinterpret_cast<uintptr_t>(bitmap);
    return feature(s->device(), kLogReport, &r, sizeof r);
  }
  // Chooses what the device reports dirty, and its failures.
  void config(std::vector<Range> dirty, int start_errno = 0, int stop_errno = 0,
              int read_errno = 0, uint64_t page_size = 0) {
    vfio_testdev_log_config c{};
    c.dirty = reinterpret_cast<uintptr_t>(dirty.data());
    c.ndirty = static_cast<uint32_t>(dirty.size());
    c.start_errno = -start_errno;
    c.stop_errno = -stop_errno;
    c.read_errno = -read_errno;
    c.page_size = page_size;
    EXPECT_OK(call(s->device(), VFIO_TESTDEV_LOG_CONFIG, &c));
  }
  vfio_testdev_log_status status(std::vector<Range>* ranges = nullptr) {
    vfio_testdev_log_status st{};
    std::vector<Range> list(VFIO_TESTDEV_MAX_RANGES);
    st.ranges = reinterpret_cast<uintptr_t>(list.data());
    EXPECT_OK(call(s->device(), VFIO_TESTDEV_LOG_STATUS, &st));
    list.resize(std::min<size_t>(st.nranges, list.size()));
    if (ranges) *ranges = std::move(list);
    return st;
  }
};

}  // namespace stack
