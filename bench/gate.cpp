// SPDX-License-Identifier: GPL-2.0
#include "gate.hpp"

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "../tests/kmod/vfio_testgate.h"
#include "flushes.hpp"
#include "gate_guest.hpp"
#include "mapping_rows.hpp"
#include "memory.hpp"
#include "meter.hpp"
#include "system.hpp"

namespace bench {
namespace {

const std::string kScheduler = "/dev/vfio_testgate";
constexpr std::uint32_t kBar = 2, kDeadlineUs = 1000;
constexpr std::size_t kGateWindows[] = {1, 64, 1024};  // MiB
constexpr std::size_t kGateTouched[] = {1, 64, 512, 4096};
constexpr int kGateProcesses[] = {1, 2, 4, 8};
constexpr int kGateVcpus[] = {0, 1, 2, 4};

std::uint64_t region_offset(int device, std::uint32_t index) {
  vfio_region_info info{};
  info.argsz = sizeof(info);
  info.index = index;
  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0) throw_errno("GET_REGION_INFO");
  return info.offset;
}

void enable_memory(int device) {
  const auto at =
      static_cast<off_t>(region_offset(device, VFIO_PCI_CONFIG_REGION_INDEX) + PCI_COMMAND);
  const std::uint16_t command = PCI_COMMAND_MEMORY;
  if (pwrite(device, &command, sizeof(command), at) != sizeof(command))
    throw_errno("writing the command register");
}

// Without interrupts and the like, which add to one of two figures and not to the other.
std::uint64_t least(std::vector<std::uint64_t> values) {
  return *std::min_element(values.begin(), values.end());
}

double less(std::uint64_t all, std::uint64_t part) {
  return static_cast<double>(all) - static_cast<double>(part);
}

}  // namespace

bool GatedDevice::can_switch() { return access(kScheduler.c_str(), F_OK) == 0; }

GatedDevice::GatedDevice(bool opened) {
  const std::string name = Container::find_device("0x0005");
  if (can_switch()) {
    vfio_testgate_add add{};
    std::strncpy(add.name, name.c_str(), sizeof(add.name) - 1);
    scheduler_ = open_or_throw(kScheduler);
    if (ioctl(scheduler_, VFIO_TESTGATE_ADD, &add) < 0) throw_errno("scheduling " + name);
  }
  if (!opened) return;
  container_ = std::make_unique<Container>(Container::group_of(name));
  device_ = container_->open_device(name);
  offset_ = region_offset(device_, kBar);
  enable_memory(device_);
}

GatedDevice::~GatedDevice() {
  if (device_ >= 0) close(device_);
  if (scheduler_ >= 0) close(scheduler_);
}

std::uint64_t GatedDevice::request(unsigned long number) {
  vfio_testgate_switch argument{};
  argument.deadline_us = kDeadlineUs;
  if (ioctl(scheduler_, number, &argument) < 0) throw_errno("switching a device");
  return argument.cycles;
}

std::uint64_t GatedDevice::block() { return request(VFIO_TESTGATE_BLOCK); }

std::uint64_t GatedDevice::open() { return request(VFIO_TESTGATE_OPEN); }

void GatedDevice::pin(const Memory& memory, std::size_t npages) {
  vfio_testgate_pin argument{memory.address(), static_cast<std::uint32_t>(npages)};
  if (ioctl(scheduler_, VFIO_TESTGATE_PIN, &argument) < 0) throw_errno("pinning other pages");
}

std::uint64_t GatedDevice::remap(std::uint64_t iova, std::size_t count, std::size_t step,
                                 int pinned, bool flush) {
  std::vector<vfio_testgate_page> pages;
  for (std::size_t i = 0; i < count; i++)
    pages.push_back({iova + i * step * kPage, pinned < 0 ? -1 : pinned + static_cast<int>(i), -1});
  vfio_testgate_remap argument{};
  argument.count = static_cast<std::uint32_t>(count);
  argument.flush = flush;
  argument.pages = reinterpret_cast<std::uintptr_t>(pages.data());
  if (ioctl(scheduler_, VFIO_TESTGATE_REMAP, &argument) < 0) throw_errno("remapping pages");
  if (argument.done != static_cast<int>(count)) throw_errno("remapping all of the pages");
  return flush ? argument.all_cycles : argument.remap_cycles;
}

GatedDevice::Alone GatedDevice::alone() {
  vfio_testgate_alone argument{};
  argument.device = device_;
  if (ioctl(scheduler_, VFIO_TESTGATE_ALONE, &argument) < 0) throw_errno("moving a group");
  return {argument.zap_cycles, argument.cut_cycles, argument.move_cycles};
}

GatedDevice::Window::Window(const GatedDevice& device, std::size_t size) : size_(size) {
  void* start = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, device.device_,
                     static_cast<off_t>(device.offset_));
  if (start == MAP_FAILED) throw_errno("mmap of a BAR");
  start_ = static_cast<volatile char*>(start);
}

GatedDevice::Window::~Window() { munmap(const_cast<char*>(start_), size_); }

void GatedDevice::Window::touch(std::size_t npages) const {
  for (std::size_t page = 0; page < npages; page++) (void)start_[page * kPage];
}

namespace {

constexpr std::size_t kTouched = 64;

// The figures of a device in use whose window has so many pages, of which so many are touched
// before it is blocked. What the kernel's own functions take is measured in the same state.
struct Switched {
  std::vector<std::uint64_t> block, open, zap, cut, move;
};

Switched switch_often(Meter& meter, GatedDevice& device, const GatedDevice::Window& window,
                      std::size_t touched) {
  Switched found;
  const std::string suffix = touched ? "-64" : "";
  for (int i = 0; i < kCalls; i++) {
    window.touch(touched);
    meter.mark("gate-block" + suffix, 1, [&] { found.block.push_back(device.block()); });
    meter.mark("gate-open" + suffix, 1, [&] { found.open.push_back(device.open()); });
    window.touch(touched);
    const GatedDevice::Alone alone = device.alone();
    found.zap.push_back(alone.zap);
    found.cut.push_back(alone.cut);
    found.move.push_back(alone.move);
  }
  return found;
}

void count_flushes(Meter& meter, GatedDevice& device, const GatedDevice::Window& window) {
  if (!Flushes::can_count()) return;
  const auto add = [&](const std::string& key, auto call) {
    meter.add(key, static_cast<double>(Flushes::count(call).iotlb));
  };
  add("gate-flushes-block", [&] { device.block(); });
  add("gate-flushes-open", [&] { device.open(); });
  if (!TlbFlushes::can_count()) return;
  for (const auto& [key, touched] : {std::pair("gate-shootdowns-block", std::size_t{0}),
                                     std::pair("gate-shootdowns-block-64", kTouched)}) {
    window.touch(touched);
    meter.add(key, static_cast<double>(TlbFlushes::count([&] { device.block(); })));
    meter.add("gate-shootdowns-open",
              static_cast<double>(TlbFlushes::count([&] { device.open(); })));
  }
}

// The first touch of a window that has just been mapped, and of one whose device was opened again.
void run_first_touch(Meter& meter, GatedDevice& device) {
  for (int i = 0; i < kCalls; i++) {
    const GatedDevice::Window window(device, kTouched * kPage);
    if (GatedDevice::can_switch()) {
      window.touch(kTouched);
      device.block();
      device.open();
    }
    meter.measure("gate-touch", 1, [&] { window.touch(1); });
  }
}

}  // namespace

void run_gate(Meter& meter) {
  if (!GatedDevice::can_switch()) {
    for (const char* key :
         {"gate-open", "gate-block", "gate-block-64", "gate-zap-64", "gate-cut", "gate-move",
          "gate-idle-open", "gate-idle-block", "gate-flushes-block", "gate-flushes-open",
          "gate-shootdowns-block", "gate-shootdowns-block-64", "gate-shootdowns-open"})
      meter.add(key, 0);
    GatedDevice device(true);
    run_first_touch(meter, device);
    return;
  }
  {
    GatedDevice device(false);
    for (int i = 0; i < kCalls; i++) {
      meter.mark("gate-idle-block", 1,
                 [&] { meter.add("gate-idle-block", static_cast<double>(device.block())); });
      meter.mark("gate-idle-open", 1,
                 [&] { meter.add("gate-idle-open", static_cast<double>(device.open())); });
    }
  }
  GatedDevice device(true);
  {
    const GatedDevice::Window window(device, kTouched * kPage);
    const Switched untouched = switch_often(meter, device, window, 0);
    const Switched touched = switch_often(meter, device, window, kTouched);
    const std::uint64_t cut = least(untouched.cut), move = least(untouched.move);
    meter.add("gate-cut", static_cast<double>(cut));
    meter.add("gate-move", static_cast<double>(move));
    meter.add("gate-zap-64", static_cast<double>(least(touched.zap)));
    meter.add("gate-open", less(least(untouched.open), move));
    meter.add("gate-block", less(least(untouched.block), cut));
    meter.add("gate-block-64", less(least(touched.block), cut + least(touched.zap)));
    count_flushes(meter, device, window);
  }
  run_first_touch(meter, device);
}

namespace {

// Addresses of which pages are remapped together: neighbours in contiguous memory, neighbours in
// scattered memory, every second one, and one.
struct Batch {
  const char* key;
  Layout layout;
  std::size_t count, step;
};

constexpr Batch kBatches[] = {{"64", Layout::kContiguous, 64, 1},
                              {"64-scattered", Layout::kScattered, 64, 1},
                              {"64-apart", Layout::kScattered, 64, 2},
                              {"1", Layout::kScattered, 1, 1}};

std::string remap_key(const Batch& batch, bool flush) {
  return std::string("gate-remap-") + batch.key + (flush ? "-flush" : "");
}

void run_batch(Meter& meter, const Batch& batch) {
  constexpr std::uint64_t kIova = 0x100000000;
  const Memory memory(batch.layout, kHugePage), others(batch.layout, kHugePage);
  GatedDevice device(true);
  device.pin(others, batch.count);
  device.container().map(kIova, memory.address(), memory.size());
  // Large pages of the IOMMU are split, once.
  (void)device.remap(kIova, batch.count, batch.step, 0, true);
  for (const bool flush : {false, true})
    for (int i = 0; i < kCalls; i++)
      for (const int pinned : {-1, 0}) {
        const std::string key = remap_key(batch, flush);
        std::uint64_t taken = 0;
        meter.mark(key, batch.count,
                   [&] { taken = device.remap(kIova, batch.count, batch.step, pinned, flush); });
        meter.add(key, static_cast<double>(taken) / static_cast<double>(batch.count));
      }
  device.container().unmap_all(memory.size());
}

}  // namespace

std::vector<std::string> gate_remap_keys() {
  std::vector<std::string> keys;
  for (const Batch& batch : kBatches)
    for (const bool flush : {false, true}) keys.push_back(remap_key(batch, flush));
  return keys;
}

void run_gate_remap(Meter& meter) {
  if (!GatedDevice::can_switch()) {
    for (const std::string& key : gate_remap_keys()) meter.add(key, 0);
    return;
  }
  for (const Batch& batch : kBatches) run_batch(meter, batch);
}

namespace {

// Processes that have the window mapped and have touched it, beside the caller.
class Processes {
 public:
  Processes(const GatedDevice::Window& window, std::size_t touched, int count) {
    for (int i = 0; i < count; i++) {
      int ready[2];
      if (pipe(ready) < 0) throw_errno("pipe");
      const pid_t child = fork();
      if (child < 0) throw_errno("fork");
      if (child == 0) {
        window.touch(touched);
        (void)!write(ready[1], "", 1);
        for (;;) pause();
      }
      char byte;
      if (read(ready[0], &byte, 1) != 1) throw_errno("a child");
      close(ready[0]);
      close(ready[1]);
      children_.push_back(child);
    }
  }
  ~Processes() {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

 private:
  std::vector<pid_t> children_;
};

}  // namespace

void run_gate_growth(Meter& meter) {
  if (!GatedDevice::can_switch()) {
    for (const std::string& key : gate_growth_keys()) meter.add(key, 0);
    return;
  }
  GatedDevice device(true);
  const auto measure = [&](const std::string& name, std::size_t window_size, std::size_t touched,
                           int processes) {
    for (int i = 0; i < 5; i++) {
      const GatedDevice::Window window(device, window_size);
      window.touch(touched);
      const Processes others(window, touched, processes - 1);
      meter.add("gate-block-" + name, static_cast<double>(device.block()));
      meter.add("gate-open-" + name, static_cast<double>(device.open()));
    }
  };
  for (const std::size_t mib : kGateWindows)
    measure("window-" + std::to_string(mib), mib * kMiB, 0, 1);
  for (const std::size_t npages : kGateTouched)
    measure("touched-" + std::to_string(npages), npages * kPage, npages, 1);
  for (const int count : kGateProcesses)
    measure("processes-" + std::to_string(count), kTouched * kPage, kTouched, count);
  for (const int count : kGateVcpus) {
    const GatedDevice::Window window(device, GateGuest::kPages * kPage);
    GateGuest guest(window.start(), count);
    for (int i = 0; i < 5; i++) {
      window.touch(GateGuest::kPages);
      guest.touch();
      meter.add("gate-block-vcpus-" + std::to_string(count), static_cast<double>(device.block()));
      meter.add("gate-open-vcpus-" + std::to_string(count), static_cast<double>(device.open()));
    }
  }
}

std::vector<std::string> gate_growth_keys() {
  std::vector<std::string> keys;
  const auto add = [&](const std::string& name) {
    keys.push_back("gate-block-" + name);
    keys.push_back("gate-open-" + name);
  };
  for (const std::size_t mib : kGateWindows) add("window-" + std::to_string(mib));
  for (const std::size_t npages : kGateTouched) add("touched-" + std::to_string(npages));
  for (const int count : kGateProcesses) add("processes-" + std::to_string(count));
  for (const int count : kGateVcpus) add("vcpus-" + std::to_string(count));
  return keys;
}

}  // namespace bench
