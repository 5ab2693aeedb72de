// SPDX-License-Identifier: GPL-2.0
//
// Mappings of hundreds of MiB, which several threads of the kernel may pin
// together (pin_workers; the stock module does without).
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = 0x100000000;
constexpr uint64_t kMiB = 1 << 20;
// Parts begin at huge pages: the memory does not.
constexpr uint64_t kAhead = 5 * kPage;
constexpr uint64_t kSize = 4 * 128 * kMiB + 3 * kPage;
constexpr uint32_t kRead = VFIO_DMA_MAP_FLAG_READ;
constexpr uint32_t kWrite = VFIO_DMA_MAP_FLAG_WRITE;

class Large : public OneDevice {
 protected:
  void SetUp() override {
    OneDevice::SetUp();
    if (HasFailure()) return;
    memory_ = Memory::aligned(kSize + 2 * kHuge);
    ASSERT_TRUE(memory_.ok());
  }

  uint8_t* at(uint64_t offset) const { return memory_.at(kAhead + offset); }

  long map() { return map_dma(s.container(), at(0), kIova, kSize); }

  Memory memory_;
};

struct Workers : Large, testing::WithParamInterface<const char*> {
  // The stock module has no such parameter, and passes the same tests.
  ScopedParam workers{"vfio_iommu_type1", "pin_workers", GetParam()};
};

TEST_P(Workers, DevicesReachAllOfIt) {
  Edu edu(s.device());
  ASSERT_TRUE(edu.ok());
  const uint64_t locked = locked_pages();
  const uint64_t offsets[] = {0, 128 * kMiB - kAhead - kPage,
                              128 * kMiB - kAhead, 256 * kMiB + kHuge,
                              kSize - kPage};
  for (uint64_t offset : offsets) memcpy(at(offset), &offset, sizeof(offset));
  ASSERT_OK(map());
  EXPECT_EQ(locked_pages() - locked, kSize / kPage);
  for (uint64_t offset : offsets) {
    ASSERT_TRUE(edu.copy(kIova + kPage / 2, kIova + offset, 8));
    uint64_t seen = ~0ull;
    memcpy(&seen, at(kPage / 2), sizeof(seen));
    EXPECT_EQ(seen, offset);
  }
  EXPECT_EQ(unmap_dma(s.container(), kIova, kSize).size, kSize);
  EXPECT_EQ(locked_pages(), locked);
}

TEST_P(Workers, AHoleAnywhereUndoesAll) {
  const int64_t pinned = outstanding_pins();
  const uint64_t locked = locked_pages();
  for (uint64_t hole : {uint64_t{0}, 300 * kMiB, kSize - kPage}) {
    uint8_t* page = at(hole);
    ASSERT_EQ(munmap(page, kPage), 0);
    EXPECT_ERR(EFAULT, map()) << hole;
    EXPECT_EQ(locked_pages(), locked);
    EXPECT_EQ(outstanding_pins(), pinned);
    ASSERT_EQ(mmap(page, kPage, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
              page);
  }
  EXPECT_OK(map());
}

TEST_P(Workers, LimitIsExact) {
  const Memory* memory = &memory_;
  in_child(
      [&] {
        EXPECT_ERR(ENOMEM, map());
        EXPECT_EQ(locked_pages(), 0u);
        EXPECT_OK(
            map_dma(s.container(), memory->at(kAhead), kIova, kSize - kPage));
        EXPECT_EQ(locked_pages(), kSize / kPage - 1);
        unmap_dma(s.container(), kIova, kSize - kPage);
      },
      {.drop_user = true, .memlock = kSize - kPage});
}

// However far it has come, nothing of it outlives the process.
TEST_P(Workers, KilledMeanwhile) {
  const int64_t pinned = outstanding_pins();
  for (unsigned delay_ms : {0, 3, 10, 30, 100}) {
    Child child([&](Child& self) {
      self.notify();
      for (;;) {
        if (map() == 0) unmap_dma(s.container(), kIova, kSize);
      }
    });
    ASSERT_TRUE(child.await());
    usleep(delay_ms * 1000);
    child.kill();
    child.wait(SIGKILL);
    // What it had mapped whole stays until we unmap it.
    unmap_dma(s.container(), kIova, kSize);
    EXPECT_EQ(outstanding_pins(), pinned) << delay_ms;
  }
  EXPECT_OK(map());
}

INSTANTIATE_TEST_SUITE_P(Of, Workers, testing::Values("1", "0", "3"),
                         [](const auto& info) {
                           return info.param == std::string("0")
                                      ? std::string("Default")
                                      : "Param" + std::string(info.param);
                         });

}  // namespace
}  // namespace stack
