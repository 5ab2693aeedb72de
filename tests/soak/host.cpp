// SPDX-License-Identifier: GPL-2.0
//
// Processes: a host for each round, and the workers that it and they fork.
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "files.hpp"
#include "operate.hpp"

namespace soak {
namespace {

constexpr uint64_t kRoundMs = 10000;
constexpr uint64_t kWorkerMs = 3000;

uint64_t new_stream() { return ++shared->next_stream; }

bool over() { return shared->stop_round || shared->stop_all; }

// Counts against RLIMIT_MEMLOCK from then on.
void drop_ipc_lock() {
  rlimit limit = {4 << 20, 4 << 20};
  __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  bool done =
      !setrlimit(RLIMIT_MEMLOCK, &limit) && !syscall(SYS_capget, &head, data);
  if (done) {
    data[0].effective &= ~(1u << CAP_IPC_LOCK);
    data[0].permitted &= ~(1u << CAP_IPC_LOCK);
    data[0].inheritable &= ~(1u << CAP_IPC_LOCK);
    done = !syscall(SYS_capset, &head, data);
  }
  count("drop CAP_IPC_LOCK", done);
}

void fork_worker(Random& random) {
  std::atomic<int>& slot = shared->workers[random.below(kMaxWorkers)];
  int none = 0;
  if (!slot.compare_exchange_strong(none, -1)) return;
  uint64_t lifetime = 100 + random.below(kWorkerMs);
  pid_t pid = fork();
  if (!pid) run_worker(lifetime);
  count("fork", pid > 0);
  slot = pid > 0 ? pid : 0;
}

void exec_worker(Random& random) {
  std::string lifetime = std::to_string(100 + random.below(kWorkerMs));
  std::string fds = files.text();
  const char* argv[] = {"soak", "--worker", lifetime.c_str(), fds.c_str(),
                        nullptr};
  execv("/proc/self/exe", const_cast<char**>(argv));
  count("exec", false);
}

void work(Random& random, uint64_t end_ms, bool may_exec) {
  while (!over() && now_ms() < end_ms) {
    operate(random);
    if (random.one_in(150)) fork_worker(random);
    if (may_exec && random.one_in(150)) exec_worker(random);
    if (random.one_in(64)) usleep(1000);
  }
}

std::vector<std::thread> start_threads(unsigned n, uint64_t end_ms,
                                       bool may_exec) {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < n; i++)
    threads.emplace_back([=] {
      Random random(new_stream());
      start_clock();
      count("thread", true);
      work(random, end_ms, may_exec);
    });
  return threads;
}

// The worker's own parent reaps it, or this process when that one has gone.
void reap() {
  for (pid_t pid; (pid = waitpid(-1, nullptr, WNOHANG)) > 0;)
    for (auto& slot : shared->workers) {
      int expected = pid;
      slot.compare_exchange_strong(expected, 0);
    }
}

// Only this thread reaps, so the id is of a worker, be it a dead one.
void kill_one(Random& random) {
  int pid = shared->workers[random.below(kMaxWorkers)];
  if (pid > 0) count("kill -9", !kill(pid, SIGKILL));
}

void end_workers() {
  for (uint64_t begin = now_ms(); now_ms() - begin < 60000; usleep(5000)) {
    bool any = false;
    for (auto& slot : shared->workers) {
      int pid = slot;
      any |= pid != 0;
      if (pid > 0 && now_ms() - begin > 200) kill(pid, SIGKILL);
    }
    reap();
    // A worker that was killed between its fork and the note of it.
    if (waitpid(-1, nullptr, WNOHANG) < 0) any = false;
    if (!any) {
      for (auto& slot : shared->workers) slot = 0;
      return;
    }
  }
  failed("workers do not end");
  exit(1);
}

}  // namespace

void run_worker(uint64_t lifetime_ms) {
  start_clock();
  Random random(new_stream());
  uint64_t end_ms = now_ms() + lifetime_ms;
  if (random.one_in(4)) drop_ipc_lock();
  auto threads = start_threads(random.below(3), end_ms, true);
  work(random, end_ms, true);
  count("exit", true);
  // Its files are closed by its end, in the kernel's order, or before it.
  if (random.one_in(2)) {
    for (auto& thread : threads) thread.join();
    files.close_all(random);
  }
  _exit(0);
}

void run_host() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  Random random(new_stream());
  uint64_t end_ms = std::min(now_ms() + kRoundMs, shared->deadline_ms);
  if (!arena.create()) {
    failed("no memory to map");
    exit(1);
  }
  start_clock();
  open_session(random);
  auto threads = start_threads(2 + random.below(2), end_ms, false);
  while (now_ms() < end_ms) {
    reap();
    start_clock();
    if (random.one_in(40)) kill_one(random);
    usleep(10000);
  }
  shared->stop_round = true;
  for (auto& thread : threads) thread.join();
  end_workers();

  start_clock();
  read_through_mocks();
  close_windows();
  files.close_all(random);
  if (uint64_t kib = locked_kib())
    failed("VmLck is %lu KiB with all files closed", kib);
  exit(shared->failures ? 1 : 0);
}

}  // namespace soak
