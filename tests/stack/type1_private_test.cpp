// SPDX-License-Identifier: GPL-2.0
//
// Private memory that is mapped for reading alone: what the process writes to
// it afterwards is what devices read. 6.1 pins what is there (the zero page, a
// page of the file), and the first write moves the process to another page.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "testdev.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x40000000;
const int kRw = PROT_READ | PROT_WRITE;

struct Private {
  const char* name;
  // Memory, and a second view of what backs it if there is any.
  std::function<Memory(Memory& other)> make;
};

Memory file_private(Memory& other, int prot, size_t size, unsigned flags) {
  Fd fd = make_memfd(size, flags);
  other = Memory(size, kRw, MAP_SHARED, fd);
  other.touch(0x11);
  return Memory(size, prot, MAP_PRIVATE, fd);
}

Memory looked_at(Memory m) {
  for (size_t i = 0; i < m.size(); i += kPage)
    (void)*static_cast<volatile uint8_t*>(m.at(i));
  return m;
}

const Private kPrivate[] = {
    {"never_touched", [](Memory&) { return Memory(8 * kPage); }},
    {"read_before", [](Memory&) { return looked_at(Memory(8 * kPage)); }},
    {"read_only_for_now", [](Memory&) { return Memory(8 * kPage, PROT_READ); }},
    {"huge_never_touched", [](Memory&) { return Memory::aligned(kHuge); }},
    {"huge_zero_page",
     [](Memory&) { return looked_at(Memory::aligned(kHuge)); }},
    {"many_batches", [](Memory&) { return Memory(1300 * kPage); }},
    {"every_other_page",
     [](Memory&) {
       Memory m(64 * kPage);
       for (size_t i = 0; i < 64; i += 2) *m.at(i * kPage) = 1;
       return m;
     }},
    {"file",
     [](Memory& other) { return file_private(other, kRw, 8 * kPage, 0); }},
    {"file_read_before",
     [](Memory& other) {
       return looked_at(file_private(other, kRw, 8 * kPage, 0));
     }},
    {"file_read_only_for_now",
     [](Memory& other) {
       return file_private(other, PROT_READ, 8 * kPage, 0);
     }},
    {"hugetlb_file",
     [](Memory& other) {
       return file_private(other, kRw, 2 * kHuge, MFD_HUGETLB);
     }},
    {"hugetlb_file_read_before",
     [](Memory& other) {
       return looked_at(file_private(other, kRw, 2 * kHuge, MFD_HUGETLB));
     }},
    {"hugetlb_file_read_only_for_now",
     [](Memory& other) {
       return file_private(other, PROT_READ, 2 * kHuge, MFD_HUGETLB);
     }},
};

// What 6.1 unshares as well.
const Private kAnonymous[] = {
    {"shared_with_a_child",
     [](Memory&) {
       Memory m(8 * kPage);
       m.touch(1);
       in_child([] {});
       return m;
     }},
};

class MapPrivate : public testing::TestWithParam<Private> {
 protected:
  void SetUp() override {
    REQUIRE_DEVICES(1);
    memory_ = GetParam().make(other_);
    ASSERT_TRUE(memory_.ok());
  }

  // The pages that a test looks at: first, last, and two between.
  std::vector<size_t> some() const {
    const size_t size = memory_.size();
    return {0, kPage, size / 2 / kPage * kPage, size - kPage};
  }

  void write_some() {
    ASSERT_EQ(mprotect(memory_.data(), memory_.size(), kRw), 0);
    for (size_t at : some()) memset(memory_.at(at), 0x5a + (at / kPage) % 7, 8);
  }

  Memory other_, memory_;
};

TEST_P(MapPrivate, DevicesReadWhatIsWrittenLater) {
  Session s({lone_devices()[0]});
  Edu edu(s.device());
  Memory target(kPage);
  const uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), memory_.data(), kIova, memory_.size(),
                    VFIO_DMA_MAP_FLAG_READ));
  EXPECT_EQ(locked_pages(), before + memory_.size() / kPage)
      << "the memory is the process's own now, and counts";
  ASSERT_OK(map_dma(s.container(), target.data(), 0, kPage));
  write_some();
  for (size_t at : some()) {
    memset(target.data(), 0, 8);
    ASSERT_TRUE(edu.copy(0, kIova + at, 8));
    EXPECT_EQ(memcmp(target.data(), memory_.at(at), 8), 0) << at;
  }
  EXPECT_EQ(unmap_dma(s.container(), kIova, memory_.size()).size,
            memory_.size());
}

TEST_P(MapPrivate, PinsStayTheProcesssPages) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  ASSERT_OK(
      map_dma(s.container(), memory_.data(), kIova, memory_.size(), kMapRead));
  // From the process itself and from a thread of the kernel, one and many.
  for (uint32_t flags : {0u, uint32_t{VFIO_TESTDEV_KTHREAD}}) {
    const uint64_t at = flags ? memory_.size() / 2 / kPage * kPage : 0;
    std::vector<uint64_t> one, more;
    ASSERT_EQ(pin(s.device(), kIova + at, 1, kRead, flags, &one), 1);
    ASSERT_EQ(pin(s.device(), kIova + at + kPage, 3, kRead, flags, &more), 3);
    one.insert(one.end(), more.begin(), more.end());
    ASSERT_EQ(mprotect(memory_.data(), memory_.size(), kRw), 0);
    for (size_t i = 0; i < one.size(); i++) {
      *memory_.at(at + i * kPage) = 0x77;
      EXPECT_EQ(one[i], pfn_of(memory_.at(at + i * kPage))) << i;
    }
    EXPECT_OK(unpin(s.device(), kIova + at, 4));
  }
}

// What backs the memory keeps what it had: it was never written.
TEST_P(MapPrivate, NothingElseIsWritten) {
  Session s({lone_devices()[0]});
  ASSERT_OK(map_dma(s.container(), memory_.data(), kIova, memory_.size(),
                    VFIO_DMA_MAP_FLAG_READ));
  write_some();
  if (other_.ok()) {
    for (size_t at : some()) EXPECT_EQ(*other_.at(at), 0x11) << at;
    for (size_t at : some()) *other_.at(at) = 0x22;
    for (size_t at : some()) EXPECT_NE(*memory_.at(at), 0x22) << at;
  }
  EXPECT_EQ(unmap_dma(s.container(), kIova, memory_.size()).size,
            memory_.size());
}

std::string name_of(const testing::TestParamInfo<Private>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Of, MapPrivate, testing::ValuesIn(kPrivate), name_of);
INSTANTIATE_TEST_SUITE_P(OfAnonymous, MapPrivate, testing::ValuesIn(kAnonymous),
                         name_of);

using Type1Private = OneDevice;

// Where memory is shared there is one page for all, and a mapping for reading
// leaves it clean.
TEST_F(Type1Private, SharedFileStaysShared) {
  Fd fd = make_memfd(8 * kPage);
  Memory writer(8 * kPage, kRw, MAP_SHARED, fd);
  Memory m(8 * kPage, PROT_READ, MAP_SHARED, fd);
  Memory target(kPage);
  Edu edu(s.device());
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size(),
                    VFIO_DMA_MAP_FLAG_READ));
  ASSERT_OK(map_dma(s.container(), target.data(), 0, kPage));
  memset(writer.at(5 * kPage), 0x3c, 8);
  ASSERT_TRUE(edu.copy(0, kIova + 5 * kPage, 8));
  EXPECT_EQ(memcmp(target.data(), writer.at(5 * kPage), 8), 0);
}

// A file of which nobody has a writable descriptor can be mapped privately, and
// a process that may not write it may read it for a device.
TEST_F(Type1Private, FileOpenedForReading) {
  const std::string path = "/tmp/private_file";
  Fd writer(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const std::string a(3 * kPage, 'a'), b(3 * kPage, 'b');
  ASSERT_EQ(pwrite(writer, a.data(), a.size(), 0), ssize_t{3 * kPage});
  Fd fd = open_path(path, O_RDONLY);
  Memory m(3 * kPage, PROT_READ, MAP_PRIVATE, fd);
  ASSERT_TRUE(m.ok());
  const uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size(),
                    VFIO_DMA_MAP_FLAG_READ));
  EXPECT_EQ(locked_pages(), before + 3);
  ASSERT_EQ(pwrite(writer, b.data(), b.size(), 0), ssize_t{3 * kPage});
  EXPECT_EQ(*m.at(kPage), 'a') << "a copy of its own from then on";
  EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
  EXPECT_EQ(unlink(path.c_str()), 0);
}

TEST_F(Type1Private, PrivateAndSharedInOneMapping) {
  Memory m(48 * kPage);
  Fd fd = make_memfd(16 * kPage);
  ASSERT_NE(
      mmap(m.at(16 * kPage), 16 * kPage, kRw, MAP_SHARED | MAP_FIXED, fd, 0),
      MAP_FAILED);
  const uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size(),
                    VFIO_DMA_MAP_FLAG_READ));
  EXPECT_EQ(locked_pages(), before + 48);
  Edu edu(s.device());
  Memory target(kPage);
  ASSERT_OK(map_dma(s.container(), target.data(), 0, kPage));
  for (size_t page : {0, 15, 16, 31, 32, 47}) {
    memset(m.at(page * kPage), 0x40 + static_cast<int>(page), 8);
    ASSERT_TRUE(edu.copy(0, kIova + page * kPage, 8));
    EXPECT_EQ(memcmp(target.data(), m.at(page * kPage), 8), 0) << page;
  }
}

// Mapped first and pinned when a group with an IOMMU joins: by whoever attaches
// it.
TEST_F(Type1Private, PinnedAtAttach) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession emulated({&dev});
  ASSERT_TRUE(emulated.ok());
  Memory m(8 * kPage), target(kPage);
  ASSERT_OK(map_dma(emulated.container(), m.data(), kIova, m.size(), kMapRead));
  ASSERT_OK(map_dma(emulated.container(), target.data(), 0, kPage));
  s = Session();
  Fd group = open_group(lone_devices()[0]);
  ASSERT_OK(set_container(group, emulated.container()));
  Fd device = get_device(group, lone_devices()[0].bdf);
  ASSERT_TRUE(device.valid());
  {
    Edu edu(device);
    m.touch(0x6b);
    ASSERT_TRUE(edu.copy(0, kIova + 3 * kPage, 8));
    EXPECT_EQ(target.data()[0], 0x6b);
  }
  device.reset();
  ASSERT_OK(unset_container(group));
}

// Nobody may copy a page for the process that it wants to be asked for first.
// Pages that are its own already need no copy.
TEST_F(Type1Private, WriteProtectedByUserfaultfd) {
  Memory m = looked_at(Memory(8 * kPage));
  for (uint64_t page : {0, 1, 2, 3}) *m.at(page * kPage) = 1;
  Fd fd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
  const uffdio_range all = {reinterpret_cast<uint64_t>(m.data()), m.size()};
  uffdio_api api = {
      .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP, .ioctls = 0};
  uffdio_register watched = {
      .range = all, .mode = UFFDIO_REGISTER_MODE_WP, .ioctls = 0};
  uffdio_writeprotect protect = {.range = all,
                                 .mode = UFFDIO_WRITEPROTECT_MODE_WP};
  ASSERT_OK(call(fd, UFFDIO_API, &api));
  ASSERT_OK(call(fd, UFFDIO_REGISTER, &watched));
  ASSERT_OK(call(fd, UFFDIO_WRITEPROTECT, &protect));
  const uint64_t locked = locked_pages();
  const int64_t pins = outstanding_pins();

  // From 6.2 on the kernel unshares such memory, as if userfaultfd were not
  // there.
  if (kernel_at_least(6, 2)) {
    EXPECT_OK(map_dma(s.container(), m.data(), kIova, m.size(),
                      VFIO_DMA_MAP_FLAG_READ));
    EXPECT_EQ(locked_pages(), locked + 8);
    return;
  }
  for (uint64_t first : {0, 4})
    EXPECT_ERR(EFAULT, map_dma(s.container(), m.at(first * kPage), kIova,
                               (8 - first) * kPage, VFIO_DMA_MAP_FLAG_READ));
  EXPECT_EQ(locked_pages(), locked);
  EXPECT_EQ(outstanding_pins(), pins);
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, 4 * kPage,
                    VFIO_DMA_MAP_FLAG_READ));
  EXPECT_EQ(unmap_dma(s.container(), kIova, 4 * kPage).size, 4 * kPage);

  protect.mode = 0;
  ASSERT_OK(call(fd, UFFDIO_WRITEPROTECT, &protect));
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size(),
                    VFIO_DMA_MAP_FLAG_READ));
  EXPECT_EQ(locked_pages(), locked + 8);
}

// In the machine with two CPUs: another thread drops the pages, so that they
// are the file's anew, between any two steps of a pin. What is pinned is the
// process's own all the same.
TEST(TwoCpusPrivate, DroppedWhileTheyArePinned) {
  constexpr auto kTime = std::chrono::seconds(5);
  for (unsigned flags : {0u, unsigned{MFD_HUGETLB}}) {
    Testdev dev;
    ASSERT_TRUE(dev.ok());
    TestdevSession s({&dev});
    ASSERT_TRUE(s.ok());
    Memory file;
    Memory m = file_private(file, PROT_READ, kHuge, flags);
    ASSERT_TRUE(m.ok());
    ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size(), kMapRead));
    const uint64_t of_file = pfn_of(file.data());
    std::atomic<bool> done{false};
    std::atomic<uint64_t> dropped{0};
    std::thread dropper([&] {
      while (!done) {
        EXPECT_EQ(madvise(m.data(), m.size(), MADV_DONTNEED), 0);
        dropped++;
      }
    });
    uint64_t pinned = 0, stale = 0;
    for (const auto end = std::chrono::steady_clock::now() + kTime;
         std::chrono::steady_clock::now() < end; pinned++) {
      std::vector<uint64_t> pfns;
      const long result = pin(s.device(), kIova, 1, kRead, 0, &pfns);
      EXPECT_EQ(result, 1);
      if (result != 1) break;
      stale += pfns[0] == of_file;
      EXPECT_OK(unpin(s.device(), kIova, 1));
    }
    done = true;
    dropper.join();
    note(std::to_string(pinned) + " pins, " + std::to_string(dropped) +
         " times dropped");
    EXPECT_GT(pinned, 0u);
    EXPECT_GT(dropped, 0u);
    EXPECT_EQ(stale, 0u) << "pins of the file's page, of " << pinned;
  }
}

}  // namespace
}  // namespace stack
