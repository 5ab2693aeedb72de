// SPDX-License-Identifier: GPL-2.0
#include "workers.hpp"

#include <cstring>
#include <map>
#include <stdexcept>
#include <thread>

#include "guest.hpp"

namespace {

// The registers of the edu.
constexpr std::size_t kInverse = 0x04, kFactorial = 0x08, kStatus = 0x20;
constexpr std::size_t kSource = 0x80, kTarget = 0x88, kCount = 0x90, kCommand = 0x98;
constexpr std::uint32_t kIdentification = 0x010000ed, kComputing = 1;
constexpr std::uint32_t kStart = 1, kFromDevice = 2;
constexpr std::uint64_t kOwnMemory = 0x40000;

// The device's transfers take 100 ms.
constexpr std::chrono::milliseconds kTransfer(150);
// From one access to the next, so that what is recorded stays small.
constexpr std::chrono::microseconds kPause(100);

constexpr std::uint64_t kIova = 0x10000000;
constexpr std::size_t kPage = 4096;

void expect(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

void work_mmap(Device& device, const std::atomic<bool>& stop, Outcome& outcome) {
  for (std::uint32_t i = 0; !stop; i++) {
    outcome.record.access([&] { device.write(kInverse, i); });
    expect(outcome.record.access([&] { return device.read(kInverse); }) == ~i,
           "a mapped register has not kept its value");
    std::this_thread::sleep_for(kPause);
  }
}

void work_calls(Device& device, const std::atomic<bool>& stop, Outcome& outcome) {
  const auto read = [&](std::size_t at) {
    return outcome.record.access([&] { return device.call_read(at); });
  };
  constexpr std::uint32_t kMost = 12;  // of which 32 bits hold the factorial
  for (std::uint32_t n = 1; !stop; n = n % kMost + 1) {
    outcome.record.access([&] { device.call_write(kFactorial, n); });
    while (read(kStatus) & kComputing) std::this_thread::sleep_for(kPause);
    std::uint32_t factorial = 1;
    for (std::uint32_t i = 2; i <= n; i++) factorial *= i;
    expect(read(kFactorial) == factorial, "the device has computed something else");
    std::this_thread::sleep_for(kPause);
  }
}

// Copies of one page of memory to another, by way of the device's own memory.
class Copier {
 public:
  Copier(Device& device, Outcome& outcome) : device_(device), outcome_(outcome) {
    device_.map_for_dma(memory_, kIova);
  }

  // False if the copy did not arrive, and is to be made again.
  bool copy(std::uint64_t number) {
    *word(0) = number;
    *word(kPage) = 0;
    start(kIova, kOwnMemory, 0);
    await_device();
    start(kOwnMemory, kIova + kPage, kFromDevice);
    const bool arrived = await_arrival();
    // The device must have ended: what it writes later would be taken for the next transfer.
    await_device();
    return arrived && *word(kPage) == number;
  }

 private:
  volatile std::uint64_t* word(std::size_t at) const {
    return reinterpret_cast<volatile std::uint64_t*>(memory_.at(at));
  }

  void start(std::uint64_t from, std::uint64_t to, std::uint32_t direction) {
    device_.write(kSource, static_cast<std::uint32_t>(from));
    device_.write(kSource + 4, static_cast<std::uint32_t>(from >> 32));
    device_.write(kTarget, static_cast<std::uint32_t>(to));
    device_.write(kTarget + 4, static_cast<std::uint32_t>(to >> 32));
    device_.write(kCount, sizeof(std::uint64_t));
    device_.write(kCommand, kStart | direction);
  }

  void await_device() {
    while (device_.read(kCommand) & kStart)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  // Looks at the memory alone: a register might make this thread wait. What arrives is recorded,
  // be it the right thing or not.
  bool await_arrival() {
    const auto end = std::chrono::steady_clock::now() + kTransfer;
    Access access{now_ns(), now_ns()};
    while (*word(kPage) == 0) {
      if (std::chrono::steady_clock::now() > end) return false;
      access.begin = access.end;
      std::this_thread::sleep_for(kPause);
      access.end = now_ns();
    }
    access.end = now_ns();
    outcome_.record.add(access);
    return true;
  }

  Device& device_;
  Outcome& outcome_;
  Mapping memory_{2 * kPage};
};

void work_dma(Device& device, const std::atomic<bool>& stop, Outcome& outcome) {
  Copier copier(device, outcome);
  for (std::uint64_t number = 1; !stop;) {
    if (copier.copy(number))
      number++;
    else
      outcome.dropped++;
  }
}

void work_guest(Device& device, const std::atomic<bool>& stop, Outcome& outcome) {
  Guest guest(device.registers());
  while (!stop) {
    expect(outcome.record.access([&] { return guest.read_register(); }) == kIdentification,
           "a guest has read something else");
    std::this_thread::sleep_for(kPause);
  }
}

const std::map<std::string, decltype(&work_mmap)> kWork = {
    {"mmap", work_mmap}, {"calls", work_calls}, {"dma", work_dma}, {"guest", work_guest}};

}  // namespace

bool is_work(const std::string& kind) { return kWork.contains(kind); }

void work(const std::string& kind, Device& device, const std::atomic<bool>& stop,
          Outcome& outcome) {
  kWork.at(kind)(device, stop, outcome);
}
