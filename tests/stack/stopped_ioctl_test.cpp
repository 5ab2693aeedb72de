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

using StoppedIoctl = OneEdu;

// A thread that never gets its argument's page holds nothing that others need.
TEST_F(StoppedIoctl, OthersMapMeanwhile) {
  constexpr uint64_t kIova = 0x20000000;
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

}  // namespace
}  // namespace stack
