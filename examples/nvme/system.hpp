// SPDX-License-Identifier: GPL-2.0
//
// The few operating system objects that the driver owns: file descriptors,
// eventfds and anonymous memory, each released by its destructor. A failing
// system call becomes a std::system_error that says what was being done.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace sys {

// Throws std::system_error with the current errno; `doing` names the step and
// the object, e.g. "opening /dev/vfio/4".
[[noreturn]] void throw_errno(const std::string& doing);

// printf into a std::string.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();

  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// A counter that the kernel raises by one with each interrupt it forwards.
class EventFd {
 public:
  EventFd();

  int fd() const { return fd_.get(); }

  // Waits for at least one event, and takes all that have come: their count,
  // or 0 after the timeout.
  std::uint64_t wait(std::chrono::milliseconds timeout);

 private:
  Fd fd_;
};

// Zeroed, page-aligned, private anonymous memory, in whole pages.
class Memory {
 public:
  explicit Memory(std::size_t size);
  Memory(Memory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Memory& operator=(Memory&&) = delete;
  ~Memory();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

std::size_t page_size();
std::size_t round_up_to_page(std::size_t size);

}  // namespace sys
