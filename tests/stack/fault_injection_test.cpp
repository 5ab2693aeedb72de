// SPDX-License-Identifier: GPL-2.0
//
// Calls of which an allocation fails, one after the other. Only the debug
// kernel can (run-debug): CONFIG_FAIL_PAGE_ALLOC.
#include <sys/syscall.h>

#include "debugfs.hpp"
#include "harness.hpp"

namespace stack {
namespace {

const std::string kPages = "/sys/kernel/debug/fail_page_alloc/";

// Has the nth call of this thread fail from now on, of those that are made to
// fail: allocations of pages, atomic ones of objects, copies; 0: none.
// Returns whether it was written.
bool fail_nth(unsigned nth) {
  return write_text("/proc/thread-self/fail-nth", std::to_string(nth)) >= 0;
}

bool still_to_fail() { return read_text("/proc/thread-self/fail-nth") != "0"; }

TEST(FaultInjection, AMapThatFailsLeavesNothingInTheIommu) {
  REQUIRE_DEVICES(1);
  constexpr size_t kSize = 8 * kPage;
  // Half of a mapping is in one of the IOMMU's tables, and half in another.
  constexpr uint64_t kOffset = kHuge - kSize / 2;
  mount_debugfs();
  ASSERT_OK(write_text(kPages + "ignore-gfp-wait", "N"));
  ASSERT_OK(write_text(kPages + "min-order", "0"));
  ASSERT_OK(write_text(kPages + "verbose", "0"));
  Session s({lone_devices()[0]});
  ASSERT_TRUE(s.ok());
  Edu edu(s.device());
  ASSERT_TRUE(edu.ok());
  // The device's own memory, from which it stores, holds zeros.
  const Memory zeros(kPage);
  ASSERT_OK(map_dma(s.container(), zeros.data(), kFirstIova, kPage));
  ASSERT_TRUE(edu.fetch(kFirstIova, 0, 8));
  // Contiguous, so that one call of the IOMMU maps it.
  Memory memory = Memory::aligned(kHuge);
  memory.touch(0xaa);
  uint64_t iova = kFirstIova + kOffset;
  int failures = 0;
  bool failed = true;
  for (unsigned nth = 1; failed; nth++) {
    // Where there are no tables yet.
    iova += kGiB;
    ASSERT_TRUE(fail_nth(nth));
    const long result = map_dma(s.container(), memory.data(), iova, kSize);
    failed = !still_to_fail();
    ASSERT_TRUE(fail_nth(0));
    if (result == 0) continue;
    // What the ioctl copies may fail as well.
    if (result == -ENOMEM)
      failures++;
    else
      ASSERT_EQ(result, -EFAULT);
    edu.store(iova, 0, 8);
    EXPECT_EQ(memory.data()[0], 0xaa) << "reached after failure " << nth;
  }
  EXPECT_GT(failures, 1);
  EXPECT_TRUE(edu.store(iova, 0, 8));
  EXPECT_EQ(memory.data()[0], 0) << "what is mapped at last is reached";
}

}  // namespace
}  // namespace stack
