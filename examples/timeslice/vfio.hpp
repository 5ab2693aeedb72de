// SPDX-License-Identifier: GPL-2.0
//
// A device under VFIO, alone in its group, with a container and type1. Nothing here knows that
// the device may be blocked. A call that fails throws a std::system_error which says what was
// being done.
#pragma once

#include <linux/vfio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

// The result of a system call, if it has not failed.
long check(long result, const std::string& doing);

class Fd {
 public:
  Fd() = default;
  explicit Fd(long fd) : fd_(static_cast<int>(fd)) {}
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

// Zeroed memory, of whole pages, or what a file is mapped for.
class Mapping {
 public:
  explicit Mapping(std::size_t size, int fd = -1, off_t offset = 0);
  Mapping(Mapping&&) = delete;
  ~Mapping() { munmap(data_, size_); }

  std::byte* at(std::size_t offset) const { return data_ + offset; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  std::byte* data_;
};

class Device {
 public:
  // By its PCI address. Lets it answer in its memory and do DMA.
  explicit Device(const std::string& bdf);

  // Registers of BAR 0: as they are mapped, and by calls. Each is one access of 32 bits.
  std::uint32_t read(std::size_t at) const { return reg(at); }
  void write(std::size_t at, std::uint32_t value) { reg(at) = value; }
  std::uint32_t call_read(std::size_t at) const;
  void call_write(std::size_t at, std::uint32_t value);
  const Mapping& registers() const { return registers_; }

  void map_for_dma(const Mapping& memory, std::uint64_t iova);

 private:
  vfio_region_info region(unsigned index) const;
  volatile std::uint32_t& reg(std::size_t at) const {
    return *reinterpret_cast<volatile std::uint32_t*>(registers_.at(at));
  }
  Fd open_device(const std::string& bdf);
  void enable();

  // Closed in the opposite order.
  Fd container_, group_, device_;
  vfio_region_info bar_;
  Mapping registers_;
};
