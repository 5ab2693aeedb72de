// SPDX-License-Identifier: GPL-2.0
//
// vfio_dma_rw: the CPU reads and writes guest memory for a mediated device.
#include <string.h>

#include <algorithm>

#include "testdev.hpp"

using namespace stack;

namespace {

constexpr uint64_t kIova = 0x10000000;

class EmulatedRw : public OneTestdev {
 protected:
  static std::vector<uint8_t> pattern(size_t size, uint8_t seed) {
    std::vector<uint8_t> data(size);
    for (size_t i = 0; i < size; i++)
      data[i] = static_cast<uint8_t>(seed + i * 7 + i / 256);
    return data;
  }
};

TEST_F(EmulatedRw, BothWaysAndNothingIsLocked) {
  Memory m(4 * kPage);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  uint64_t before = locked_pages();
  auto out = pattern(3 * kPage + 123, 1);
  EXPECT_OK(dma_write(s->device(), kIova + 17, out.data(), out.size()));
  EXPECT_EQ(memcmp(m.at(17), out.data(), out.size()), 0);
  EXPECT_EQ(m.data()[16], 0) << "the byte before is untouched";
  EXPECT_EQ(m.data()[17 + out.size()], 0) << "and the byte after";
  std::vector<uint8_t> in(out.size());
  EXPECT_OK(dma_read(s->device(), kIova + 17, in.data(), in.size()));
  EXPECT_EQ(in, out);
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(EmulatedRw, FromAKernelThread) {
  Memory m(2 * kPage);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  auto out = pattern(kPage + 5, 9);
  EXPECT_OK(dma_write(s->device(), kIova + 1, out.data(), out.size(),
                      VFIO_TESTDEV_KTHREAD));
  EXPECT_EQ(memcmp(m.at(1), out.data(), out.size()), 0);
  std::vector<uint8_t> in(out.size());
  EXPECT_OK(dma_read(s->device(), kIova + 1, in.data(), in.size(),
                     VFIO_TESTDEV_KTHREAD));
  EXPECT_EQ(in, out);
}

TEST_F(EmulatedRw, AcrossAdjacentMappings) {
  Memory a(kPage), b(kPage), c(2 * kPage);
  ASSERT_OK(map_dma(s->container(), a.data(), kIova, kPage));
  ASSERT_OK(map_dma(s->container(), c.data(), kIova + kPage, 2 * kPage));
  ASSERT_OK(map_dma(s->container(), b.data(), kIova + 3 * kPage, kPage));
  auto out = pattern(2 * kPage + 200, 3);
  EXPECT_OK(
      dma_write(s->device(), kIova + kPage - 100, out.data(), out.size()));
  EXPECT_EQ(memcmp(a.at(kPage - 100), out.data(), 100), 0);
  EXPECT_EQ(memcmp(c.data(), out.data() + 100, 2 * kPage), 0);
  EXPECT_EQ(memcmp(b.data(), out.data() + 100 + 2 * kPage, 100), 0);
  std::vector<uint8_t> in(out.size());
  EXPECT_OK(dma_read(s->device(), kIova + kPage - 100, in.data(), in.size()));
  EXPECT_EQ(in, out);
}

TEST_F(EmulatedRw, IntoAHole) {
  Memory m(2 * kPage);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, kPage));
  ASSERT_OK(map_dma(s->container(), m.at(kPage), kIova + 2 * kPage, kPage));
  auto out = pattern(3 * kPage, 5);
  EXPECT_ERR(EINVAL, dma_write(s->device(), kIova, out.data(), out.size()));
  observe("written_before_the_hole",
          memcmp(m.data(), out.data(), kPage) ? "no" : "yes");
  EXPECT_EQ(std::count(m.at(kPage), m.at(2 * kPage), 0),
            static_cast<long>(kPage))
      << "nothing is written beyond the hole";
}

TEST_F(EmulatedRw, Refusals) {
  Memory m(4 * kPage);
  Memory hard(kPage, PROT_READ);
  const uint64_t ro = 0x20000000, wo = 0x30000000, gone = 0x40000000,
                 readonly_memory = 0x50000000;
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_OK(map_dma(s->container(), m.data(), ro, m.size(), kMapRead));
  ASSERT_OK(map_dma(s->container(), m.data(), wo, m.size(), kMapWrite));
  ASSERT_OK(map_dma(s->container(), hard.data(), readonly_memory, kPage));
  {
    Memory short_lived(kPage);
    ASSERT_OK(map_dma(s->container(), short_lived.data(), gone, kPage));
  }
  const struct {
    const char* name;
    uint64_t iova;
    size_t size;
    bool write;
    uint32_t flags;
    long want;
  } cases[] = {
      {"write of a read-only mapping", ro, 8, true, 0, -EPERM},
      {"read of a read-only mapping", ro, 8, false, 0, 0},
      {"read of a write-only mapping", wo, 8, false, 0, -EPERM},
      {"write of a write-only mapping", wo, 8, true, 0, -EPERM},
      {"no bytes", kIova, 0, false, 0, -EINVAL},
      {"no bytes to write", kIova, 0, true, 0, -EINVAL},
      {"no buffer", kIova, 8, false, VFIO_TESTDEV_NO_PAGES, -EINVAL},
      {"not mapped", kIova - 8, 8, false, 0, -EINVAL},
      {"runs into the mapping", kIova - 4, 8, false, 0, -EINVAL},
      {"runs out of the mapping", kIova + m.size() - 4, 8, false, 0, -EINVAL},
      {"the last eight bytes", kIova + m.size() - 8, 8, false, 0, 0},
      {"memory that is gone", gone, 8, false, 0, -EFAULT},
      {"write to memory that is gone", gone, 8, true, 0, -EFAULT},
      {"write to memory the process may only read", readonly_memory, 8, true, 0,
       -EFAULT},
      {"the same from a kernel thread", readonly_memory, 8, true,
       VFIO_TESTDEV_KTHREAD, -EFAULT},
      {"the end of the address space", ~0ull - 7, 8, false, 0, -EINVAL},
  };
  for (const auto& c : cases) {
    uint8_t buffer[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    long got = c.write ? dma_write(s->device(), c.iova, buffer, c.size, c.flags)
                       : dma_read(s->device(), c.iova, buffer, c.size, c.flags);
    EXPECT_EQ(errno_name(got), errno_name(c.want)) << c.name;
  }
  EXPECT_EQ(std::count(m.data(), m.at(m.size()), 0),
            static_cast<long>(m.size()))
      << "no refused write changed memory";
}

// Another process that holds the device may not reach the mapper's memory
// through it: user copies go to the current mm, which is the wrong one.
TEST_F(EmulatedRw, FromAnotherProcess) {
  Memory m(kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, kPage));
  in_child([&] {
    uint8_t byte = 9;
    EXPECT_ERR(EFAULT, dma_write(s->device(), kIova, &byte, 1));
    EXPECT_ERR(EFAULT, dma_read(s->device(), kIova, &byte, 1));
    byte = 7;
    EXPECT_OK(dma_write(s->device(), kIova, &byte, 1, VFIO_TESTDEV_KTHREAD))
        << "a kernel thread takes on the mapper's mm";
  });
  EXPECT_EQ(m.data()[0], 7);
}

}  // namespace
