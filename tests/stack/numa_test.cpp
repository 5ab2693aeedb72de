// SPDX-License-Identifier: GPL-2.0
//
// A guest with two NUMA nodes (vm-args.numa): pages come from the node that
// the caller of MAP_DMA asked for, however many threads pin them, and those
// threads are as the caller is. CPU n is on node n.
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = 0x100000000;
constexpr uint64_t kMiB = 1 << 20;
// So large that two threads pin it.
constexpr uint64_t kSize = 256 * kMiB;

long set_policy(int mode, unsigned long nodes) {
  return syscall(SYS_set_mempolicy, mode, nodes ? &nodes : nullptr,
                 nodes ? 8 * sizeof nodes : 0) < 0
             ? -errno
             : 0;
}

long run_on(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set) < 0 ? -errno : 0;
}

// How many pages of the memory are on each node; elsewhere counts those that
// are on neither, or not present.
struct Placement {
  uint64_t on[2] = {}, elsewhere = 0;
  std::set<int> errors;  // why some are elsewhere
};

Placement placement(const Memory& memory) {
  constexpr size_t kAtOnce = 4096;
  Placement found;
  std::vector<void*> pages(kAtOnce);
  std::vector<int> nodes(kAtOnce);
  for (size_t at = 0; at < memory.size();) {
    size_t n = 0;
    for (; n < kAtOnce && at < memory.size(); n++, at += kPage)
      pages[n] = memory.at(at);
    if (syscall(SYS_move_pages, 0, n, pages.data(), nullptr, nodes.data(), 0)) {
      found.elsewhere += n;
      found.errors.insert(-errno);
      continue;
    }
    for (size_t i = 0; i < n; i++) {
      if (nodes[i] == 0 || nodes[i] == 1) {
        found.on[nodes[i]]++;
      } else {
        found.elsewhere++;
        found.errors.insert(nodes[i]);
      }
    }
  }
  return found;
}

// Tests run in children: what they ask for is a thread's own.
struct Numa : OneDevice, testing::WithParamInterface<const char*> {
  void SetUp() override {
    OneDevice::SetUp();
    ASSERT_TRUE(exists("/sys/devices/system/node/node1"))
        << "not the machine of vm-args.numa";
  }

  // Memory that was never touched, mapped and all on one node.
  void expect_all_on(unsigned node, int advice = MADV_HUGEPAGE) {
    Memory m = Memory::aligned(kSize);
    madvise(m.data(), m.size(), advice);
    ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
    const Placement found = placement(m);
    EXPECT_EQ(found.on[node], kSize / kPage);
    EXPECT_EQ(found.on[!node], 0u) << "on the other node";
    EXPECT_EQ(found.elsewhere, 0u) << testing::PrintToString(found.errors);
    EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
  }

  // The stock module has no such parameter, and passes the same tests.
  ScopedParam workers{"vfio_iommu_type1", "pin_workers", GetParam()};
};

TEST_P(Numa, PolicyOfTheTask) {
  for (int mode : {MPOL_BIND, MPOL_PREFERRED})
    for (unsigned node : {0, 1})
      in_child([&] {
        ASSERT_OK(set_policy(mode, 1ul << node));
        expect_all_on(node);
      });
}

TEST_P(Numa, PolicyOfTheMemory) {
  for (unsigned node : {0, 1}) {
    Memory m = Memory::aligned(kSize);
    unsigned long nodes = 1ul << node;
    ASSERT_EQ(syscall(SYS_mbind, m.data(), m.size(), MPOL_BIND, &nodes,
                      8 * sizeof nodes, 0),
              0);
    ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
    EXPECT_EQ(placement(m).on[node], kSize / kPage);
    EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
  }
}

TEST_P(Numa, Affinity) {
  for (unsigned node : {0, 1})
    in_child([&] {
      ASSERT_OK(run_on(node));
      expect_all_on(node);
    });
}

// A control group of version 2 with one node's memory; the child joins it.
TEST_P(Numa, Cpuset) {
  const std::string root = "/tmp/cgroup2", group = root + "/one_node";
  mkdir(root.c_str(), 0755);
  ASSERT_EQ(mount("none", root.c_str(), "cgroup2", 0, nullptr), 0);
  ASSERT_OK(write_text(root + "/cgroup.subtree_control", "+cpuset"));
  ASSERT_EQ(mkdir(group.c_str(), 0755), 0);
  for (unsigned node : {0, 1}) {
    ASSERT_OK(write_text(group + "/cpuset.mems", std::to_string(node)));
    in_child([&] {
      ASSERT_OK(write_text(group + "/cgroup.procs", "0"));
      expect_all_on(node);
    });
  }
  EXPECT_EQ(rmdir(group.c_str()), 0);
  EXPECT_OK(write_text(root + "/cgroup.subtree_control", "-cpuset"));
  EXPECT_EQ(umount(root.c_str()), 0);
}

INSTANTIATE_TEST_SUITE_P(Of, Numa, testing::Values("0", "2"),
                         [](const auto& info) {
                           return info.param == std::string("0")
                                      ? std::string("Default")
                                      : "Param" + std::string(info.param);
                         });

// --- what the threads are ---------------------------------------------------

// A field of /proc/PID/status, as it is written there.
std::string status_field(const std::string& pid, const std::string& name) {
  std::istringstream lines(read_text("/proc/" + pid + "/status"));
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(name + ":\t", 0) == 0) return line.substr(name.size() + 2);
  return "";
}

// What a thread is scheduled and given memory by; empty once it has gone.
std::string traits_of(pid_t pid) {
  const std::string text = std::to_string(pid);
  const std::string cpus = status_field(text, "Cpus_allowed_list");
  const std::string mems = status_field(text, "Mems_allowed_list");
  errno = 0;
  const int nice = getpriority(PRIO_PROCESS, static_cast<id_t>(pid));
  const int policy = sched_getscheduler(pid);
  const long io = syscall(SYS_ioprio_get, 1 /* IOPRIO_WHO_PROCESS */, pid);
  if (errno || cpus.empty() || mems.empty() || policy < 0 || io < 0) return "";
  return "cpus " + cpus + ", mems " + mems + ", nice " + std::to_string(nice) +
         ", policy " + std::to_string(policy) + ", io " + std::to_string(io);
}

// The kernel threads that pin for a process.
std::vector<pid_t> workers_of(pid_t owner) {
  const std::string name = "vfio-pin/" + std::to_string(owner);
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc"))
    if (read_text(entry.path() / "comm") == name)
      found.push_back(std::stoi(entry.path().filename()));
  return found;
}

class NumaWorkers : public OneDevice {
 protected:
  void SetUp() override {
    OneDevice::SetUp();
    SKIP_ON_STOCK("it has no threads that pin");
  }

  // Maps memory that is not there yet, of small pages, so that it takes a
  // while, and looks who does it. The caller is the main thread. A thread is
  // what it was seen as last: it takes the caller's traits before it works.
  std::set<std::string> seen_while_mapping() {
    std::atomic<bool> done{false};
    std::map<pid_t, std::string> last;
    const pid_t self = getpid();
    std::thread watcher([&] {
      while (!done)
        for (pid_t worker : workers_of(self))
          if (const std::string traits = traits_of(worker); !traits.empty())
            last[worker] = traits;
    });
    Memory m = Memory::aligned(kSize);
    madvise(m.data(), m.size(), MADV_NOHUGEPAGE);
    EXPECT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
    done = true;
    watcher.join();
    EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
    std::set<std::string> seen;
    for (const auto& [worker, traits] : last) seen.insert(traits);
    return seen;
  }

  void expect_like_the_caller() {
    const std::set<std::string> seen = seen_while_mapping();
    EXPECT_EQ(seen, std::set<std::string>{traits_of(getpid())});
  }

  ScopedParam workers{"vfio_iommu_type1", "pin_workers", "2"};
};

TEST_F(NumaWorkers, TakeTheCallersPlaceAndPriority) {
  constexpr int kBestEffort = 2 << 13;
  for (unsigned cpu : {0, 1})
    for (int policy : {SCHED_OTHER, SCHED_BATCH})
      in_child([&] {
        sched_param none{};
        ASSERT_OK(run_on(cpu));
        ASSERT_EQ(sched_setscheduler(0, policy, &none), 0);
        ASSERT_EQ(setpriority(PRIO_PROCESS, 0, cpu ? 7 : -3), 0);
        ASSERT_EQ(syscall(SYS_ioprio_set, 1, 0, kBestEffort + 6), 0);
        expect_like_the_caller();
      });
}

// No thread pins for a caller with a memory policy, which it could not take
// over.
TEST_F(NumaWorkers, NoneForACallerWithAPolicy) {
  in_child([&] {
    ASSERT_OK(set_policy(MPOL_INTERLEAVE, 3));
    EXPECT_TRUE(seen_while_mapping().empty());
  });
}

TEST_F(NumaWorkers, NoneForARealTimeCaller) {
  in_child([&] {
    const sched_param one{1};
    ASSERT_EQ(sched_setscheduler(0, SCHED_FIFO, &one), 0);
    EXPECT_TRUE(seen_while_mapping().empty());
  });
}

// An idle thread outside of the caller's group would wait for all others.
TEST_F(NumaWorkers, NoneForAnIdleCaller) {
  in_child([&] {
    sched_param none{};
    ASSERT_EQ(sched_setscheduler(0, SCHED_IDLE, &none), 0);
    EXPECT_TRUE(seen_while_mapping().empty());
  });
}

// A caller that disks depend on: memory for it must not wait for them.
TEST_F(NumaWorkers, NoneForAnIoFlusher) {
  in_child([&] {
    ASSERT_EQ(prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0), 0);
    EXPECT_TRUE(seen_while_mapping().empty());
  });
}

TEST_F(NumaWorkers, NoneBeyondTheCallersHugetlbGroup) {
  const std::string root = "/tmp/cgroup2", group = root + "/limited";
  mkdir(root.c_str(), 0755);
  ASSERT_EQ(mount("none", root.c_str(), "cgroup2", 0, nullptr), 0);
  ASSERT_OK(write_text(root + "/cgroup.subtree_control", "+hugetlb"));
  ASSERT_EQ(mkdir(group.c_str(), 0755), 0);
  in_child([&] {
    ASSERT_OK(write_text(group + "/cgroup.procs", "0"));
    EXPECT_TRUE(seen_while_mapping().empty());
  });
  EXPECT_EQ(rmdir(group.c_str()), 0);
  EXPECT_OK(write_text(root + "/cgroup.subtree_control", "-hugetlb"));
  EXPECT_EQ(umount(root.c_str()), 0);
}

}  // namespace
}  // namespace stack
