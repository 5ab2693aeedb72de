// SPDX-License-Identifier: GPL-2.0
//
// Doorbells of vfio_zpci: the guest asks for refreshes in a page of its memory,
// and an eventfd is signaled, here by the test instead of KVM. What is done in
// the thread that signals, what is left to a thread of the kernel, and guests
// and VMMs that break the rules.
#include <endian.h>

#include <atomic>
#include <random>
#include <thread>

#include "nested_fixture.hpp"

namespace stack {
namespace {

long zpci_set_doorbell(int container, uint32_t fh, int eventfd, uint64_t page) {
  const vfio_zpci_doorbell request{sizeof request, 0, fh, eventfd, page};
  return call(container, VFIO_ZPCI_SET_DOORBELL, &request);
}

// What the guest does with a page.
class DoorbellPage {
 public:
  explicit DoorbellPage(uint8_t* memory)
      : page_(*reinterpret_cast<vfio_zpci_doorbell_page*>(memory)) {}

  void ask(const std::vector<vfio_zpci_range>& ranges) {
    for (size_t i = 0; i < ranges.size(); i++)
      page_.ranges[i] = {htole64(ranges[i].start), htole64(ranges[i].length)};
    ask_for(ranges.size());
  }
  void ask_for(uint64_t count) {
    const uint64_t word = ++sequence_ | count << VFIO_ZPCI_DOORBELL_COUNT_SHIFT;
    __atomic_store_n(&page_.request, htole64(word), __ATOMIC_RELEASE);
  }

  struct Answer {
    uint32_t cc, status, done;
    bool operator==(const Answer&) const = default;
  };
  // The answer to the last request, if it is there.
  std::optional<Answer> answer() const {
    const uint64_t word =
        le64toh(__atomic_load_n(&page_.completion, __ATOMIC_ACQUIRE));
    if (static_cast<uint32_t>(word) != sequence_) return std::nullopt;
    return Answer{static_cast<uint32_t>(word >> 32 & 0xff),
                  static_cast<uint32_t>(word >> 40 & 0xff),
                  static_cast<uint32_t>(word >> 48)};
  }
  std::optional<Answer> wait(int milliseconds = 10000) const {
    for (int i = 0; i < milliseconds && !answer(); i++) usleep(1000);
    return answer();
  }

 private:
  vfio_zpci_doorbell_page& page_;
  uint32_t sequence_ = 0;
};

std::ostream& operator<<(std::ostream& out, const DoorbellPage::Answer& a) {
  return out << "cc " << a.cc << ", status " << a.status << ", done " << a.done;
}

void ring(int eventfd) {
  const uint64_t one = 1;
  ASSERT_EQ(write(eventfd, &one, sizeof one), ssize_t{sizeof one});
}

using Answer = DoorbellPage::Answer;

class NestedDoorbell : public NestedTest {
 protected:
  static constexpr uint64_t kDoorbell = 0x2000;

  void SetUp() override {
    NestedTest::SetUp();
    if (HasFatalFailure()) return;
    ASSERT_OK(zpci_set_doorbell(c, kFh, event, kDoorbell));
    // The first one finds no memory set aside for those that come after it.
    ASSERT_EQ(refresh({{kIova, kPage}}), (Answer{VFIO_ZPCI_CC_OK, 0, 1}));
    before = zpci_statistics(c, kFh);
  }

  std::optional<Answer> refresh(const std::vector<vfio_zpci_range>& ranges) {
    page.ask(ranges);
    ring(event);
    return page.wait();
  }
  void expect_served(uint64_t served, uint64_t deferred) {
    const vfio_zpci_statistics now = zpci_statistics(c, kFh);
    EXPECT_EQ(now.served - before.served, served);
    EXPECT_EQ(now.deferred - before.deferred, deferred);
    before = now;
  }

  Fd event = make_eventfd();
  DoorbellPage page{memory.at(kDoorbell)};
  vfio_zpci_statistics before{};
};

INSTANTIATE_TEST_SUITE_P(Formats, NestedDoorbell,
                         testing::ValuesIn(kGuestFormats),
                         NestedTest::format_name);

TEST_P(NestedDoorbell, NewPagesAreMappedWhenTheWriteReturns) {
  tables->map(kIova, 0x5000);
  page.ask({{kIova, kPage}});
  ring(event);
  ASSERT_EQ(page.answer(), (Answer{VFIO_ZPCI_CC_OK, 0, 1})) << "at once";
  expect_served(1, 0);
  device_writes(kIova, 0x11);
  EXPECT_EQ(at(0x5000), 0x11);

  // Sixteen pages in several ranges, none of which is next to another in
  // memory.
  std::vector<vfio_zpci_range> ranges;
  for (uint64_t i = 0; i < 16; i++)
    tables->map(kIova + (i + 1) * kPage, (3 * i + 6) * kPage);
  for (uint64_t i = 0; i < 8; i++)
    ranges.push_back({kIova + (2 * i + 1) * kPage, 2 * kPage});
  page.ask(ranges);
  ring(event);
  ASSERT_EQ(page.answer(), (Answer{VFIO_ZPCI_CC_OK, 0, 8})) << "at once";
  expect_served(1, 0);
  EXPECT_EQ(zpci_statistics(c, kFh).pages, 18u) << "with that of the scratch";
  device_writes(kIova + 16 * kPage, 0x22);
  EXPECT_EQ(at((3 * 15 + 6) * kPage), 0x22);
}

TEST_P(NestedDoorbell, TheRestIsLeftToAThread) {
  const Answer done{VFIO_ZPCI_CC_OK, 0, 1};
  tables->map(kIova, 0x5000);
  ASSERT_EQ(refresh({{kIova, kPage}}), done);
  expect_served(1, 0);

  // Another frame, and none.
  tables->map(kIova, 0x9000);
  ASSERT_EQ(refresh({{kIova, kPage}}), done);
  expect_served(0, 1);
  device_writes(kIova, 0x11);
  EXPECT_EQ(at(0x9000), 0x11);
  tables->unmap(kIova);
  ASSERT_EQ(refresh({{kIova, kPage}}), done);
  expect_served(0, 1);
  device_writes(kIova, 0x22);
  EXPECT_EQ(at(0x9000), 0x11);

  // More pages than a processor can wait for.
  for (uint64_t i = 0; i < 17; i++)
    tables->map(kIova + i * kPage, (i + 5) * kPage);
  ASSERT_EQ(refresh({{kIova, 17 * kPage}}), done);
  expect_served(0, 1);
  ASSERT_EQ(refresh({{0, 1ull << 38}}), done);
  expect_served(0, 1);
  std::vector<vfio_zpci_range> ranges(VFIO_ZPCI_DOORBELL_RANGES,
                                      {kIova, kPage});
  ASSERT_EQ(refresh(ranges),
            (Answer{VFIO_ZPCI_CC_OK, 0, VFIO_ZPCI_DOORBELL_RANGES}));
  expect_served(0, 1);
  // Nothing changes, so that it needs no thread.
  ASSERT_EQ(refresh({{kIova, 16 * kPage}}), done);
  expect_served(1, 0);
}

// Pages of which the record is not kept without memory, until that which was
// set aside is used up.
TEST_P(NestedDoorbell, WhatIsSetAsideIsFilledAgain) {
  for (uint64_t i = 1; i <= 64; i++) {
    tables->map(kIova + (i << 22), 0x5000);
    ASSERT_EQ(refresh({{kIova + (i << 22), kPage}}),
              (Answer{VFIO_ZPCI_CC_OK, 0, 1}));
  }
  const vfio_zpci_statistics now = zpci_statistics(c, kFh);
  EXPECT_EQ(now.pages, 64u);
  EXPECT_GT(now.served, before.served);
  EXPECT_GT(now.deferred, before.deferred);
}

TEST_P(NestedDoorbell, Outcomes) {
  const Answer error{VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR, 0};
  const uint64_t end = 1ull << 38;
  EXPECT_EQ(refresh({}), (Answer{VFIO_ZPCI_CC_OK, 0, 0})) << "nothing";
  EXPECT_EQ(refresh({{kIova, 0}, {~0ull, 0}}), (Answer{VFIO_ZPCI_CC_OK, 0, 2}));

  EXPECT_EQ(refresh({{kIova, kPage}, {end, kPage}, {kIova, kPage}}),
            (Answer{VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR, 1}))
      << "it ends with the range that fails";
  EXPECT_EQ(refresh({{kIova, kPage}}),
            (Answer{VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_IN_ERROR, 0}));
  vfio_zpci_event told = zpci_event(c, kFh, VFIO_ZPCI_EVENT_CLEAR);
  EXPECT_EQ(told.code, unsigned{VFIO_ZPCI_EVENT_OUT_OF_RANGE});
  EXPECT_EQ(told.address, end);
  ASSERT_OK(zpci_set_state(c, kFh, VFIO_ZPCI_STATE_ENABLED));

  // The same by a range that wraps, and by an entry out of memory.
  EXPECT_EQ(refresh({{~0ull, ~0ull}}), error);
  ASSERT_OK(zpci_set_state(c, kFh, VFIO_ZPCI_STATE_ENABLED));
  tables->map(kIova, kGuestSize);
  EXPECT_EQ(refresh({{kIova, kPage}}), error);
  ASSERT_OK(zpci_set_state(c, kFh, VFIO_ZPCI_STATE_ENABLED));

  page.ask_for(VFIO_ZPCI_DOORBELL_RANGES + 1);
  ring(event);
  EXPECT_EQ(page.wait(),
            (Answer{VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_BAD_REQUEST, 0}));
  page.ask_for(~0u);
  ring(event);
  EXPECT_EQ(page.wait(),
            (Answer{VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_BAD_REQUEST, 0}));

  ASSERT_OK(zpci_deregister(c, kFh));
  EXPECT_EQ(refresh({{kIova, kPage}}), error) << "without an anchor";
  ASSERT_OK(zpci_set_state(c, kFh, VFIO_ZPCI_STATE_DISABLED));
  EXPECT_EQ(refresh({{kIova, kPage}}),
            (Answer{VFIO_ZPCI_CC_INVALID_HANDLE, 0, 0}));
}

TEST_P(NestedDoorbell, WithoutARequestNothingIsDone) {
  tables->map(kIova, 0x5000);
  for (int i = 0; i < 3; i++) ring(event);
  expect_served(0, 0);
  EXPECT_EQ(zpci_statistics(c, kFh).pages, 0u);
}

// A page that the guest does not have, or may not have written, is left alone.
TEST_P(NestedDoorbell, PagesThatCannotBeUsed) {
  Memory more(2 * kPage);
  ASSERT_OK(map_dma(c, more.data(), kGuestSize, kPage, VFIO_DMA_MAP_FLAG_READ));
  for (const uint64_t gpa :
       {kGuestSize, kGuestSize + kPage, uint64_t{1} << 60}) {
    DoorbellPage there(more.at(gpa == kGuestSize ? 0 : kPage));
    ASSERT_OK(zpci_set_doorbell(c, kFh, -1, 0));
    ASSERT_OK(zpci_set_doorbell(c, kFh, event, gpa));
    there.ask({{kIova, kPage}});
    ring(event);
    EXPECT_EQ(there.wait(50), std::nullopt);
    EXPECT_EQ(zpci_statistics(c, kFh).served, 0u);
    EXPECT_EQ(zpci_statistics(c, kFh).deferred, 0u);
  }
  // It comes, and goes again.
  DoorbellPage there(more.at(kPage));
  ASSERT_OK(zpci_set_doorbell(c, kFh, -1, 0));
  ASSERT_OK(zpci_set_doorbell(c, kFh, event, kGuestSize + kPage));
  ASSERT_OK(map_dma(c, more.at(kPage), kGuestSize + kPage, kPage));
  there.ask({{kIova, kPage}});
  ring(event);
  EXPECT_EQ(there.wait(), (Answer{VFIO_ZPCI_CC_OK, 0, 1}));
  ASSERT_EQ(unmap_dma(c, kGuestSize + kPage, kPage).size, kPage);
  there.ask({{kIova, kPage}});
  ring(event);
  EXPECT_EQ(there.wait(50), std::nullopt);
}

TEST_P(NestedDoorbell, Binding) {
  Fd other = make_eventfd();
  EXPECT_ERR(EBUSY, zpci_set_doorbell(c, kFh, other, kDoorbell));
  EXPECT_ERR(ENOENT, zpci_set_doorbell(c, kFh + 1, other, kDoorbell));
  EXPECT_ERR(ENOENT, zpci_set_doorbell(c, kFh + 1, -1, 0));
  ASSERT_OK(zpci_set_doorbell(c, kFh, -1, 0));
  EXPECT_ERR(EINVAL, zpci_set_doorbell(c, kFh, -1, 0));
  EXPECT_ERR(EINVAL, zpci_set_doorbell(c, kFh, -2, kDoorbell));
  EXPECT_ERR(EINVAL, zpci_set_doorbell(c, kFh, event, kDoorbell + 8));
  EXPECT_ERR(EBADF, zpci_set_doorbell(c, kFh, 9999, kDoorbell));
  EXPECT_ERR(EINVAL, zpci_set_doorbell(c, kFh, c, kDoorbell)) << "no eventfd";
  vfio_zpci_doorbell request{sizeof request, 1, kFh, event, kDoorbell};
  EXPECT_ERR(EINVAL, call(c, VFIO_ZPCI_SET_DOORBELL, &request));
  request = {sizeof request - 1, 0, kFh, event, kDoorbell};
  EXPECT_ERR(EINVAL, call(c, VFIO_ZPCI_SET_DOORBELL, &request));

  // A signal from before counts.
  page.ask({{kIova, kPage}});
  ring(other);
  EXPECT_EQ(page.wait(50), std::nullopt);
  ASSERT_OK(zpci_set_doorbell(c, kFh, other, kDoorbell));
  EXPECT_EQ(page.wait(), (Answer{VFIO_ZPCI_CC_OK, 0, 1}));
  page.ask({{kIova, kPage}});
  ring(event);
  EXPECT_EQ(page.wait(50), std::nullopt) << "it is another's";

  // A function that is forgotten has no doorbell.
  ASSERT_OK(zpci_deregister(c, kFh, VFIO_ZPCI_DEREGISTER_FORGET));
  ring(other);
  EXPECT_EQ(page.wait(50), std::nullopt);
  ASSERT_OK(zpci_register(c, kFh, s.group(), *tables));
  EXPECT_ERR(EINVAL, zpci_set_doorbell(c, kFh, -1, 0));
  ASSERT_OK(zpci_set_doorbell(c, kFh, event, kDoorbell));
  EXPECT_EQ(refresh({{kIova, kPage}}), (Answer{VFIO_ZPCI_CC_OK, 0, 1}));
}

TEST_P(NestedDoorbell, AnEventfdThatIsClosed) {
  page.ask({{kIova, kPage}});
  event.reset();
  EXPECT_EQ(page.wait(50), std::nullopt);
  EXPECT_ERR(EBUSY, zpci_set_doorbell(c, kFh, make_eventfd(), kDoorbell));
  ASSERT_OK(zpci_set_doorbell(c, kFh, -1, 0));
  event = make_eventfd();
  ASSERT_OK(zpci_set_doorbell(c, kFh, event, kDoorbell));
  EXPECT_EQ(refresh({{kIova, kPage}}), (Answer{VFIO_ZPCI_CC_OK, 0, 1}));
}

// One eventfd rings for two functions; each has a page.
TEST_P(NestedDoorbell, AnEventfdForTwo) {
  DoorbellPage second(memory.at(kDoorbell + kPage));
  ASSERT_OK(zpci_register(c, kFh + 1, s.group(), *tables));
  ASSERT_OK(zpci_set_doorbell(c, kFh + 1, event, kDoorbell + kPage));
  tables->map(kIova, 0x5000);
  tables->map(kIova + kPage, 0x6000);
  page.ask({{kIova, kPage}});
  second.ask({{kIova + kPage, kPage}});
  ring(event);
  EXPECT_EQ(page.wait(), (Answer{VFIO_ZPCI_CC_OK, 0, 1}));
  EXPECT_EQ(second.wait(), (Answer{VFIO_ZPCI_CC_OK, 0, 1}));
  EXPECT_EQ(zpci_statistics(c, kFh).pages, 2u);
}

// The interrupt of a device signals the same eventfd: nothing is refreshed
// inside the interrupt.
TEST_P(NestedDoorbell, AnInterruptRings) {
  ASSERT_OK(set_irq_eventfd(s.device(), VFIO_PCI_MSI_IRQ_INDEX, event));
  tables->map(kIova, 0x5000);
  page.ask({{kIova, kPage}});
  edu->raise(1);
  EXPECT_EQ(page.wait(), (Answer{VFIO_ZPCI_CC_OK, 0, 1}));
  edu->ack(1);
  expect_served(0, 1);
  ASSERT_OK(disable_irqs(s.device(), VFIO_PCI_MSI_IRQ_INDEX));
}

// A guest that rings for a large range all the time: its container is closed
// all the same, and its process can be killed.
TEST_P(NestedDoorbell, GoesWhileItIsServed) {
  for (uint64_t i = 0; i < 512; i++)
    tables->map(kIova + i * kPage, (i + 16) * kPage);
  const std::vector<vfio_zpci_range> all(VFIO_ZPCI_DOORBELL_RANGES,
                                         {0, 1ull << 38});
  page.ask(all);
  ring(event);
  ASSERT_OK(zpci_set_doorbell(c, kFh, -1, 0));
  ASSERT_OK(zpci_set_doorbell(c, kFh, event, kDoorbell));
  ring(event);
  ASSERT_OK(zpci_deregister(c, kFh, VFIO_ZPCI_DEREGISTER_FORGET));
  ASSERT_OK(zpci_register(c, kFh, s.group(), *tables));
  ASSERT_OK(zpci_set_doorbell(c, kFh, event, kDoorbell));
  ring(event);
  edu.reset();
  s = Session();

  Child child([&](Child&) {
    Session own({lone_devices()[0]}, VFIO_ZPCI_IOMMU);
    ASSERT_TRUE(own.ok());
    ASSERT_OK(map_dma(own.container(), memory.data(), 0, memory.size()));
    ASSERT_OK(zpci_register(own.container(), kFh, own.group(), *tables));
    ASSERT_OK(zpci_set_doorbell(own.container(), kFh, event, kDoorbell));
    page.ask(all);
    ring(event);
    raise(SIGKILL);
  });
  child.wait(SIGKILL);
  s = Session({lone_devices()[0]}, VFIO_ZPCI_IOMMU);
  ASSERT_TRUE(s.ok());
}

// A guest that writes its page and its tables as it likes while it rings, and a
// VMM that changes all it can meanwhile. What counts is that the kernel is
// sound afterwards: main.cpp looks at pins and memory, and the debug kernel at
// the rest.
TEST_P(NestedDoorbell, AnythingAtOnce) {
  constexpr int kSteps = 400;
  const uint64_t half = kGuestSize / 2;
  std::atomic<bool> stop{false};
  ASSERT_EQ(unmap_dma(c, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL).size, kGuestSize);
  ASSERT_OK(map_dma(c, memory.data(), 0, half));
  ASSERT_OK(map_dma(c, memory.at(half), half, half));

  std::thread guest([&] {
    std::mt19937_64 random(1);
    auto* words = reinterpret_cast<uint64_t*>(memory.at(kDoorbell));
    while (!stop) {
      const uint64_t page_number = random() % 600;
      const uint64_t iova = kIova + page_number * kPage;
      if (random() % 3)
        tables->map(iova, random() % (kGuestSize / kPage + 4) * kPage);
      else
        tables->unmap(iova);
      switch (random() % 8) {
        case 0:
          words[random() % 512] = random();
          break;
        case 1:
          page.ask({{iova, random() % 64 * kPage}, {0, 1ull << 32}});
          break;
        default:
          page.ask({{iova, kPage}});
          break;
      }
      ring(event);
      if (random() % 16 == 0) sched_yield();
    }
  });
  std::mt19937_64 random(2);
  for (int i = 0; i < kSteps; i++) {
    switch (random() % 6) {
      case 0:
        EXPECT_EQ(unmap_dma(c, half, half).size, half);
        EXPECT_OK(map_dma(c, memory.at(half), half, half));
        break;
      case 1:
        (void)zpci_refresh(c, kFh, kIova, 600 * kPage);
        break;
      case 2:
        EXPECT_OK(zpci_set_doorbell(c, kFh, -1, 0));
        EXPECT_OK(zpci_set_doorbell(c, kFh, event, kDoorbell));
        break;
      case 3:
        EXPECT_OK(zpci_deregister(c, kFh, VFIO_ZPCI_DEREGISTER_FORGET));
        EXPECT_OK(zpci_register(c, kFh, s.group(), *tables));
        EXPECT_OK(zpci_set_doorbell(c, kFh, event, kDoorbell));
        break;
      default:
        EXPECT_OK(zpci_set_state(c, kFh, VFIO_ZPCI_STATE_ENABLED));
        usleep(100);
        break;
    }
  }
  stop = true;
  guest.join();

  // With another guest all is well again.
  ASSERT_OK(zpci_set_state(c, kFh, VFIO_ZPCI_STATE_ENABLED));
  tables = std::make_unique<GuestTables>(memory.data(), GetParam(), half);
  ASSERT_OK(zpci_deregister(c, kFh));
  ASSERT_OK(zpci_register(c, kFh, s.group(), *tables));
  tables->map(kIova, 0x5000);
  memset(memory.at(kDoorbell), 0, kPage);
  EXPECT_EQ(refresh({{kIova, kPage}}), (Answer{VFIO_ZPCI_CC_OK, 0, 1}));
  device_writes(kIova, 0x11);
  EXPECT_EQ(at(0x5000), 0x11);
}

}  // namespace
}  // namespace stack
