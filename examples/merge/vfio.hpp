// SPDX-License-Identifier: GPL-2.0
//
// Groups and devices without a container in the program: a group's file is all that it opens.
// A call that fails throws a std::system_error which says what was being done.
#pragma once

#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "uapi/vfio_group_merge.h"

// The result of a system call, if it has not failed.
int check(int result, const std::string& doing);

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
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

// Zeroed memory, of whole pages, or a device's registers.
class Memory {
 public:
  explicit Memory(std::size_t size, int fd = -1, off_t offset = 0);
  Memory(Memory&&) = delete;
  ~Memory() { munmap(data_, size_); }

  std::byte* at(std::size_t offset) const { return data_ + offset; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  std::byte* data_;
};

class Group {
 public:
  // The group of a PCI device, by its address.
  explicit Group(const std::string& bdf);

  int number() const { return number_; }
  bool can_merge() const;
  bool merged() const;

  // Gives the group, and all that are merged with it, an address space.
  void set_iommu();
  void map(const Memory& memory, std::uint64_t iova);
  void take_in(const Group& other);
  // The number is that of a group in the same set, whose file may be closed.
  void take_out(int number);
  // Of any group in the set.
  Fd open_device(const std::string& bdf) const;

 private:
  int number_;
  Fd fd_;
};
