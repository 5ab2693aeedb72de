// SPDX-License-Identifier: GPL-2.0
//
// Descriptors and memory that release themselves, and system calls that throw a
// std::system_error which says what was being done.
#pragma once

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

// The result of a system call, if it has not failed.
inline int check(int result, const std::string& doing) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), doing);
  return result;
}

class Fd {
 public:
  Fd() = default;
  Fd(int fd, const std::string& doing) : fd_(check(fd, doing)) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }

  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// A mapping of a file, or with fd -1 zeroed memory.
class Mapping {
 public:
  Mapping(std::size_t size, int fd, off_t offset, const std::string& doing) : size_(size) {
    const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, offset);
    check(address == MAP_FAILED ? -1 : 0, doing);
    data_ = static_cast<std::byte*>(address);
  }
  Mapping(Mapping&&) = delete;
  ~Mapping() { munmap(data_, size_); }

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_;
  std::size_t size_;
};
