// SPDX-License-Identifier: GPL-2.0
#include "flushes.hpp"

#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>

#include "memory.hpp"

namespace bench {
namespace {

const std::string kTracing = "/sys/kernel/tracing";
const std::string kEvent = kTracing + "/events/intel_iommu/qi_submit";
// The first quad-word of a descriptor: its type, and what does not change from one page to the
// next. So the kernel can count them by it.
const std::string kHistogram = "hist:keys=qw0";

// The types of descriptors that invalidate the IOTLB (VT-d specification, 6.5.2): 2, and 6 by
// PASID.
bool is_iotlb(unsigned long long qw0) { return (qw0 & 0xf) == 2 || (qw0 & 0xf) == 6; }
// The same of devices' TLBs.
bool is_device_tlb(unsigned long long qw0) { return (qw0 & 0xf) == 3 || (qw0 & 0xf) == 8; }

const std::string kTlbEvent = kTracing + "/events/tlb/tlb_flush";
const std::string kTlbHistogram = "hist:keys=reason";
// TLB_FLUSH_ON_TASK_SWITCH.
constexpr unsigned kTaskSwitch = 0;

bool have_tracefs() {
  return access((kTracing + "/trace").c_str(), F_OK) == 0 ||
         mount("tracefs", kTracing.c_str(), "tracefs", 0, nullptr) == 0;
}

}  // namespace

bool Flushes::can_count() {
  if (!have_tracefs()) return false;
  // The event is there on every x86 kernel; the IOMMU behind it may be another.
  return access((kEvent + "/hist").c_str(), F_OK) == 0 &&
         access("/sys/class/iommu/dmar0", F_OK) == 0;
}

void Flushes::begin() { write_file(kEvent + "/trigger", kHistogram); }

Flushes::Counts Flushes::end() {
  Counts flushes;
  bool complete = false;
  std::ifstream in(kEvent + "/hist");
  for (std::string line; std::getline(in, line);) {
    unsigned long long qw0, count;
    if (std::sscanf(line.c_str(), "{ qw0: %llu } hitcount: %llu", &qw0, &count) == 2) {
      flushes.iotlb += is_iotlb(qw0) ? count : 0;
      flushes.device_tlb += is_device_tlb(qw0) ? count : 0;
    } else if (std::sscanf(line.c_str(), " Dropped: %llu", &count) == 1) {
      complete = count == 0;
    }
  }
  write_file(kEvent + "/trigger", "!" + kHistogram);
  if (!complete) throw std::runtime_error("the kernel's histogram is not complete");
  return flushes;
}

bool TlbFlushes::can_count() {
  return have_tracefs() && access((kTlbEvent + "/hist").c_str(), F_OK) == 0;
}

void TlbFlushes::begin() { write_file(kTlbEvent + "/trigger", kTlbHistogram); }

std::uint64_t TlbFlushes::end() {
  std::uint64_t flushes = 0;
  std::ifstream in(kTlbEvent + "/hist");
  for (std::string line; std::getline(in, line);) {
    unsigned reason;
    unsigned long long count;
    if (std::sscanf(line.c_str(), "{ reason: %u } hitcount: %llu", &reason, &count) == 2 &&
        reason != kTaskSwitch)
      flushes += count;
  }
  write_file(kTlbEvent + "/trigger", "!" + kTlbHistogram);
  return flushes;
}

}  // namespace bench
