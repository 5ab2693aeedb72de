// SPDX-License-Identifier: GPL-2.0
#include "invalidations.hpp"

#include <sys/mount.h>

#include <fstream>

namespace stack {

namespace {

const std::string kTracing = "/sys/kernel/tracing";

// --- VT-d -------------------------------------------------------------------

const std::string kEvent = kTracing + "/events/intel_iommu/qi_submit";
// The first quad-word of a descriptor has its type in the lowest four bits
// (VT-d specification, 6.5.2), and few other values: the kernel counts by it.
const std::string kHistogram = "hist:keys=qw0";

Invalidations read_histogram() {
  Invalidations found;
  bool complete = false;
  std::ifstream in(kEvent + "/hist");
  for (std::string line; std::getline(in, line);) {
    unsigned long long qw0, count;
    if (sscanf(line.c_str(), "{ qw0: %llu } hitcount: %llu", &qw0, &count) == 2)
      switch (qw0 & 0xf) {
        case 2:  // by domain
        case 6:  // by PASID
          found.iotlb += count;
          break;
        case 3:
        case 8:  // by PASID
          found.device_tlb += count;
          break;
      }
    else if (sscanf(line.c_str(), " Dropped: %llu", &count) == 1)
      complete = count == 0;
  }
  EXPECT_TRUE(complete) << "the kernel's histogram";
  return found;
}

Invalidations count_vtd(const std::function<void()>& body) {
  EXPECT_OK(write_text(kEvent + "/trigger", kHistogram));
  body();
  const Invalidations found = read_histogram();
  EXPECT_OK(write_text(kEvent + "/trigger", "!" + kHistogram));
  return found;
}

// --- AMD --------------------------------------------------------------------

// The name of a function in the kernel, which the compiler may have given a
// suffix.
std::string symbol_of(const std::string& function) {
  std::ifstream in("/proc/kallsyms");
  for (std::string line; std::getline(in, line);) {
    const std::string name = line.substr(line.rfind(' ') + 1);
    if (name == function || name.rfind(function + ".constprop", 0) == 0)
      return name;
  }
  ADD_FAILURE() << "the kernel has no " << function;
  return "";
}

// Counts calls of a function.
class Probe {
 public:
  Probe(const std::string& name, const std::string& function) : name_(name) {
    EXPECT_OK(write_text(kTracing + "/kprobe_events",
                         "p:" + name + " " + symbol_of(function)));
    enable(true);
  }
  ~Probe() {
    enable(false);
    EXPECT_OK(write_text(kTracing + "/kprobe_events", "-:" + name_));
  }
  Probe(const Probe&) = delete;

  uint64_t calls() const {
    std::ifstream in(kTracing + "/kprobe_profile");
    uint64_t hits, missed;
    for (std::string name; in >> name >> hits >> missed;)
      if (name == name_) {
        EXPECT_EQ(missed, 0u);
        return hits;
      }
    ADD_FAILURE() << "no profile of " << name_;
    return 0;
  }

 private:
  void enable(bool on) {
    EXPECT_OK(write_text(kTracing + "/events/kprobes/" + name_ + "/enable",
                         on ? "1" : "0"));
  }
  const std::string name_;
};

Invalidations count_amd(const std::function<void()>& body) {
  const Probe iotlb("stack_iotlb", "__domain_flush_pages");
  const Probe device_tlb("stack_device_tlb", "device_flush_iotlb");
  body();
  return {iotlb.calls(), device_tlb.calls()};
}

}  // namespace

bool has_vtd() { return exists("/sys/class/iommu/dmar0"); }

Invalidations count_invalidations(const std::function<void()>& body) {
  if (!exists(kTracing + "/trace")) {
    EXPECT_EQ(mount("tracefs", kTracing.c_str(), "tracefs", 0, nullptr), 0);
  }
  if (has_vtd()) return count_vtd(body);
  EXPECT_TRUE(exists("/sys/class/iommu/ivhd0")) << "VT-d or AMD's";
  return count_amd(body);
}

}  // namespace stack
