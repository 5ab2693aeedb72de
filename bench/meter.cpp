// SPDX-License-Identifier: GPL-2.0
#include "meter.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <stdexcept>

namespace bench {

Meter::Meter(std::string profiled) : profiled_(std::move(profiled)) {
  overhead_ = std::numeric_limits<std::uint64_t>::max();
  for (int i = 0; i < 100; i++) {
    const std::uint64_t begin = instructions();
    overhead_ = std::min(overhead_, instructions() - begin);
  }
}

void Meter::add(const std::string& key, double value) {
  std::vector<double>& values = samples_[key];
  if (values.empty()) order_.push_back(key);
  values.push_back(value);
}

void Meter::print() {
  for (const std::string& key : order_) {
    std::vector<double> values = samples_.at(key);
    std::sort(values.begin(), values.end());
    std::printf("row %s %.4f %.4f %.4f %zu\n", key.c_str(), values[values.size() / 2],
                values.front(), values.back(), values.size());
    if (key == profiled_)
      std::printf("profiled %s %llu\n", key.c_str(),
                  static_cast<unsigned long long>(profiled_operations_));
  }
  order_.clear();
  samples_.clear();
  std::fflush(stdout);
}

void Meter::check_calibration() const {
  constexpr std::uint64_t kTurns = 100000;
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  for (int i = 0; i < 5; i++) {
    std::uint64_t turns = kTurns;
    const std::uint64_t begin = instructions();
    asm volatile("1: dec %0\n\tjnz 1b" : "+r"(turns));
    least = std::min(least, instructions() - begin - overhead_);
  }
  std::printf("calibration %llu instructions counted of %llu\n",
              static_cast<unsigned long long>(least), 2ULL * kTurns);
  if (least < 2 * kTurns || least > 2 * kTurns + 16)
    throw std::runtime_error("time does not count instructions here: no -icount shift=0?");
}

}  // namespace bench
