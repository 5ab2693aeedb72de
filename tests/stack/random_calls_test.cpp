// SPDX-License-Identifier: GPL-2.0
//
// Random calls on one container, one after the other: each result, what is
// charged after it, each bitmap and what devices read are observed, so that
// our modules and the distribution's must agree on all of them. The process is
// an ordinary user's with a limit of locked memory.
//
// The test keeps away from what stock 6.1 is known to have wrong (see
// stock-differs), by what it asks for: no range reaches the last address,
// and what is asked for dirty pages begins, as each mapping there does, at a
// multiple of 64 pages, because 6.1 keeps the bits of a mapping that begins in
// the middle of a bitmap's word. Addresses that are given back are those of
// the same memory.
//
// The steps of one seed:  tests/stack/run-vm ours 'Seeds/RandomCalls*'
// --random-seed=3, and the same with stock.
#include "random_calls.hpp"

#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <map>

#include "testdev.hpp"

namespace stack {
namespace {

constexpr uint64_t kSeeds = 8;
constexpr uint64_t kSteps = 300;
constexpr uint64_t kChunk = 25;   // steps that are observed together
constexpr uint64_t kLimit = 220;  // pages that may be locked

// Where mappings lie: in slots of 64 pages, for dirty bitmaps; at any page of
// an area; and at the edges of the valid IOVAs (x86's interrupt window, and the
// end of the aperture of QEMU's VT-d).
constexpr uint64_t kSlots = kFirstIova + 0x10000000, kSlotCount = 6, kSlot = 64;
constexpr uint64_t kDense = kFirstIova + 0x20000000, kDensePages = 40;
// None lies behind the aperture: 6.1 would let a group join, and fail later.
constexpr uint64_t kEdges[] = {0, 0xfee00000 - 4 * kPage,
                               0xfef00000 - 2 * kPage,
                               (1ull << 39) - 20 * kPage};

// The user's memory, in pages.
constexpr uint64_t kPlain = 320;         // private, written
constexpr uint64_t kHole = kPlain + 16;  // not accessible
constexpr uint64_t kReadOnly = kHole + 16;
constexpr uint64_t kShared = kReadOnly + 160;  // of a memfd

struct Seed {
  uint64_t value;
  bool v2() const { return value % 4 != 3; }
  bool hardware_first() const { return value % 2; }
};

class World {
 public:
  World(Seed seed, int container)
      : seed_(seed), random_(seed.value), container_(container) {}

  void add_group(Fd& group, std::string name) {
    members_.push_back({&group, std::move(name), false, Fd()});
  }
  void run();

 private:
  struct Member {
    Fd* group;
    std::string name;  // of the device that is opened; "" for none
    bool attached;
    Fd device;
  };
  struct Mapping {
    uint64_t npages, page;
    uint64_t end(uint64_t iova) const { return iova + npages * kPage; }
  };

  void make_memory();
  bool attach(Member& member);
  void step();
  void map_step();
  void unmap_step();
  void vaddr_step();
  void dirty_step();
  void group_step();
  void device_step();
  void info_step();
  void do_unmap(uint64_t iova, uint64_t size, uint32_t flags);
  void forget(uint64_t first, uint64_t size);
  // Returns IOVA and pages of a range, most often of a mapping.
  std::pair<uint64_t, uint64_t> any_range();
  std::pair<uint64_t, uint64_t> slot_range();
  void see_bitmap(const GuardedBitmap& bitmap);

  // What is observed of a step.
  void say(const char* what) { line_ += what; }
  void say(uint64_t value) { line_ += " " + std::to_string(value); }
  void say_result(long result) {
    line_ +=
        result < 0 ? " " + errno_name(result) : " = " + std::to_string(result);
    good_ += result >= 0;
  }
  void end_step(uint64_t number);

  Seed seed_;
  Random random_;
  const int container_;
  std::vector<Member> members_;
  Memory memory_;
  std::map<uint64_t, Mapping> mappings_;  // by IOVA: what was mapped
  std::string line_;
  uint64_t hash_ = 0xcbf29ce484222325;
  uint64_t good_ = 0;
};

void World::make_memory() {
  memory_ = Memory(kShared * kPage);
  ASSERT_TRUE(memory_.ok());
  for (uint64_t page = 0; page < kReadOnly; page++)
    if (page < kPlain || page >= kHole)
      memset(memory_.at(page * kPage), static_cast<int>(page), kPage);
  ASSERT_OK(mprotect(memory_.at(kPlain * kPage), (kHole - kPlain) * kPage,
                     PROT_NONE));
  ASSERT_OK(mprotect(memory_.at(kHole * kPage), (kReadOnly - kHole) * kPage,
                     PROT_READ));
  const Fd file = make_memfd((kShared - kReadOnly) * kPage);
  ASSERT_OK(file.get());
  ASSERT_NE(MAP_FAILED,
            mmap(memory_.at(kReadOnly * kPage), (kShared - kReadOnly) * kPage,
                 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0));
}

bool World::attach(Member& member) {
  const long result = set_container(*member.group, container_);
  say_result(result);
  member.attached = result == 0;
  return member.attached;
}

std::pair<uint64_t, uint64_t> World::any_range() {
  if (!mappings_.empty() && !random_.one_in(4)) {
    auto at = mappings_.begin();
    std::advance(at, random_.below(mappings_.size()));
    return {at->first, at->second.npages};
  }
  if (random_.one_in(2)) return slot_range();
  return {kDense + random_.below(kDensePages) * kPage, 1 + random_.below(8)};
}

// Begins at a slot; ends where the mapping there does, or anywhere.
std::pair<uint64_t, uint64_t> World::slot_range() {
  const uint64_t slot = random_.below(kSlotCount);
  const uint64_t iova = kSlots + slot * kSlot * kPage;
  const auto at = mappings_.find(iova);
  if (at != mappings_.end() && random_.one_in(3))
    return {iova, at->second.npages};
  if (random_.one_in(4)) return {iova, 1 + random_.below(kSlot)};
  return {iova, (1 + random_.below(kSlotCount - slot)) * kSlot};
}

void World::map_step() {
  uint64_t iova, npages = 1 + random_.below(12);
  switch (random_.below(8)) {
    case 0:
      iova = kEdges[random_.below(4)] + random_.below(6) * kPage;
      break;
    case 1:
    case 2:
    case 3:
      iova = kDense + random_.below(kDensePages) * kPage;
      break;
    default:
      iova = kSlots + random_.below(kSlotCount) * kSlot * kPage;
      if (random_.one_in(3)) npages = 1 + random_.below(kSlot);
  }
  const uint64_t page = random_.below(kShared - npages);
  uint64_t size = npages * kPage;
  uint32_t flags = 1 + static_cast<uint32_t>(random_.below(3));
  uint8_t* uva = memory_.at(page * kPage);
  say("map"), say(iova), say(npages), say(page);
  if (random_.one_in(12)) {
    switch (random_.below(6)) {
      case 0:
        size = 0;
        break;
      case 1:
        size += 512;
        break;
      case 2:
        iova += 2048;
        break;
      case 3:
        uva += 1;
        break;
      case 4:
        flags = static_cast<uint32_t>(random_.below(2)) * 8;
        break;
      default:
        flags |= VFIO_DMA_MAP_FLAG_VADDR;
    }
    say(size), say(iova);
  }
  say(flags);
  const long result = map_dma(container_, uva, iova, size, flags);
  say_result(result);
  if (result == 0) mappings_[iova] = {npages, page};
}

void World::forget(uint64_t first, uint64_t size) {
  for (auto at = mappings_.begin(); at != mappings_.end();)
    if (at->first >= first && at->first - first < size)
      at = mappings_.erase(at);
    else
      ++at;
}

void World::do_unmap(uint64_t iova, uint64_t size, uint32_t flags) {
  say("unmap"), say(iova), say(size), say(flags);
  const Unmapped u = unmap_dma(container_, iova, size, flags);
  say_result(u.result);
  if (u.result) return;
  say(u.size);
  if (flags & VFIO_DMA_UNMAP_FLAG_VADDR) return;
  if (flags & VFIO_DMA_UNMAP_FLAG_ALL)
    mappings_.clear();
  else if (u.size)
    forget(iova, size);
}

void World::unmap_step() {
  auto [iova, npages] = any_range();
  uint64_t size = npages * kPage;
  uint32_t flags = 0;
  switch (random_.below(14)) {
    case 0:  // a page more or less
      size += kPage - 2 * kPage * random_.below(2);
      break;
    case 1:
      iova += kPage;
      break;
    case 2:
      iova = random_.one_in(2) ? kSlots : kDense;
      size = kSlotCount * kSlot * kPage;
      break;
    case 3:
      flags = static_cast<uint32_t>(random_.below(16));
      if (flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)
        flags &= ~VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
      break;
    case 4:
      if (random_.one_in(3)) {
        flags = VFIO_DMA_UNMAP_FLAG_ALL;
        iova = size = 0;
      }
      break;
    case 5:
      (random_.one_in(2) ? iova : size) += 2048;
      break;
    case 6:
    case 7:
    case 8: {
      auto [first, pages] = slot_range();
      GuardedBitmap bitmap(pages, &random_);
      say("unmap bitmap"), say(first), say(pages);
      const Unmapped u = unmap_bitmap(container_, first, bitmap,
                                      random_.one_in(9) ? 512 : kPage);
      say_result(u.result);
      see_bitmap(bitmap);
      if (u.result) return;
      say(u.size);
      forget(first, pages * kPage);
      return;
    }
  }
  do_unmap(iova, size, flags);
}

// Suspends addresses, or gives back those of some mapping.
void World::vaddr_step() {
  const auto [iova, npages] = any_range();
  if (random_.one_in(3)) {
    const bool all = random_.one_in(4);
    do_unmap(all ? 0 : iova, all ? 0 : npages * kPage,
             VFIO_DMA_UNMAP_FLAG_VADDR | (all ? VFIO_DMA_UNMAP_FLAG_ALL : 0));
    return;
  }
  const auto at = mappings_.find(iova);
  const uint64_t page = at == mappings_.end() ? 0 : at->second.page;
  say("give vaddr"), say(iova), say(npages);
  say_result(map_dma(container_, memory_.at(page * kPage), iova, npages * kPage,
                     VFIO_DMA_MAP_FLAG_VADDR));
}

// FNV-1a of all words.
void World::see_bitmap(const GuardedBitmap& bitmap) {
  EXPECT_TRUE(bitmap.guards_intact()) << line_;
  uint64_t hash = 0xcbf29ce484222325;
  for (uint64_t i = 0; i < bitmap.bytes() / 8; i++)
    hash = (hash ^ bitmap.data()[i]) * 0x100000001b3;
  say(hash);
}

void World::dirty_step() {
  switch (random_.below(8)) {
    case 0:
      say("dirty start");
      say_result(dirty_start(container_));
      break;
    case 1:
      if (!random_.one_in(3)) return;
      say("dirty stop");
      say_result(dirty_stop(container_));
      break;
    default: {
      auto [iova, npages] = slot_range();
      GuardedBitmap bitmap(npages, &random_);
      uint64_t pgsize = kPage, bytes = bitmap.bytes();
      if (random_.one_in(10)) pgsize = kPage << random_.below(3);
      if (random_.one_in(10)) bytes -= 8;
      say("dirty get"), say(iova), say(npages), say(pgsize), say(bytes);
      say_result(get_bitmap(container_, iova, bitmap, pgsize, bytes));
      see_bitmap(bitmap);
    }
  }
}

// A group joins or leaves; not the first, which keeps the container's IOMMU.
void World::group_step() {
  Member& member = members_[1 + random_.below(members_.size() - 1)];
  if (!member.attached) {
    say("attach"), say(static_cast<uint64_t>(&member - members_.data()));
    if (attach(member) && !member.name.empty()) {
      member.device = get_device(*member.group, member.name);
      EXPECT_OK(member.device.get());
    }
  } else if (random_.one_in(2)) {
    say("detach"), say(static_cast<uint64_t>(&member - members_.data()));
    member.device.reset();
    const long result = unset_container(*member.group);
    say_result(result);
    member.attached = result != 0;
  }
}

void World::device_step() {
  const auto device =
      std::find_if(members_.begin(), members_.end(),
                   [](const Member& m) { return m.device.valid(); });
  if (device == members_.end()) return;
  auto [iova, npages] = any_range();
  iova += random_.below(npages) * kPage;
  const uint32_t flags = random_.one_in(4) ? VFIO_TESTDEV_KTHREAD : 0;
  switch (random_.below(4)) {
    case 0: {
      const int n = static_cast<int>(1 + random_.below(3));
      say("unpin"), say(iova), say(static_cast<uint64_t>(n));
      say_result(unpin(device->device, iova, n, flags));
      break;
    }
    case 1: {
      uint8_t bytes[3 * kPage];
      const uint64_t offset = random_.below(kPage);
      const size_t size =
          1 + random_.below(random_.one_in(2) ? 64 : sizeof bytes);
      const bool write = random_.one_in(2);
      memset(bytes, static_cast<int>(random_.below(256)), sizeof bytes);
      say(write ? "write" : "read"), say(iova + offset), say(size);
      const long result =
          write ? dma_write(device->device, iova + offset, bytes, size, flags)
                : dma_read(device->device, iova + offset, bytes, size, flags);
      say_result(result);
      uint64_t hash = 0;
      for (size_t i = 0; i < size; i++) hash = hash * 31 + bytes[i];
      if (result >= 0) say(hash);
      break;
    }
    default: {
      const int n =
          static_cast<int>(random_.one_in(12) ? 500 + random_.below(20)
                                              : 1 + random_.below(npages));
      const uint32_t prot = 1 + static_cast<uint32_t>(random_.below(3));
      say("pin"), say(iova), say(static_cast<uint64_t>(n)), say(prot);
      const long result = pin(device->device, iova, n, prot, flags);
      say_result(result);
      // 6.1 reports what it had pinned before such a call failed as dirty:
      // these reports are not looked at.
      GuardedBitmap all(kSlotCount * kSlot, nullptr);
      if (result < 0) get_bitmap(container_, kSlots, all);
    }
  }
}

void World::info_step() {
  say("info"), say(dma_avail(container_));
  for (const IovaRange& range : iova_ranges(container_))
    say(range.first), say(range.last);
  for (unsigned long extension : {VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL,
                                  VFIO_UPDATE_VADDR, VFIO_DMA_CC_IOMMU})
    say_result(call(container_, VFIO_CHECK_EXTENSION, extension));
}

void World::step() {
  switch (random_.below(20)) {
    case 0 ... 5:
      map_step();
      break;
    case 6 ... 8:
      unmap_step();
      break;
    case 9 ... 10:
      vaddr_step();
      break;
    case 11 ... 13:
      dirty_step();
      break;
    case 14:
      group_step();
      break;
    case 15:
      if (random_.one_in(3)) info_step();
      break;
    default:
      device_step();
  }
}

void World::end_step(uint64_t number) {
  say("; locked"), say(locked_pages());
  for (char c : line_)
    hash_ = (hash_ ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  char key[32];
  snprintf(key, sizeof key, "step_%05lu", number);
  if (random_options.print_steps())
    observe(key, line_);
  else if ((number + 1) % kChunk == 0)
    observe(key, hash_);
  line_.clear();
}

void World::run() {
  make_memory();
  if (testing::Test::HasFatalFailure()) return;
  const uint64_t steps = random_options.steps.value_or(kSteps);

  // The first has the IOMMU set, and is never taken away.
  if (!seed_.hardware_first()) std::swap(members_.front(), members_.back());
  Member& first = members_.front();
  ASSERT_TRUE(attach(first));
  ASSERT_OK(set_iommu(container_,
                      seed_.v2() ? VFIO_TYPE1v2_IOMMU : VFIO_TYPE1_IOMMU));
  if (!first.name.empty()) {
    first.device = get_device(*first.group, first.name);
    ASSERT_OK(first.device.get());
  }
  line_.clear();
  good_ = 0;

  for (uint64_t i = 0; i < steps && !testing::Test::HasFailure(); i++) {
    step();
    end_step(i);
  }
  EXPECT_GT(good_, steps / 8) << "too few calls succeeded to say anything";
  observe("succeeded", good_);

  for (Member& member : members_) {
    member.device.reset();
    if (member.attached && &member != &first) {
      EXPECT_OK(unset_container(*member.group));
    }
  }
  EXPECT_OK(unmap_dma(container_, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL).result);
  EXPECT_EQ(locked_pages(), 0u);
}

class RandomCalls : public testing::TestWithParam<uint64_t> {};

TEST_P(RandomCalls, SameResults) {
  REQUIRE_DEVICES(2);
  const Seed seed{GetParam()};
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  Fd edu0 = open_group(lone_devices()[0]), edu1 = open_group(lone_devices()[1]);
  Fd emulated = open_path(dev.node());
  Fd container = open_container();
  ASSERT_OK(edu0.get());
  ASSERT_OK(edu1.get());
  ASSERT_OK(emulated.get());
  ASSERT_OK(container.get());

  ChildOptions user;
  user.drop_user = true;
  user.memlock = kLimit * kPage;
  in_child(
      [&] {
        World world(seed, container);
        world.add_group(edu0, "");
        world.add_group(edu1, "");
        world.add_group(emulated, dev.name());
        world.run();
      },
      user);
}

std::string seed_name(const testing::TestParamInfo<uint64_t>& info) {
  return std::to_string(info.param);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomCalls,
                         testing::ValuesIn(random_seeds(kSeeds)), seed_name);

}  // namespace
}  // namespace stack
