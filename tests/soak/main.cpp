// SPDX-License-Identifier: GPL-2.0
//
// The supervisor, and what all processes share. Prints TAP.
//   soak SEED SECONDS
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cinttypes>
#include <fstream>
#include <sstream>

#include "../../kunit/mock_iommu/vfio_mock.h"
#include "files.hpp"
#include "soak.hpp"

namespace soak {

Shared* shared;

namespace {

constexpr uint64_t kStuckMs = 120000;
constexpr uint64_t kProgressMs = 10000;
// In a run of that length each kind of operation must have succeeded.
constexpr uint64_t kLongSeconds = 60;

uint64_t begin_ms, rounds;

void show_progress() {
  static uint64_t shown_ms = begin_ms;
  if (now_ms() - shown_ms < kProgressMs) return;
  shown_ms = now_ms();
  print_progress((shown_ms - begin_ms) / 1000, rounds);
}

bool map_shared() {
  void* p = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED,
                 kSharedFd, 0);
  if (p == MAP_FAILED) return false;
  shared = static_cast<Shared*>(p);
  return true;
}

bool create_shared() {
  int fd = memfd_create("soak", 0);
  return fd >= 0 && dup2(fd, kSharedFd) == kSharedFd && !close(fd) &&
         !ftruncate(kSharedFd, sizeof(Shared)) && map_shared();
}

// Where each thread of the machine is, for a hang.
void print_stacks() {
  DIR* proc = opendir("/proc");
  while (dirent* entry = proc ? readdir(proc) : nullptr) {
    std::string pid = entry->d_name;
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    if (read_text("/proc/" + pid + "/comm") != "soak\n") continue;
    std::string tasks = "/proc/" + pid + "/task";
    DIR* dir = opendir(tasks.c_str());
    while (dirent* task = dir ? readdir(dir) : nullptr) {
      if (task->d_name[0] == '.') continue;
      printf("# thread %s of %s\n", task->d_name, pid.c_str());
      std::istringstream stack(
          read_text(tasks + "/" + task->d_name + "/stack"));
      for (std::string line; std::getline(stack, line);)
        printf("#   %s\n", line.c_str());
    }
    if (dir) closedir(dir);
  }
  if (proc) closedir(proc);
}

// False if it did not end in time.
bool wait_for(pid_t pid, const char* what, uint64_t limit_ms) {
  int status;
  for (uint64_t end = now_ms() + limit_ms;
       waitpid(pid, &status, WNOHANG) == 0;) {
    if (now_ms() > end) {
      failed("%s does not end", what);
      print_stacks();
      return false;
    }
    show_progress();
    usleep(10000);
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status))
    failed("%s ended with wait status %#x", what, status);
  return true;
}

int64_t vmstat(const char* name) {
  std::ifstream in("/proc/vmstat");
  std::string key;
  int64_t value;
  while (in >> key >> value)
    if (key == name) return value;
  failed("/proc/vmstat has no %s", name);
  return 0;
}

void check_pins() {
  int64_t acquired = 0, released = 0;
  // The last files of a killed process may be closed a moment after it.
  for (int i = 0; i < 50; i++) {
    write_text("/proc/sys/vm/stat_refresh", "1");
    acquired = vmstat("nr_foll_pin_acquired");
    released = vmstat("nr_foll_pin_released");
    if (acquired == released) break;
    usleep(100000);
  }
  printf("# pins: %" PRId64 " acquired, %" PRId64 " released\n", acquired,
         released);
  if (acquired != released) failed("pins are left");
  if (!acquired) failed("nothing was ever pinned");
}

void check_mocks(bool each_must_succeed) {
  int fd = open("/dev/vfio_mock", O_RDWR | O_CLOEXEC);
  for (unsigned i = 0; i < VFIO_MOCK_IOMMUS; i++) {
    vfio_mock_counts c{};
    c.iommu = i;
    if (ioctl(fd, VFIO_MOCK_COUNTS, &c)) {
      failed("VFIO_MOCK_COUNTS: %s", strerror(errno));
      break;
    }
    printf("# mock %u: maps %llu, unmaps %llu, flushes %llu, attaches %llu\n",
           i, c.map_calls, c.unmap_calls, c.flushes, c.attaches);
    if (c.domains || c.ptes || c.stale || c.freed_mapped || c.violations)
      failed(
          "mock %u: domains %llu, ptes %llu, stale %llu, freed mapped %llu, "
          "violations %llu",
          i, c.domains, c.ptes, c.stale, c.freed_mapped, c.violations);
    if (!c.map_calls && each_must_succeed)
      failed("nothing was ever mapped on mock %u", i);
  }
  close(fd);
}

int supervise(uint64_t seed, uint64_t seconds) {
  if (!create_shared()) {
    printf("Bail out! no shared memory\n");
    return 1;
  }
  const bool is_long = seconds >= kLongSeconds;
  begin_ms = now_ms();
  shared->seed = seed;
  shared->deadline_ms = begin_ms + seconds * 1000;
  shared->wanted = -1;
  printf("TAP version 13\n1..1\n# seed %" PRIu64 ", %" PRIu64 " s\n", seed,
         seconds);
  start_clock();
  make_targets();
  fflush(stdout);

  pid_t churn = fork();
  if (!churn) run_churn();
  pid_t schedulers = fork();
  if (!schedulers) run_schedulers();
  bool ended = true;
  while (ended && now_ms() < shared->deadline_ms && !shared->failures) {
    rounds++;
    shared->stop_round = false;
    pid_t host = fork();
    if (!host) run_host();
    ended = wait_for(host, "a round", kStuckMs);
  }
  shared->stop_all = true;
  if (ended && wait_for(churn, "the churn", kStuckMs) &&
      wait_for(schedulers, "a scheduler", kStuckMs)) {
    start_clock();
    remove_emulated();
    check_pins();
    check_mocks(is_long);
  }
  uint64_t operations = print_table(is_long);
  printf("# %" PRIu64 " rounds in %" PRIu64 " s\n", rounds,
         (now_ms() - begin_ms) / 1000);
  printf("%sok 1 - soak seed %" PRIu64 ", %" PRIu64 " operations\n",
         shared->failures ? "not " : "", seed, operations);
  return shared->failures ? 1 : 0;
}

}  // namespace

Random::Random(uint64_t stream)
    : state_(shared->seed + stream * 0x9e3779b97f4a7c15) {
  next();
}

// splitmix64: any state is as good as another.
uint64_t Random::next() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

uint64_t now_us() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000 +
         static_cast<uint64_t>(t.tv_nsec) / 1000;
}

void failed(const char* format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  shared->failures++;
  printf("# FAILED: %s\n", text);
  fflush(stdout);
}

std::string read_text(const std::string& path) {
  std::ifstream in(path);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

bool write_text(const std::string& path, const std::string& text) {
  int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool done =
      write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return done;
}

uint64_t locked_kib() {
  std::istringstream in(read_text("/proc/self/status"));
  for (std::string word; in >> word;)
    if (word == "VmLck:") {
      uint64_t value;
      in >> value;
      return value;
    }
  failed("/proc/self/status has no VmLck");
  return 0;
}

}  // namespace soak

int main(int argc, char** argv) {
  using namespace soak;
  if (argc == 4 && !strcmp(argv[1], "--worker")) {
    if (!map_shared() || !arena.create()) return 1;
    files.parse(argv[3]);
    start_clock();
    count("exec", true);
    run_worker(strtoull(argv[2], nullptr, 10));
  }
  if (argc != 3) {
    fprintf(stderr, "usage: soak SEED SECONDS\n");
    return 2;
  }
  return supervise(strtoull(argv[1], nullptr, 10),
                   strtoull(argv[2], nullptr, 10));
}
