// SPDX-License-Identifier: GPL-2.0
//
// A device's memory, mapped into the program.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bench {

class Bar {
 public:
  // Takes the device's file over. Throws what fails.
  Bar(int device, std::uint32_t region);
  ~Bar();
  Bar(const Bar&) = delete;
  Bar& operator=(const Bar&) = delete;

  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(start_); }
  std::size_t size() const { return size_; }

 private:
  void enable_memory();

  int device_;
  std::size_t size_ = 0;
  void* start_ = nullptr;
};

}  // namespace bench
