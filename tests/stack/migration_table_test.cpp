// SPDX-License-Identifier: GPL-2.0
//
// vfio_mig_get_next_state: the whole transition table, for each set of
// migration flags, against what linux/vfio.h says about the arcs.
#include <map>

#include "testdev.hpp"

using namespace stack;

namespace {

const char* const kNames[] = {"ERROR",     "STOP",     "RUNNING",
                              "STOP_COPY", "RESUMING", "RUNNING_P2P"};
constexpr uint32_t kStates = 6;
constexpr uint32_t kStopCopy = VFIO_MIGRATION_STOP_COPY;
constexpr uint32_t kP2p = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P;
constexpr uint32_t kEverything = ~0u;

std::string state_name(uint32_t state) {
  return state < kStates ? kNames[state] : std::to_string(state);
}

// The states that a device with these flags can be in or be sent to.
bool possible(uint32_t flags, uint32_t state) {
  if (state == VFIO_DEVICE_STATE_ERROR) return flags == kEverything;
  if (state == VFIO_DEVICE_STATE_RUNNING_P2P) return flags & VFIO_MIGRATION_P2P;
  return state < kStates;
}

// The arcs that a driver implements, by the header's text.
bool is_arc(uint32_t flags, uint32_t from, uint32_t to) {
  constexpr uint32_t stop = VFIO_DEVICE_STATE_STOP;
  constexpr uint32_t running = VFIO_DEVICE_STATE_RUNNING;
  constexpr uint32_t p2p = VFIO_DEVICE_STATE_RUNNING_P2P;
  auto both = [&](uint32_t a, uint32_t b) {
    return (from == a && to == b) || (from == b && to == a);
  };
  if (both(stop, VFIO_DEVICE_STATE_STOP_COPY)) return true;
  if (both(stop, VFIO_DEVICE_STATE_RESUMING)) return true;
  if (flags & VFIO_MIGRATION_P2P) return both(running, p2p) || both(p2p, stop);
  return both(running, stop);
}

class MigrationTable : public testing::TestWithParam<uint32_t> {
 protected:
  void SetUp() override {
    dev.emplace(TestdevOptions{.mig_flags = GetParam()});
    ASSERT_TRUE(dev->ok());
    s.emplace(std::vector<const Testdev*>{&*dev});
    ASSERT_TRUE(s->ok());
  }
  // Result of the ioctl; `next` and `ret` of the function.
  long step(uint32_t cur, uint32_t target, vfio_testdev_next_state* out) {
    *out = {};
    out->cur = cur;
    out->target = target;
    return call(s->device(), VFIO_TESTDEV_NEXT_STATE, out);
  }
  std::optional<Testdev> dev;
  std::optional<TestdevSession> s;
};

TEST_P(MigrationTable, EachPair) {
  const uint32_t flags = GetParam();
  for (uint32_t cur = 0; cur < kStates; cur++) {
    for (uint32_t target = 0; target < kStates; target++) {
      vfio_testdev_next_state ns;
      long result = step(cur, target, &ns);
      std::string pair = state_name(cur) + "_to_" + state_name(target);
      if (!possible(flags, cur)) {
        EXPECT_ERR(ERANGE, result) << pair << ": not asked of the core";
        continue;
      }
      ASSERT_OK(result) << pair;
      observe(pair, ns.ret ? errno_name(ns.ret) : state_name(ns.next));
      bool end =
          cur == VFIO_DEVICE_STATE_ERROR || target == VFIO_DEVICE_STATE_ERROR;
      if (!possible(flags, target) || end) {
        EXPECT_ERR(EINVAL, ns.ret) << pair;
        continue;
      }
      ASSERT_EQ(ns.ret, 0) << pair;
      if (cur == target) {
        EXPECT_EQ(state_name(ns.next), state_name(cur)) << pair;
      } else {
        EXPECT_TRUE(is_arc(flags, cur, ns.next))
            << pair << " steps to " << state_name(ns.next);
        EXPECT_TRUE(possible(flags, ns.next)) << pair;
      }
    }
  }
}

// Repeating the step reaches the target, on a shortest way.
TEST_P(MigrationTable, EveryWayEnds) {
  const uint32_t flags = GetParam();
  for (uint32_t cur = 1; cur < kStates; cur++) {
    for (uint32_t target = 1; target < kStates; target++) {
      if (!possible(flags, cur) || !possible(flags, target)) continue;
      std::map<uint32_t, int> distance{{cur, 0}};
      for (int i = 0; i < static_cast<int>(kStates); i++)
        for (uint32_t a = 1; a < kStates; a++)
          for (uint32_t b = 1; b < kStates; b++)
            if (distance.contains(a) && !distance.contains(b) &&
                possible(flags, b) && is_arc(flags, a, b) && distance[a] == i)
              distance[b] = i + 1;
      uint32_t state = cur;
      int steps = 0;
      std::string way = state_name(cur);
      while (state != target && steps < 6) {
        vfio_testdev_next_state ns;
        ASSERT_OK(step(state, target, &ns)) << way;
        ASSERT_EQ(ns.ret, 0) << way;
        state = ns.next;
        way += " " + state_name(state);
        steps++;
      }
      EXPECT_EQ(state_name(state), state_name(target)) << way;
      ASSERT_TRUE(distance.contains(target)) << way;
      EXPECT_EQ(steps, distance[target]) << way;
    }
  }
}

TEST_P(MigrationTable, TargetsThatAreNoState) {
  // The two states of pre-copy came in 6.2, for drivers that have it.
  const bool pre_copy = kernel_at_least(6, 2) && GetParam() == kEverything;
  for (uint32_t target : {6u, 7u, 8u, 100u, 0x80000000u, ~0u}) {
    if (pre_copy && target < 8) continue;
    vfio_testdev_next_state ns;
    ASSERT_OK(step(VFIO_DEVICE_STATE_RUNNING, target, &ns));
    EXPECT_ERR(EINVAL, ns.ret) << "target " << target;
  }
}

INSTANTIATE_TEST_SUITE_P(Flags, MigrationTable,
                         testing::Values(kStopCopy, kP2p, kEverything),
                         [](const testing::TestParamInfo<uint32_t>& info) {
                           switch (info.param) {
                             case kStopCopy:
                               return "StopCopy";
                             case kP2p:
                               return "StopCopyP2P";
                             default:
                               return "AllBits";
                           }
                         });

}  // namespace
