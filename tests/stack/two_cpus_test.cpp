// SPDX-License-Identifier: GPL-2.0
//
// Threads that share one container and do anything to it at the same time, for
// a machine with two CPUs (vm-args.smp). What happens in which order is never
// the same, so what must hold in any order is looked at:
// - nothing is written outside a bitmap, nor is a page reported dirty where
//   nothing is ever mapped;
// - when UNMAP has returned, no pin is left on its pages, and no device, the
//   edu's DMA or an emulated one's write, changes them any more;
// - a call fails only with an error that the other threads can cause;
// - in the end what is pinned and charged is what it was.
// The same holds on the distribution's modules.
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <initializer_list>
#include <thread>

#include "random_calls.hpp"
#include "testdev.hpp"

namespace stack {
namespace {

constexpr uint64_t kSeeds = 3;
constexpr auto kTime = std::chrono::seconds(5);

// Areas of IOVAs, each of kArea pages: one for each owner thread, then one in
// which two threads replace each other's mappings. In the second half of each
// area nothing is ever mapped.
constexpr uint64_t kIova = kFirstIova + 0x20000000;
constexpr int kOwners = 2;
constexpr uint64_t kArea = 128, kUsed = kArea / 2;
constexpr uint64_t kAreas = kOwners + 1;

constexpr uint64_t area(uint64_t n) { return kIova + n * kArea * kPage; }

// Pages of a file, so that the kernel says whether they are pinned.
class FilePages {
 public:
  explicit FilePages(uint64_t npages)
      : file_(make_memfd(npages * kPage, MFD_ALLOW_SEALING)),
        memory_(npages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file_) {
    if (ok()) memory_.touch(0);
  }
  bool ok() const { return file_.valid() && memory_.ok(); }
  Memory& memory() { return memory_; }
  // 0, or -EBUSY if somebody other than the page cache refers to one of them.
  // They are not mapped here any more afterwards.
  long seal() {
    memory_ = Memory();
    return fcntl(file_, F_ADD_SEALS, F_SEAL_WRITE) ? -errno : 0;
  }

 private:
  Fd file_;
  Memory memory_;
};

class TwoCpus : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_DEVICES(2);
    ASSERT_TRUE(dev.ok());
    s.emplace(std::vector<const Testdev*>{&dev}, 0);
    ASSERT_TRUE(s->ok());
    edu_group = open_group(lone_devices()[0]);
    other_group = open_group(lone_devices()[1]);
    ASSERT_OK(edu_group.get());
    ASSERT_OK(other_group.get());
    ASSERT_OK(set_container(edu_group, s->container()));
    ASSERT_OK(set_iommu(s->container(), VFIO_TYPE1v2_IOMMU));
    edu_device = get_device(edu_group, lone_devices()[0].bdf);
    ASSERT_OK(edu_device.get());
    emulated = get_device(s->group(), dev.name());
    ASSERT_OK(emulated.get());
  }

  int container() const { return s->container(); }

  // Notes a result that is neither in order nor one of these errors.
  void judge(const char* what, long result,
             std::initializer_list<int> errors = {}) {
    calls++;
    if (result >= 0) return;
    for (const int error : errors)
      if (result == -error) return;
    expect(false, std::string(what) + " is " + errno_name(result));
  }
  // The first failures are shown, and all threads come to an end.
  void expect(bool good, const std::string& what) {
    if (!good && failures.fetch_add(1) < 5) ADD_FAILURE() << what;
  }
  bool running() const {
    return !failures && std::chrono::steady_clock::now() < end;
  }

  void own(int owner, Random random);
  void own_once(int owner, Random& random);
  void fight(Random random);
  void track(Random random);
  void pin_and_copy(Random random);
  void join_and_leave();
  void store();
  bool all_bytes(const Memory& memory, uint8_t value);

  Testdev dev;
  std::optional<TestdevSession> s;
  Fd edu_group, other_group, edu_device, emulated;
  Memory common{kUsed * kPage};
  std::chrono::steady_clock::time_point end;
  std::atomic<uint64_t> calls{0}, pinned{0}, copied{0}, reports{0}, stores{0};
  std::atomic<uint64_t> transfers{0}, stuck{0};
  std::atomic<uint64_t> failures{0};
};

constexpr uint8_t kMine = 0x11;    // what an owner writes after UNMAP
constexpr uint8_t kCopied = 0xee;  // what the emulated device writes
constexpr uint8_t kStored = 0xdd;  // what the edu writes

bool TwoCpus::all_bytes(const Memory& memory, uint8_t value) {
  return std::all_of(memory.data(), memory.data() + memory.size(),
                     [value](uint8_t byte) { return byte == value; });
}

// Maps memory of its own and unmaps it; from then on nobody else may write it.
void TwoCpus::own_once(int owner, Random& random) {
  const uint64_t npages = 1 + random.below(random.one_in(4) ? kUsed : 8);
  // The first time, so that it is seen at least once that the edu does reach
  // what is mapped.
  const bool first = owner == 0 && stores == 0;
  const uint64_t at =
      first || random.one_in(2) ? 0 : random.below(kUsed - npages + 1);
  const uint64_t iova = area(owner) + at * kPage;
  FilePages pages(npages);
  ASSERT_TRUE(pages.ok());
  Memory& memory = pages.memory();
  long result = map_dma(container(), memory.data(), iova, memory.size());
  judge("map of what is one's own", result);
  if (result) return;

  // The edu stores to the first page of the first owner again and again.
  if (first || (owner == 0 && at == 0 && random.one_in(8))) {
    // Looked at once a round: the emulated device writes here as well, and may
    // do so just after the edu was seen.
    bool reached = false;
    // On a loaded machine a transfer takes seconds; the first is waited for
    // even if the time is over.
    for (int i = 0; i < 20000 && (first || running()) && !reached; i++) {
      reached = *memory.at(0) == kStored;
      if (!reached) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    expect(reached || (!first && !running()),
           "the device does not reach a mapping");
    stores++;
  } else if (random.one_in(2)) {
    std::this_thread::sleep_for(std::chrono::microseconds(
        random.below(random.one_in(16) ? 150000 : 500)));
  }

  // Up to 7.3 the kernel's modules crash if tracking is stopped while an unmap
  // that is to report waits for a device: there what is pinned is not reported.
  const bool may_report = !on_stock() || owner != kOwners - 1;
  Unmapped u{-EINVAL, 0};
  if (random.one_in(3) && may_report) {
    // The area to its middle, which no mapping crosses.
    GuardedBitmap bitmap(kUsed, nullptr);
    u = unmap_bitmap(container(), area(owner), bitmap);
    judge("unmap with bitmap", u.result, {EINVAL});
    expect(bitmap.guards_intact(), "unmap writes outside the bitmap");
    reports += u.result == 0;
  } else if (random.one_in(2)) {
    u = unmap_dma(container(), area(owner), kArea * kPage);
    judge("unmap of one's area", u.result);
  }
  if (u.result) {
    u = unmap_dma(container(), iova, memory.size());
    judge("unmap of one's own", u.result);
  }
  expect(u.size == memory.size(), "unmapped " + std::to_string(u.size) +
                                      " of " + std::to_string(memory.size()));

  memset(memory.data(), kMine, memory.size());
  if (random.one_in(24))
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
  else if (random.one_in(2))
    std::this_thread::yield();
  expect(all_bytes(memory, kMine),
         std::to_string(npages) + " pages at page " +
             std::to_string((iova - kIova) / kPage) +
             " were written after they were unmapped");
  if (random.one_in(4))
    expect(pages.seal() == 0, "pages stay pinned after they were unmapped");
}

void TwoCpus::own(int owner, Random random) {
  while (running()) own_once(owner, random);
}

// Mappings of other lengths at the same addresses: one replaces the other
// while reports and pins are under way.
void TwoCpus::fight(Random random) {
  while (running()) {
    const uint64_t first = random.below(4) * 8;
    const uint64_t npages =
        random.one_in(2) ? 8 : 1 + random.below(kUsed - first);
    const uint64_t iova = area(kOwners) + first * kPage;
    switch (random.below(4)) {
      case 0:
      case 1:
        judge("map of what all want",
              map_dma(container(), common.at(first * kPage), iova,
                      npages * kPage),
              {EEXIST});
        break;
      case 2:
        judge("unmap of what all want",
              unmap_dma(container(), iova, npages * kPage).result, {EINVAL});
        break;
      default: {
        const Unmapped u = unmap_dma(container(), area(kOwners),
                                     (kUsed + random.below(8)) * kPage);
        judge("unmap of all that all want", u.result);
        expect(u.size % kPage == 0, "parts of pages unmapped");
      }
    }
  }
}

void TwoCpus::track(Random random) {
  while (running()) {
    if (random.one_in(8)) {
      const bool start = !random.one_in(4);
      judge("dirty start and stop",
            start ? dirty_start(container()) : dirty_stop(container()));
      continue;
    }
    // Begins where an area does, so that no mapping is split at the front.
    const uint64_t from = random.below(kAreas);
    const uint64_t npages = random.one_in(2)
                                ? (1 + random.below(kAreas - from)) * kArea -
                                      random.below(kArea - kUsed)
                                : 1 + random.below(kUsed);
    GuardedBitmap bitmap(npages, nullptr);
    const long result = get_bitmap(container(), area(from), bitmap);
    judge("dirty get", result, {EINVAL});
    expect(bitmap.guards_intact(), "report writes outside the bitmap");
    // 6.1 keeps the bits of mappings that begin within a word: DirtyLayout.
    if (!on_stock()) {
      expect(!bitmap.set_behind_end(), "bits behind the end of the request");
      for (uint64_t page = 0; page < npages; page++)
        if (page % kArea >= kUsed)
          expect(
              !(bitmap.data()[page / 64] >> page % 64 & 1),
              "page " + std::to_string(page) + " is never mapped, and dirty");
    }
    reports += result == 0;
  }
}

// What a mediated driver does. It pauses: 6.1 stops the machine if a mapping
// is found pinned anew ten times in a row. And where two threads unmap what is
// pinned, 6.1 comes to a deadlock (each waits for the lock that the other has,
// of the container's mappings and of its devices): there only what one thread
// alone unmaps is pinned.
void TwoCpus::pin_and_copy(Random random) {
  std::vector<uint8_t> bytes(2 * kPage, kCopied);
  while (running()) {
    long result;
    const bool pins = random.one_in(2);
    const uint64_t first = random.one_in(4) ? random.below(kUsed) : 0;
    const uint64_t of = pins && on_stock() ? kOwners - 1 : random.below(kAreas);
    const uint64_t iova = area(of) + first * kPage;
    if (pins) {
      const int npages = static_cast<int>(
          1 + random.below(std::min<uint64_t>(kUsed - first, 8)));
      result = pin(emulated, iova, npages);
      judge("pin", result, {EINVAL});
      if (result > 0) {
        pinned++;
        // ENOENT: it was unmapped, and unpinned by that.
        judge("unpin", unpin(emulated, iova, npages), {ENOENT});
      }
    } else {
      const bool write = !random.one_in(4);
      const size_t size = 1 + random.below(bytes.size());
      result = write ? dma_write(emulated, iova, bytes.data(), size)
                     : dma_read(emulated, iova, bytes.data(), size);
      if (!write) std::fill(bytes.begin(), bytes.end(), kCopied);
      judge("copy", result, {EINVAL});
      copied += result == 0;
    }
    if (result >= 0)
      std::this_thread::sleep_for(std::chrono::microseconds(random.below(300)));
  }
}

void TwoCpus::join_and_leave() {
  while (running()) {
    judge("join", set_container(other_group, container()));
    expect(!iova_ranges(container()).empty(), "no IOVAs");
    judge("leave", unset_container(other_group));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// The edu writes to where the first owner maps; where nothing is mapped, the
// IOMMU does not let it.
void TwoCpus::store() {
  Edu edu(edu_device);
  ASSERT_TRUE(edu.ok());
  FilePages source(1);
  ASSERT_TRUE(source.ok());
  memset(source.memory().data(), kStored, kPage);
  const uint64_t at = area(kAreas);
  ASSERT_OK(map_dma(container(), source.memory().data(), at, kPage));
  ASSERT_TRUE(edu.fetch(at, 0, 64));
  ASSERT_EQ(unmap_dma(container(), at, kPage).size, kPage);
  // Until it has been seen at work, too.
  while (running() || (stores == 0 && !failures))
    (edu.store(area(0), 0, 64) ? transfers : stuck)++;
}

class TwoCpusRandom : public TwoCpus,
                      public testing::WithParamInterface<uint64_t> {};

TEST_P(TwoCpusRandom, ShareAContainer) {
  const int64_t pins_before = outstanding_pins();
  const uint64_t locked_before = locked_pages();
  const uint64_t seed = GetParam() * 16;
  common.touch(1);

  end = std::chrono::steady_clock::now() + kTime;
  std::vector<std::thread> threads;
  for (int owner = 0; owner < kOwners; owner++)
    threads.emplace_back([&, owner] { own(owner, Random(seed + owner)); });
  for (uint64_t i : {4, 5})
    threads.emplace_back([&, i] { fight(Random(seed + i)); });
  threads.emplace_back([&] { track(Random(seed + 6)); });
  threads.emplace_back([&] { pin_and_copy(Random(seed + 7)); });
  threads.emplace_back([&] { join_and_leave(); });
  threads.emplace_back([&] { store(); });
  for (std::thread& thread : threads) thread.join();

  note(std::to_string(calls) + " calls, " + std::to_string(reports) +
       " reports, " + std::to_string(pinned) + " pins, " +
       std::to_string(copied) + " copies, " + std::to_string(stores) +
       " waits for the edu, " + std::to_string(transfers) +
       " of its transfers, " + std::to_string(stuck) + " stuck");
  for (const auto* count : {&reports, &pinned, &copied, &stores})
    EXPECT_TRUE(failures || *count) << "the threads did not meet";
  EXPECT_OK(unmap_dma(container(), 0, 0, VFIO_DMA_UNMAP_FLAG_ALL).result);
  EXPECT_EQ(locked_pages(), locked_before);
  EXPECT_EQ(outstanding_pins(), pins_before);
}

// Checks that F_SEAL_WRITE, by which the threads look for pins, notices one.
TEST_F(TwoCpus, ASealSeesAPin) {
  FilePages pages(3);
  ASSERT_TRUE(pages.ok());
  ASSERT_OK(map_dma(container(), pages.memory().at(kPage), kIova, kPage));
  EXPECT_ERR(EBUSY, pages.seal());
  ASSERT_EQ(unmap_dma(container(), kIova, kPage).size, kPage);
  EXPECT_OK(pages.seal());
}

INSTANTIATE_TEST_SUITE_P(Seeds, TwoCpusRandom,
                         testing::ValuesIn(random_seeds(kSeeds)),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace stack
