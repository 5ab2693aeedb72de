// SPDX-License-Identifier: GPL-2.0
//
// A device that a scheduler switches on and off: QEMU's pci-testdev with its large BAR. On the
// kernel's own modules it has none, and can only be touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "container.hpp"
#include "memory.hpp"
#include "meter.hpp"

namespace bench {

class GatedDevice {
 public:
  // Whether the modules can switch devices. Only then all but touching may be called.
  static bool can_switch();

  // opened: whether the device is opened, by a user with type1. One that is not has no DMA to be
  // cut off, and no windows.
  explicit GatedDevice(bool opened);
  ~GatedDevice();
  GatedDevice(const GatedDevice&) = delete;
  GatedDevice& operator=(const GatedDevice&) = delete;

  // In instructions inside the kernel, without the system call.
  std::uint64_t block();
  std::uint64_t open();

  // Pins memory for remap(), page after page.
  void pin(const Memory& memory, std::size_t npages);
  // Has DMA reach pinned pages, or the user's again if pinned is negative, at count addresses, each
  // so many pages after the one before. Returns the instructions, of a flush as well if flush.
  std::uint64_t remap(std::uint64_t iova, std::size_t count, std::size_t step, int pinned,
                      bool flush);
  Container& container() { return *container_; }

  // What the kernel does in them anyway, alone: unmaps all windows, moves the group out of its
  // domain, and back. The device is open.
  struct Alone {
    std::uint64_t zap, cut, move;
  };
  Alone alone();

  // Maps the first so many bytes of the BAR.
  class Window {
   public:
    Window(const GatedDevice& device, std::size_t size);
    ~Window();
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;
    // Of as many pages the first bytes.
    void touch(std::size_t npages) const;
    void* start() const { return const_cast<char*>(start_); }

   private:
    std::size_t size_;
    volatile char* start_;
  };

 private:
  std::uint64_t request(unsigned long number);

  int scheduler_ = -1, device_ = -1;
  std::uint64_t offset_ = 0;
  std::unique_ptr<Container> container_;
};

// What a switch costs beyond what the kernel's own functions in it do.
void run_gate(Meter& meter);
// What remapping a page costs.
void run_gate_remap(Meter& meter);
std::vector<std::string> gate_remap_keys();
// How a switch, with all that is in it, grows with the size of a window of which nothing is
// touched, with the pages touched, with the processes that have touched 64 pages each, and with the
// virtual processors of a guest that have touched 8.
void run_gate_growth(Meter& meter);
std::vector<std::string> gate_growth_keys();

}  // namespace bench
