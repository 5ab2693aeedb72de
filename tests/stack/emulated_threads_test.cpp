// SPDX-License-Identifier: GPL-2.0
//
// Threads that pin and unpin in one container at the same time, while another
// maps and unmaps: on a machine with two CPUs (STACK_VM="--smp 2 --tcg-thread
// multi") they really do.
#include <atomic>
#include <thread>

#include "testdev.hpp"

using namespace stack;

namespace {

constexpr uint64_t kIova = 0x10000000;
constexpr int kThreads = 3;
constexpr int kOwn = 48;
constexpr int kCommon = 16;

class EmulatedThreads : public OneTestdev {
 protected:
  static uint64_t own(int thread) {
    return kIova + (kCommon + thread * kOwn) * kPage;
  }

  // The same call of several threads at once; how many of them were not
  // content.
  template <typename Body>
  static int at_once(int threads, Body body) {
    std::atomic<int> bad = 0;
    std::vector<std::thread> all;
    for (int t = 0; t < threads; t++)
      all.emplace_back([&, t] {
        if (!body(t)) bad++;
      });
    for (std::thread& thread : all) thread.join();
    return bad;
  }
};

TEST_F(EmulatedThreads, PinTheirOwnAndCommonPages) {
  Memory m((kCommon + kThreads * kOwn) * kPage);
  m.touch(1);
  const uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));

  EXPECT_EQ(0, at_once(kThreads, [&](int t) {
              for (int i = 0; i < 100; i++) {
                if (pin(s->device(), own(t), kOwn) != kOwn) return false;
                if (pin(s->device(), kIova, kCommon) != kCommon) return false;
                if (unpin(s->device(), kIova, kCommon)) return false;
                if (unpin(s->device(), own(t), kOwn)) return false;
              }
              return pin(s->device(), own(t), kOwn) == kOwn &&
                     pin(s->device(), kIova, kCommon) == kCommon;
            }));
  EXPECT_EQ(locked_pages(), before + kCommon + kThreads * kOwn)
      << "common pages count once";
  std::vector<uint64_t> pfns;
  ASSERT_EQ(pin(s->device(), kIova, kCommon, kRead | kWrite, 0, &pfns),
            kCommon);
  for (size_t i = 0; i < pfns.size(); i++)
    EXPECT_EQ(pfns[i], pfn_of(m.at(i * kPage))) << "page " << i;
  EXPECT_OK(unpin(s->device(), kIova, kCommon));

  EXPECT_EQ(0, at_once(kThreads, [&](int t) {
              return !unpin(s->device(), own(t), kOwn) &&
                     !unpin(s->device(), kIova, kCommon);
            }));
  EXPECT_EQ(locked_pages(), before) << "all given back";
  EXPECT_ERR(ENOENT, unpin(s->device(), kIova, 1));
}

TEST_F(EmulatedThreads, PinWhileAnotherMapsAndUnmaps) {
  Memory m(2 * kThreads * kOwn * kPage);
  m.touch(1);
  const uint64_t before = locked_pages();
  const uint64_t half = kThreads * kOwn * kPage;
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, half));

  EXPECT_EQ(
      0, at_once(kThreads, [&](int t) {
        const uint64_t iova = kIova + t * kOwn * kPage;
        for (int i = 0; i < 100; i++) {
          if (t == 0) {
            if (map_dma(s->container(), m.at(half), kIova + half, half))
              return false;
            if (unmap_dma(s->container(), kIova + half, half).size != half)
              return false;
          } else {
            if (pin(s->device(), iova, kOwn) != kOwn) return false;
            if (unpin(s->device(), iova, kOwn)) return false;
          }
        }
        return true;
      }));
  EXPECT_EQ(locked_pages(), before);
}

}  // namespace
