// SPDX-License-Identifier: GPL-2.0
//
// Dirty-page tracking when every group of the container only pins: pages that
// are pinned or written through vfio_dma_rw are dirty, others are not.
#include "testdev.hpp"

using namespace stack;

namespace {

constexpr uint64_t kIova = 0x10000000;
constexpr uint64_t kPages = 80;  // more than one word of bitmap

class EmulatedDirty : public OneTestdev {
 protected:
  void SetUp() override {
    OneTestdev::SetUp();
    if (HasFatalFailure()) return;
    m = Memory(kPages * kPage);
    m.touch(1);
    ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  }
  std::string dirty(uint64_t first = 0, uint64_t npages = kPages) {
    return dirty_pages(s->container(), kIova + first * kPage, npages).text();
  }
  long pin_page(uint64_t page, int npage = 1, uint32_t prot = kRead | kWrite) {
    return pin(s->device(), kIova + page * kPage, npage, prot);
  }
  long unpin_page(uint64_t page, int npage = 1) {
    return unpin(s->device(), kIova + page * kPage, npage);
  }
  Memory m;
};

TEST_F(EmulatedDirty, NothingIsDirtyThatIsNotPinned) {
  ASSERT_OK(dirty_start(s->container()));
  EXPECT_EQ(dirty(), "none");
  m.touch(2);
  EXPECT_EQ(dirty(), "none") << "the CPU's own writes do not count";
}

TEST_F(EmulatedDirty, PinnedPagesStayDirty) {
  ASSERT_EQ(pin_page(3), 1);
  ASSERT_OK(dirty_start(s->container()));
  ASSERT_EQ(pin_page(62, 4), 4);
  EXPECT_EQ(dirty(), "3,62-65") << "pinned before and after the start";
  EXPECT_EQ(dirty(), "3,62-65") << "still pinned, so still dirty";
  ASSERT_EQ(pin_page(79), 1);
  EXPECT_EQ(dirty(), "3,62-65,79");
}

TEST_F(EmulatedDirty, AnUnpinMarksOnce) {
  ASSERT_OK(dirty_start(s->container()));
  ASSERT_EQ(pin_page(5, 2), 2);
  EXPECT_EQ(dirty(), "5-6");
  ASSERT_OK(unpin_page(5, 2));
  EXPECT_EQ(dirty(), "5-6") << "written until it was unpinned";
  EXPECT_EQ(dirty(), "none");
}

TEST_F(EmulatedDirty, PinAndUnpinBetweenTwoReports) {
  ASSERT_OK(dirty_start(s->container()));
  ASSERT_EQ(pin_page(9), 1);
  ASSERT_OK(unpin_page(9));
  EXPECT_EQ(dirty(), "9");
  EXPECT_EQ(dirty(), "none");
}

TEST_F(EmulatedDirty, APinForReadingCountsToo) {
  ASSERT_OK(dirty_start(s->container()));
  ASSERT_EQ(pin_page(7, 1, kRead), 1);
  EXPECT_EQ(dirty(), "7") << "type1 does not tell the two apart";
}

// The driver never got the pages, so nobody can have written to them.
TEST_F(EmulatedDirty, APinThatFailsMarksNothing) {
  ASSERT_OK(mprotect(m.at(12 * kPage), kPage, PROT_NONE));
  ASSERT_OK(dirty_start(s->container()));
  EXPECT_ERR(EFAULT, pin_page(10, 4));
  EXPECT_EQ(dirty(), "none");
  ASSERT_EQ(pin_page(10, 2), 2);
  EXPECT_EQ(dirty(), "10-11");
}

TEST_F(EmulatedDirty, DmaRwMarksWhatItWrites) {
  ASSERT_OK(dirty_start(s->container()));
  std::vector<uint8_t> data(2 * kPage + 2, 7);
  ASSERT_OK(dma_read(s->device(), kIova + 20 * kPage, data.data(), kPage));
  EXPECT_EQ(dirty(), "none") << "reads do not mark";
  ASSERT_OK(
      dma_write(s->device(), kIova + 30 * kPage - 1, data.data(), data.size()));
  EXPECT_EQ(dirty(), "29-32") << "from the last byte of 29 to the first of 32";
  EXPECT_EQ(dirty(), "none");
  ASSERT_OK(dma_write(s->device(), kIova + 40 * kPage, data.data(), kPage,
                      VFIO_TESTDEV_KTHREAD));
  EXPECT_EQ(dirty(), "40");
}

TEST_F(EmulatedDirty, TheReportOfAPart) {
  Memory more(8 * kPage);
  more.touch(1);
  ASSERT_OK(map_dma(s->container(), more.data(), kIova + kPages * kPage,
                    more.size()));
  ASSERT_OK(dirty_start(s->container()));
  ASSERT_EQ(pin_page(79, 3), 3) << "over both mappings";
  EXPECT_EQ(dirty(0, kPages), "79");
  EXPECT_EQ(dirty(kPages, 8), "0-1");
  EXPECT_EQ(dirty(0, kPages + 8), "79-81") << "one report of both";
  EXPECT_EQ(dirty(0, kPages - 1), "EINVAL") << "bisects a mapping";
  EXPECT_EQ(dirty(1, kPages - 1), "EINVAL") << "bisects it at the front";
}

TEST_F(EmulatedDirty, BitsOfOtherMappingsInAWordAreKept) {
  // Mappings of 80 and 3 pages: the second's bits begin inside a word.
  Memory more(3 * kPage);
  more.touch(1);
  ASSERT_OK(map_dma(s->container(), more.data(), kIova + kPages * kPage,
                    more.size()));
  ASSERT_OK(dirty_start(s->container()));
  ASSERT_EQ(pin_page(70), 1);
  ASSERT_EQ(pin_page(82), 1);
  EXPECT_EQ(dirty(0, kPages + 3), "70,82");
}

TEST_F(EmulatedDirty, StopForgets) {
  ASSERT_OK(dirty_start(s->container()));
  ASSERT_EQ(pin_page(1), 1);
  ASSERT_OK(unpin_page(1));
  ASSERT_OK(dirty_stop(s->container()));
  EXPECT_EQ(dirty(), "EINVAL") << "no report while tracking is off";
  ASSERT_OK(dirty_start(s->container()));
  EXPECT_EQ(dirty(), "none");
}

TEST_F(EmulatedDirty, StartTwiceKeepsWhatIsMarked) {
  ASSERT_OK(dirty_start(s->container()));
  ASSERT_EQ(pin_page(1), 1);
  ASSERT_OK(unpin_page(1));
  ASSERT_OK(dirty_start(s->container()));
  EXPECT_EQ(dirty(), "1");
}

TEST_F(EmulatedDirty, AMappingMadeWhileTracking) {
  ASSERT_OK(dirty_start(s->container()));
  Memory more(kPage);
  more.touch(1);
  const uint64_t iova = kIova + 2 * kPages * kPage;
  ASSERT_OK(map_dma(s->container(), more.data(), iova, kPage));
  EXPECT_EQ(dirty_pages(s->container(), iova, 1).text(), "none");
  ASSERT_EQ(pin(s->device(), iova, 1), 1);
  EXPECT_EQ(dirty_pages(s->container(), iova, 1).text(), "0");
}

TEST_F(EmulatedDirty, UnmapReportsTheLastState) {
  ASSERT_OK(dirty_start(s->container()));
  ASSERT_EQ(pin_page(4, 2), 2);
  ASSERT_EQ(pin_page(66), 1);
  ASSERT_OK(unpin_page(66));

  std::vector<uint64_t> bits((kPages + 63) / 64);
  alignas(uint64_t) uint8_t
      request[sizeof(vfio_iommu_type1_dma_unmap) + sizeof(vfio_bitmap)] = {};
  auto* unmap = reinterpret_cast<vfio_iommu_type1_dma_unmap*>(request);
  unmap->argsz = sizeof request;
  unmap->flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
  unmap->iova = kIova;
  unmap->size = m.size();
  auto* bitmap = reinterpret_cast<vfio_bitmap*>(unmap->data);
  bitmap->pgsize = kPage;
  bitmap->size = bits.size() * 8;
  bitmap->data = reinterpret_cast<__u64*>(bits.data());
  ASSERT_OK(call(s->container(), VFIO_IOMMU_UNMAP_DMA, unmap));
  EXPECT_EQ(unmap->size, m.size());
  EXPECT_EQ(bits[0], 3ull << 4) << "unpinned for this unmap, so dirty";
  EXPECT_EQ(bits[1], 1ull << 2) << "page 66";
  EXPECT_EQ(unmap_events(s->device()).size(), 1u);
}

TEST_F(EmulatedDirty, TwoDevicesOneBitmap) {
  Testdev other;
  ASSERT_TRUE(other.ok());
  Fd group = open_path(other.node());
  ASSERT_OK(group.get());
  ASSERT_OK(set_container(group, s->container()));
  Fd device = get_device(group, other.name());
  ASSERT_OK(device.get());
  ASSERT_OK(dirty_start(s->container()));
  ASSERT_EQ(pin_page(2), 1);
  ASSERT_EQ(pin(device, kIova + 2 * kPage, 2), 2);
  EXPECT_EQ(dirty(), "2-3");
  ASSERT_OK(unpin_page(2));
  EXPECT_EQ(dirty(), "2-3");
  EXPECT_EQ(dirty(), "2-3") << "the other device still pins both";
  device.reset();
  EXPECT_EQ(dirty(), "2-3");
  EXPECT_EQ(dirty(), "none");
}

TEST_F(EmulatedDirty, InfoOffersTheBitmap) {
  std::vector<uint8_t> info = iommu_info(s->container());
  ASSERT_GE(info.size(), sizeof(vfio_iommu_type1_info));
  auto* head = reinterpret_cast<const vfio_iommu_type1_info*>(info.data());
  ASSERT_TRUE(head->flags & VFIO_IOMMU_INFO_CAPS);
  observe("pgsizes", head->iova_pgsizes);
  observe("iova_ranges", iova_ranges(s->container()).size());
  auto* cap =
      find_cap(info, head->cap_offset, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION);
  ASSERT_NE(cap, nullptr);
  auto* migration =
      reinterpret_cast<const vfio_iommu_type1_info_cap_migration*>(cap);
  EXPECT_EQ(migration->pgsize_bitmap, kPage);
  observe("max_bitmap", migration->max_dirty_bitmap_size);
}

}  // namespace
