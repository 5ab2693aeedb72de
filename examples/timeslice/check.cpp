// SPDX-License-Identifier: GPL-2.0
#include "check.hpp"

#include <cstdio>
#include <fstream>
#include <limits>
#include <map>
#include <regex>
#include <stdexcept>

#include "record.hpp"

namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
// The trace has microseconds, and another reading of the clock.
constexpr std::uint64_t kClockError = 10000;

// What was done in one slice.
struct Done {
  unsigned count = 0;
  std::uint64_t first = kNever, last = 0;
};

// A time in which one device may be open: from when the one before was blocked until it was
// blocked itself.
struct Slice {
  std::string bdf;
  Access time;
  std::map<std::string, Done> done;  // by kind
};

struct Work {
  unsigned count = 0, outside = 0, slices = 0;
  Access first_outside;
};

std::ifstream open_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  return in;
}

// Nanoseconds of "12.345678".
std::uint64_t nanoseconds(const std::string& seconds, const std::string& microseconds) {
  return std::stoull(seconds) * 1'000'000'000 + std::stoull(microseconds) * 1000;
}

class Checker {
 public:
  void read_trace(const std::string& path) {
    static const std::regex event(R"( (\d+)\.(\d{6}): vfio_gate: (\S+) \S+ -> (\w+))");
    std::ifstream in = open_file(path);
    std::uint64_t before = 0;
    for (std::string line; std::getline(in, line);) {
      std::smatch found;
      if (!std::regex_search(line, found, event)) continue;
      const std::uint64_t time = nanoseconds(found[1], found[2]);
      if (found[4] == "open") begin_slice(found[3], before);
      if (found[4] == "blocked") end_slice(found[3], time);
      before = time;
    }
    say(!slices_.empty(), std::to_string(slices_.size()) + " slices");
    say(alone_, "one device is open at a time");
  }

  void read_record(const std::string& path) {
    std::ifstream in = open_file(path);
    std::string bdf, kind;
    Access access;
    std::size_t at = 0;
    while (in >> bdf >> kind >> access.begin >> access.end) add(bdf, kind, access, at);
  }

  bool finish() {
    for (Slice& slice : slices_)
      for (const auto& [kind, done] : slice.done) work_[{slice.bdf, kind}].slices++;
    for (const auto& [key, work] : work_) {
      const std::string what = key.first + " " + key.second + ": ";
      say(work.outside == 0,
          what + std::to_string(work.count) + " in " + std::to_string(work.slices) + " slices, " +
              std::to_string(work.outside) + " out of turn" +
              (work.outside ? ", the first at " + std::to_string(work.first_outside.begin) +
                                  " to " + std::to_string(work.first_outside.end)
                            : ""));
    }
    for (const Slice& slice : slices_) print(slice);
    return holds_;
  }

 private:
  void say(bool holds, const std::string& what) {
    holds_ = holds_ && holds;
    std::printf("  %s %s\n", holds ? "ok    " : "FAILED", what.c_str());
  }

  // A device that could not be blocked in time is opened again: its slice goes on.
  void begin_slice(const std::string& bdf, std::uint64_t time) {
    const bool goes_on = !slices_.empty() && slices_.back().time.end == kNever;
    if (goes_on && slices_.back().bdf == bdf) return;
    alone_ = alone_ && !goes_on;
    slices_.push_back({bdf, {time, kNever}, {}});
  }

  void end_slice(const std::string& bdf, std::uint64_t time) {
    // It was open before the trace begins.
    if (slices_.empty()) slices_.push_back({bdf, {0, kNever}, {}});
    // A device that was not open is blocked, too, when the scheduler begins: that ends no slice.
    if (slices_.back().time.end != kNever) return;
    alone_ = alone_ && slices_.back().bdf == bdf;
    slices_.back().time.end = time;
  }

  static bool within(const Access& access, const Slice& slice) {
    return access.end + kClockError >= slice.time.begin &&
           (slice.time.end == kNever || access.begin <= slice.time.end + kClockError);
  }

  // In the last of the device's slices that it may have been in: an access that waited began
  // in another. Of one file and kind they come in the order of time, so that the search begins
  // at the slice of the one before.
  void add(const std::string& bdf, const std::string& kind, const Access& access, std::size_t& at) {
    Work& work = work_[{bdf, kind}];
    Slice* slice = nullptr;
    work.count++;
    if (at >= slices_.size() || access.begin < slices_[at].time.begin) at = 0;
    for (; at < slices_.size() && slices_[at].time.begin <= access.end + kClockError; at++)
      if (slices_[at].bdf == bdf && within(access, slices_[at])) slice = &slices_[at];
    if (at > 0) at--;
    if (!slice) {
      if (work.outside++ == 0) work.first_outside = access;
      return;
    }
    Done& done = slice->done[kind];
    done.count++;
    done.first = std::min(done.first, access.end);
    done.last = std::max(done.last, access.end);
  }

  void print(const Slice& slice) const {
    std::printf("slice %s %llu %llu", slice.bdf.c_str(),
                static_cast<unsigned long long>(slice.time.begin),
                static_cast<unsigned long long>(slice.time.end == kNever ? 0 : slice.time.end));
    for (const auto& [kind, done] : slice.done)
      std::printf(" %s=%u,%llu,%llu", kind.c_str(), done.count,
                  static_cast<unsigned long long>(done.first),
                  static_cast<unsigned long long>(done.last));
    std::printf("\n");
  }

  bool holds_ = true, alone_ = true;
  std::vector<Slice> slices_;
  std::map<std::pair<std::string, std::string>, Work> work_;
};

}  // namespace

bool check_records(const std::string& trace, const std::vector<std::string>& records) {
  Checker checker;
  checker.read_trace(trace);
  for (const std::string& record : records) checker.read_record(record);
  return checker.finish();
}
