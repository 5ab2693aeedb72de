// SPDX-License-Identifier: GPL-2.0
//
// Real DMA by the edu device: it reaches what is mapped, and nothing else.
// Faults of the emulated VT-d show as DMAR lines in the kernel log.
#include <string.h>
#include <sys/mman.h>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x80000000;
constexpr uint32_t kRead = VFIO_DMA_MAP_FLAG_READ;
constexpr uint32_t kWrite = VFIO_DMA_MAP_FLAG_WRITE;

class Dma : public OneDevice {
 protected:
  void SetUp() override {
    OneDevice::SetUp();
    if (HasFatalFailure()) return;
    edu = std::make_unique<Edu>(s.device());
    ASSERT_TRUE(edu->ok());
    c = s.container();
  }
  void TearDown() override { edu.reset(); }

  void load(const char* text) {  // into the device's buffer, at 0
    Memory m(kPage);
    strcpy(reinterpret_cast<char*>(m.data()), text);
    ASSERT_OK(map_dma(c, m.data(), kScratch, kPage));
    ASSERT_TRUE(edu->fetch(kScratch, 0, 64));
    ASSERT_EQ(unmap_dma(c, kScratch, kPage).size, kPage);
  }
  std::string buffer() {  // what the device's buffer holds, at 0
    Memory m(kPage);
    EXPECT_OK(map_dma(c, m.data(), kScratch, kPage));
    EXPECT_TRUE(edu->store(kScratch, 0, 64));
    EXPECT_EQ(unmap_dma(c, kScratch, kPage).size, kPage);
    return reinterpret_cast<char*>(m.data());
  }
  static std::string text(const uint8_t* p) {
    return std::string(reinterpret_cast<const char*>(p));
  }
  static bool all(const Memory& m, uint8_t value) {
    for (size_t i = 0; i < m.size(); i++)
      if (m.data()[i] != value) return false;
    return true;
  }

  static constexpr uint64_t kScratch = 0x4000;
  std::unique_ptr<Edu> edu;
  int c = -1;
};

TEST_F(Dma, DeviceReadsWhatWeWroteAndWritesBack) {
  Memory m(2 * kPage);
  for (int i = 0; i < 2048; i++) *m.at(i) = static_cast<uint8_t>(i * 7 + 3);
  ASSERT_OK(map_dma(c, m.data(), kIova, m.size()));
  ASSERT_TRUE(edu->copy(kIova + kPage, kIova, 2048));
  EXPECT_EQ(memcmp(m.data(), m.at(kPage), 2048), 0);
  EXPECT_EQ(*m.at(kPage + 2048), 0) << "not a byte more";
}

TEST_F(Dma, IovaZero) {
  Memory m(kPage);
  strcpy(reinterpret_cast<char*>(m.data()), "at zero");
  ASSERT_OK(map_dma(c, m.data(), 0, kPage));
  ASSERT_TRUE(edu->copy(512, 0, 8));
  EXPECT_EQ(text(m.at(512)), "at zero");
}

TEST_F(Dma, LastPageOfTheAperture) {
  uint64_t iova = iova_ranges(c).back().last + 1 - kPage;
  Memory m(kPage);
  strcpy(reinterpret_cast<char*>(m.data()), "the last");
  ASSERT_OK(map_dma(c, m.data(), iova, kPage));
  ASSERT_TRUE(edu->copy(iova + kPage - 16, iova, 16));
  EXPECT_EQ(text(m.at(kPage - 16)), "the last");
}

// --- where it must not reach ----------------------------------------------

TEST_F(Dma, NeverMappedIsNotRead) {
  load("old");
  EXPECT_TRUE(edu->fetch(kIova, 0, 64));
  EXPECT_NE(buffer().substr(0, 5), "SECRET");
}

TEST_F(Dma, UnmappedAgainIsNotRead) {
  Memory m(kPage);
  strcpy(reinterpret_cast<char*>(m.data()), "SECRET");
  ASSERT_OK(map_dma(c, m.data(), kIova, kPage));
  ASSERT_TRUE(edu->fetch(kIova, 0, 64));
  EXPECT_EQ(buffer(), "SECRET");
  load("cleared");
  ASSERT_EQ(unmap_dma(c, kIova, kPage).size, kPage);
  edu->fetch(kIova, 0, 64);
  EXPECT_NE(buffer(), "SECRET");
}

TEST_F(Dma, UnmappedAgainIsNotWritten) {
  Memory m(2 * kPage);
  memset(m.data(), 0xee, m.size());
  ASSERT_OK(map_dma(c, m.data(), kIova, m.size()));
  load("intruder");
  ASSERT_EQ(unmap_dma(c, kIova, m.size()).size, m.size());
  edu->store(kIova, 0, 64);
  edu->store(kIova + kPage, 0, 64);
  EXPECT_TRUE(all(m, 0xee)) << "not one byte changed";
}

TEST_F(Dma, NeighboursOfAMappingAreNotWritten) {
  // Three pages side by side; only the middle one is mapped.
  Memory m(3 * kPage);
  memset(m.data(), 0xee, m.size());
  ASSERT_OK(map_dma(c, m.at(kPage), kIova + kPage, kPage));
  load("intruder");
  edu->store(kIova + kPage - 64, 0, 64);
  edu->store(kIova + 2 * kPage, 0, 64);
  EXPECT_TRUE(all(m, 0xee));
  ASSERT_TRUE(edu->store(kIova + kPage, 0, 64));
  EXPECT_EQ(text(m.at(kPage)), "intruder");
}

TEST_F(Dma, ReadOnlyIsReadButNotWritten) {
  Memory m(kPage);
  strcpy(reinterpret_cast<char*>(m.data()), "look, don't touch");
  ASSERT_OK(map_dma(c, m.data(), kIova, kPage, kRead));
  ASSERT_TRUE(edu->fetch(kIova, 0, 64));
  EXPECT_EQ(buffer(), "look, don't touch");
  load("intruder");
  edu->store(kIova, 0, 64);
  EXPECT_EQ(text(m.data()), "look, don't touch");
}

TEST_F(Dma, WriteOnlyIsWritten) {
  // Whether it can be read too is the IOMMU driver's affair: 6.1's for VT-d
  // sets the read bit of every entry.
  Memory m(kPage);
  ASSERT_OK(map_dma(c, m.data(), kIova, kPage, kWrite));
  load("delivered");
  ASSERT_TRUE(edu->store(kIova, 0, 64));
  EXPECT_EQ(text(m.data()), "delivered");
}

TEST_F(Dma, FailedMapLeavesNothingMapped) {
  Memory m(1100 * kPage);
  memset(m.data(), 0xee, m.size());
  munmap(m.at(1099 * kPage), kPage);
  ASSERT_ERR(EFAULT, map_dma(c, m.data(), kIova, m.size()));
  load("intruder");
  for (uint64_t page : {0, 511, 512, 1098})
    edu->store(kIova + page * kPage, 0, 64);
  for (uint64_t page : {0, 511, 512, 1098})
    EXPECT_EQ(*m.at(page * kPage), 0xee) << page;
}

TEST_F(Dma, RemappedIovaReachesTheNewPage) {
  Memory first(kPage), second(kPage);
  memset(first.data(), 0xee, kPage);
  ASSERT_OK(map_dma(c, first.data(), kIova, kPage));
  load("for the second");
  ASSERT_TRUE(edu->fetch(kIova + 512, 512, 64)) << "so that it is cached";
  ASSERT_EQ(unmap_dma(c, kIova, kPage).size, kPage);
  ASSERT_OK(map_dma(c, second.data(), kIova, kPage));
  ASSERT_TRUE(edu->store(kIova, 0, 64));
  EXPECT_TRUE(all(first, 0xee));
  EXPECT_EQ(text(second.data()), "for the second");
}

// --- chunks and huge pages ------------------------------------------------

TEST_F(Dma, AcrossPagesAndBatches) {
  Memory m(1100 * kPage);
  m.touch(0);
  ASSERT_OK(map_dma(c, m.data(), kIova, m.size()));
  for (uint64_t page : {1, 511, 512, 513, 1024, 1099}) {
    uint64_t at = page * kPage - 16;
    std::string want = "edge " + std::to_string(page) + " is whole here";
    load(want.c_str());
    ASSERT_TRUE(edu->store(kIova + at, 0, 32));
    EXPECT_EQ(text(m.at(at)), want);
  }
}

class DmaHuge : public Dma, public testing::WithParamInterface<bool> {};

TEST_P(DmaHuge, StartMiddleEnd) {
  Memory m;
  if (GetParam())
    m = Memory(2 * kHuge, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
  else
    m = Memory::aligned(2 * kHuge);
  ASSERT_TRUE(m.ok());
  m.touch(0);
  ASSERT_OK(map_dma(c, m.data(), kIova, m.size()));
  load("in a huge page");
  for (uint64_t at :
       {uint64_t{0}, 77 * kPage + 5, kHuge - 8, kHuge, 2 * kHuge - 64}) {
    ASSERT_TRUE(edu->store(kIova + at, 0, 64));
    EXPECT_EQ(text(m.at(at)), "in a huge page") << at;
    memset(m.at(at), 0, 64);
  }
  ASSERT_EQ(unmap_dma(c, kIova, m.size()).size, m.size());
  edu->store(kIova + kHuge, 0, 64);
  EXPECT_EQ(*m.at(kHuge), 0) << "unmapped as a whole";
}

INSTANTIATE_TEST_SUITE_P(Kind, DmaHuge, testing::Bool(), [](const auto& info) {
  return info.param ? "Hugetlb" : "Thp";
});

// --- memory that changes behind the mapping -------------------------------

TEST_F(Dma, MunmappedMemoryStaysTheDevices) {
  Fd file = make_memfd(kPage);
  Memory m(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file);
  Memory view(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file);
  ASSERT_OK(map_dma(c, m.data(), kIova, kPage));
  uint8_t* where = m.data();
  munmap(where, kPage);
  m.release();
  Memory other(kPage, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, where);
  load("to the old page");
  ASSERT_TRUE(edu->store(kIova, 0, 64));
  EXPECT_EQ(text(view.data()), "to the old page");
  EXPECT_TRUE(all(other, 0)) << "the new page there is none of its business";
}

TEST_F(Dma, MovedMemoryIsFollowedByItsPage) {
  Memory m(kPage), place(kPage);
  *m.data() = 1;
  ASSERT_OK(map_dma(c, m.data(), kIova, kPage));
  void* moved = mremap(m.data(), kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED,
                       place.data());
  ASSERT_EQ(moved, place.data());
  m.release();
  load("followed");
  ASSERT_TRUE(edu->store(kIova, 0, 64));
  EXPECT_EQ(text(place.data()), "followed");
}

TEST_F(Dma, ForkDoesNotPartUsFromThePage) {
  // A write after fork must not give the parent a copy that the device does
  // not see.
  Memory m(kPage);
  *m.data() = 1;
  ASSERT_OK(map_dma(c, m.data(), kIova, kPage));
  Child child([](Child& self) { self.await(); });
  strcpy(reinterpret_cast<char*>(m.data()), "after fork");
  ASSERT_TRUE(edu->fetch(kIova, 0, 64));
  ASSERT_TRUE(edu->store(kIova + 512, 0, 64));
  EXPECT_EQ(text(m.at(512)), "after fork");
  child.notify();
  child.wait();
}

TEST_F(Dma, SuspendedProcessKeepsItsPages) {
  // The child maps and waits; the device works on the child's memory.
  Fd file = make_memfd(kPage);
  Memory view(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file);
  Child child([&](Child& self) {
    ASSERT_OK(map_dma(c, view.data(), kIova, kPage));
    self.notify();
    self.await();
  });
  ASSERT_TRUE(child.await());
  load("child's page");
  ASSERT_TRUE(edu->store(kIova, 0, 64));
  EXPECT_EQ(text(view.data()), "child's page");
  child.kill();
  child.wait(SIGKILL);
  load("after its death");
  ASSERT_TRUE(edu->store(kIova, 0, 64));
  EXPECT_EQ(text(view.data()), "after its death");
  EXPECT_EQ(unmap_dma(c, kIova, kPage).size, kPage);
}

// --- v1 -------------------------------------------------------------------

TEST(DmaV1, MapUnmap) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]}, VFIO_TYPE1_IOMMU);
  Edu edu(s.device());
  Memory m(2 * kPage);
  strcpy(reinterpret_cast<char*>(m.data()), "first version");
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  ASSERT_TRUE(edu.copy(kIova + kPage, kIova, 32));
  EXPECT_STREQ(reinterpret_cast<char*>(m.at(kPage)), "first version");
  // By its first page the whole goes.
  EXPECT_EQ(unmap_dma(s.container(), kIova, kPage).size, m.size());
  memset(m.at(kPage), 0, 32);
  edu.store(kIova + kPage, 0, 32);
  EXPECT_EQ(*m.at(kPage), 0);
}

}  // namespace
}  // namespace stack
