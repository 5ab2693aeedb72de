// SPDX-License-Identifier: GPL-2.0
//
// Gated devices: the process that schedules PCI devices, and what users of such
// a device do while it is switched on and off: keep its register window
// mapped, touch it, map it for DMA, set limits, switch it themselves.
#include <fcntl.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "../kmod/vfio_testgate.h"
#include "files.hpp"
#include "operate.hpp"
#include "recent.hpp"
#include "uapi/vfio_gate.h"

namespace soak {
namespace {

constexpr uint64_t kSchedulerMs = 4000;
constexpr uint32_t kPinned = 16;
constexpr uint64_t kWindowSize = 2 * kPage;
constexpr uint64_t kWindows = 4;

// Where this process maps windows. Threads race for them on purpose, but the
// addresses are kept for windows: nothing else is ever found there.
class Windows {
 public:
  Windows()
      : begin_(static_cast<uint8_t*>(mmap(nullptr, kWindows * kWindowSize,
                                          PROT_NONE, kNothing, -1, 0))) {}

  uint8_t* any(Random& random) const {
    return begin_ + random.below(kWindows) * kWindowSize;
  }
  // BAR 0 stands at offset 0.
  bool map(uint8_t* window, int device) const {
    return mmap(window, kWindowSize, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_FIXED, device, 0) != MAP_FAILED;
  }
  void close_all() const {
    mmap(begin_, kWindows * kWindowSize, PROT_NONE, kNothing | MAP_FIXED, -1,
         0);
  }

 private:
  static constexpr int kNothing = MAP_PRIVATE | MAP_ANONYMOUS;
  uint8_t* const begin_;
};

Windows windows;

uint32_t short_deadline(Random& random) {
  return static_cast<uint32_t>(random.below(random.one_in(4) ? 50000 : 500));
}

// The scheduler of the first PCI devices, of as many as vfio_testgate takes.
class Scheduler {
 public:
  Scheduler() : fd_(open("/dev/vfio_testgate", O_RDWR | O_CLOEXEC)) {
    pages_ = mmap(nullptr, kPinned * kPage, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    vfio_testgate_pin pin{reinterpret_cast<uintptr_t>(pages_), kPinned};
    if (pages_ == MAP_FAILED || ioctl(fd_, VFIO_TESTGATE_PIN, &pin))
      failed("a scheduler cannot pin its memory");
  }

  ~Scheduler() {
    count("unregister scheduler", !close(fd_));
    munmap(pages_, kPinned * kPage);
  }

  void step(Random& random) {
    const auto slot = static_cast<uint32_t>(random.below(slots()));
    if (!registered_[slot]) return add(slot, random);
    switch (random.below(12)) {
      case 0 ... 2:
        request("block", VFIO_TESTGATE_BLOCK, slot, slot, random);
        break;
      case 3:
        request("trap", VFIO_TESTGATE_TRAP, slot, slot, random);
        break;
      case 4 ... 5:
        request("open gate", VFIO_TESTGATE_OPEN, slot, slot, random);
        break;
      case 6 ... 7:
        request("switch", VFIO_TESTGATE_SWITCH, slot,
                static_cast<uint32_t>(random.below(slots())), random);
        break;
      default:
        remap(slot, random);
        break;
    }
  }

 private:
  static uint32_t slots() {
    return std::min<uint32_t>(shared->first_testdev - kMocks,
                              VFIO_TESTGATE_DEVICES);
  }

  // Fails if a scheduler that was killed still has the device, or VFIO does not
  // have it.
  void add(uint32_t slot, Random& random) {
    vfio_testgate_add add{};
    add.slot = slot;
    memcpy(add.name, shared->targets[kMocks + slot].name, sizeof add.name);
    add.may_switch = random.one_in(2);
    add.hold = random.one_in(2);
    registered_[slot] =
        call("register scheduler", fd_, VFIO_TESTGATE_ADD, &add);
  }

  void request(const char* op, unsigned long number, uint32_t slot, uint32_t to,
               Random& random) {
    vfio_testgate_switch arg{slot, to, short_deadline(random), 0};
    call(op, fd_, number, &arg);
  }

  void remap(uint32_t slot, Random& random) {
    vfio_testgate_page pages[8];
    const uint64_t iova = pick_iova(random);
    for (uint32_t i = 0; i < std::size(pages); i++) {
      pages[i] = {iova + i * kPage, static_cast<int>(random.below(kPinned)),
                  -1};
      if (random.one_in(4)) pages[i].pinned = -1;
      if (random.one_in(8))
        pages[i].bar_slot = static_cast<int>(random.below(slots()));
    }
    vfio_testgate_remap arg{};
    arg.slot = slot;
    arg.count = static_cast<uint32_t>(1 + random.below(std::size(pages)));
    arg.flush = !random.one_in(4);
    arg.pages = reinterpret_cast<uintptr_t>(pages);
    const bool done = !ioctl(fd_, VFIO_TESTGATE_REMAP, &arg);
    count("remap", done && arg.done > 0);
  }

  int fd_;
  void* pages_;
  bool registered_[VFIO_TESTGATE_DEVICES] = {};
};

[[noreturn]] void schedule(uint64_t end_ms) {
  start_clock();
  Random random(++shared->next_stream);
  while (!shared->stop_all && now_ms() < end_ms) {
    Scheduler scheduler;
    for (uint64_t steps = random.below(200);
         steps && !shared->stop_all && now_ms() < end_ms; steps--) {
      scheduler.step(random);
      usleep(static_cast<useconds_t>(random.below(20000)));
      start_clock();
    }
  }
  exit(0);
}

// Reads a window as a program does. Returns false if that raises a signal, as
// where no window is mapped.
thread_local sigjmp_buf* volatile touching;

void jump_out(int) {
  if (!touching) abort();
  siglongjmp(*touching, 1);
}

bool read_window(const void* window) {
  struct sigaction action {};
  action.sa_handler = jump_out;
  for (int signal : {SIGBUS, SIGSEGV}) sigaction(signal, &action, nullptr);
  sigjmp_buf here;
  if (sigsetjmp(here, 1)) {
    touching = nullptr;
    return false;
  }
  touching = &here;
  [[maybe_unused]] uint32_t id = *static_cast<const volatile uint32_t*>(window);
  touching = nullptr;
  return true;
}

void map_window(int device, Random& random) {
  count("map window", windows.map(windows.any(random), device));
}

// Maps a window so that other devices can reach it by DMA.
void map_window_for_dma(uint8_t* window, Random& random) {
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof map;
  map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  map.vaddr = reinterpret_cast<uintptr_t>(window);
  map.iova = pick_iova(random);
  map.size = kPage << random.below(2);
  const int container = files.any(kContainer, random);
  if (call("window MAP", container, VFIO_IOMMU_MAP_DMA, &map))
    mappings.add({container, map.iova, map.size, map.vaddr});
}

void use_window(Random& random) {
  uint8_t* window = windows.any(random);
  if (random.one_in(4)) return map_window_for_dma(window, random);
  count("touch window", read_window(window));
}

// Sets the eventfd that tells of traps, and acknowledges: a trap waits for it.
void acknowledge(int device, Random& random) {
  vfio_device_gate_event event{};
  event.argsz = sizeof event;
  if (random.one_in(3)) {
    event.flags = VFIO_DEVICE_GATE_EVENT_SET;
    event.eventfd =
        random.one_in(4) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  }
  if (call("gate event", device, VFIO_DEVICE_GATE_EVENT, &event) &&
      random.one_in(2)) {
    event.flags = VFIO_DEVICE_GATE_EVENT_ACK;
    call("gate event", device, VFIO_DEVICE_GATE_EVENT, &event);
  }
  if (event.eventfd > 0) close(event.eventfd);
}

void set_gate(int device, Random& random) {
  vfio_device_gate_set set{};
  set.argsz = sizeof set;
  set.deadline_us = short_deadline(random);
  if (random.one_in(2)) {
    set.flags = VFIO_DEVICE_GATE_SET_LIMIT;
    set.limit_ms = static_cast<uint32_t>(random.below(200));
    call("gate limit", device, VFIO_DEVICE_GATE_SET, &set);
    return;
  }
  set.flags = VFIO_DEVICE_GATE_SET_STATE;
  set.state = VFIO_GATE_OPEN;
  if (random.one_in(2)) set.state = static_cast<uint32_t>(random.below(3));
  call("user switch", device, VFIO_DEVICE_GATE_SET, &set);
}

}  // namespace

// One scheduler after the other; half of them are killed.
void run_schedulers() {
  Random random(++shared->next_stream);
  while (!shared->stop_all) {
    const uint64_t life_ms = 200 + random.below(kSchedulerMs);
    const pid_t scheduler = fork();
    if (!scheduler) schedule(now_ms() + life_ms);
    if (scheduler < 0) {
      failed("no scheduler can be forked");
      break;
    }
    if (random.one_in(2)) {
      usleep(static_cast<useconds_t>(random.below(life_ms) * 1000));
      start_clock();
      count("kill scheduler", !kill(scheduler, SIGKILL));
    }
    waitpid(scheduler, nullptr, 0);
  }
  exit(0);
}

void close_windows() { windows.close_all(); }

void gating(Random& random) {
  const int device = files.any(kDevice, random);
  switch (random.below(10)) {
    case 0 ... 1:
      if (device >= 0) map_window(device, random);
      break;
    case 2: {
      vfio_device_gate_info info{};
      info.argsz = sizeof info;
      call("gate info", device, VFIO_DEVICE_GATE_INFO, &info);
      break;
    }
    case 3:
      acknowledge(device, random);
      break;
    case 4:
      set_gate(device, random);
      break;
    default:
      use_window(random);
      break;
  }
}

}  // namespace soak
