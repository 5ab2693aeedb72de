// SPDX-License-Identifier: GPL-2.0
//
// Ioctls that are stopped in the middle of a copy from or to userspace, by
// memory that stops whoever touches it, while another thread uses the same
// container.
#include <string.h>

#include <thread>

#include "stopping_memory.hpp"

namespace stack {
namespace {

using StoppedIoctl = OneDevice;

// A thread that never gets its argument's page holds nothing that others need.
TEST_F(StoppedIoctl, OthersMapMeanwhile) {
  constexpr uint64_t kIova = kFirstIova + 0x20000000;
  StoppingMemory argument(1);
  ASSERT_TRUE(argument.ok());
  Memory m(kPage);
  vfio_iommu_type1_dma_map map = {};
  map.argsz = sizeof(map);
  map.flags = VFIO_DMA_MAP_FLAG_READ;
  map.vaddr = reinterpret_cast<uint64_t>(m.data());
  map.iova = kIova;
  map.size = kPage;
  uint8_t content[kPage] = {};
  memcpy(content, &map, sizeof(map));

  long result = -1;
  std::thread stopped([&] {
    result = call(s.container(), VFIO_IOMMU_MAP_DMA, argument.at(0));
  });
  EXPECT_EQ(argument.wait_touched(), std::optional<size_t>(0));
  EXPECT_OK(map_dma(s.container(), m.data(), kIova + kPage, kPage));
  EXPECT_EQ(unmap_dma(s.container(), kIova + kPage, kPage).size, kPage);
  EXPECT_OK(argument.let_go(0, content));
  stopped.join();
  EXPECT_OK(result);
  EXPECT_EQ(unmap_dma(s.container(), kIova, kPage).size, kPage);
}

int type1_references() {
  return atoi(read_text("/sys/module/vfio_iommu_type1/refcnt").c_str());
}

// The container's IOMMU goes with its last group, and comes anew.
class StoppedReset : public OneDevice {
 protected:
  void SetUp() override {
    SKIP_ON_STOCK("the ioctl goes on with an IOMMU that was freed");
    OneDevice::SetUp();
    s.device_fd().reset();
  }
  long reset() {
    long result = unset_container(s.group());
    if (result == 0) result = set_container(s.group(), s.container());
    return result ? result : set_iommu(s.container(), VFIO_TYPE1v2_IOMMU);
  }
  // Stops a thread in an ioctl of the IOMMU that the container has now.
  std::thread stop_at(StoppingMemory& argument, size_t offset, long* result) {
    std::thread stopped([&argument, offset, result, this] {
      *result = call(s.container(), VFIO_IOMMU_MAP_DMA, argument.at(offset));
    });
    EXPECT_EQ(argument.wait_touched(), std::optional<size_t>(offset));
    return stopped;
  }
};

// An ioctl keeps the IOMMU that it is inside, and none that came after it.
TEST_F(StoppedReset, KeepsOneIommuAlone) {
  StoppingMemory argument(1);
  ASSERT_TRUE(argument.ok());
  const int before = type1_references();
  long result = 0;
  std::thread stopped = stop_at(argument, 0, &result);
  for (int i = 0; i < 50; i++) ASSERT_OK(reset());
  EXPECT_EQ(type1_references(), before + 1) << "its own, and the one in use";
  Memory m(kPage);
  EXPECT_OK(map_dma(s.container(), m.data(), kFirstIova, kPage));
  EXPECT_OK(argument.let_go(0));
  stopped.join();
  EXPECT_ERR(EINVAL, result) << "the argument was all zeros";
  EXPECT_EQ(type1_references(), before);
  EXPECT_EQ(unmap_dma(s.container(), kFirstIova, kPage).size, kPage);
}

// Each goes as soon as the last has left it, in whatever order they leave.
TEST_F(StoppedReset, EachGoesWithItsOwnUsers) {
  for (bool first_leaves_first : {true, false}) {
    StoppingMemory argument(2);
    ASSERT_TRUE(argument.ok());
    const int before = type1_references();
    long results[2] = {};
    std::thread first = stop_at(argument, 0, &results[0]);
    ASSERT_OK(reset());
    std::thread second = stop_at(argument, kPage, &results[1]);
    ASSERT_OK(reset());
    EXPECT_EQ(type1_references(), before + 2);
    EXPECT_OK(argument.let_go(first_leaves_first ? 0 : kPage));
    (first_leaves_first ? first : second).join();
    EXPECT_EQ(type1_references(), before + 1) << first_leaves_first;
    EXPECT_OK(argument.let_go(first_leaves_first ? kPage : 0));
    (first_leaves_first ? second : first).join();
    EXPECT_EQ(type1_references(), before);
    EXPECT_ERR(EINVAL, results[0]);
    EXPECT_ERR(EINVAL, results[1]);
  }
}

// Several are inside one IOMMU: it goes with the last of them.
TEST_F(StoppedReset, TheLastOfSeveralTakesItAlong) {
  StoppingMemory argument(2);
  ASSERT_TRUE(argument.ok());
  const int before = type1_references();
  long results[2] = {};
  std::thread first = stop_at(argument, 0, &results[0]);
  std::thread second = stop_at(argument, kPage, &results[1]);
  ASSERT_OK(unset_container(s.group()));
  EXPECT_EQ(type1_references(), before) << "those inside keep it";
  EXPECT_OK(argument.let_go(0));
  first.join();
  EXPECT_EQ(type1_references(), before);
  EXPECT_OK(argument.let_go(kPage));
  second.join();
  EXPECT_EQ(type1_references(), before - 1);
  EXPECT_ERR(EINVAL, call(s.container(), VFIO_IOMMU_GET_INFO, 0ul));
}

}  // namespace
}  // namespace stack
