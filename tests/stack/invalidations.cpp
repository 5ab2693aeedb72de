// SPDX-License-Identifier: GPL-2.0
#include "invalidations.hpp"

#include <sys/mount.h>

#include <fstream>

namespace stack {

static const std::string kTracing = "/sys/kernel/tracing";
static const std::string kEvent = kTracing + "/events/intel_iommu/qi_submit";
// The first quad-word of a descriptor has its type in the lowest four bits
// (VT-d specification, 6.5.2), and few other values: the kernel counts by it.
static const std::string kHistogram = "hist:keys=qw0";

static Invalidations read_histogram() {
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

Invalidations count_invalidations(const std::function<void()>& body) {
  if (!exists(kTracing + "/trace")) {
    EXPECT_EQ(mount("tracefs", kTracing.c_str(), "tracefs", 0, nullptr), 0);
  }
  EXPECT_TRUE(exists("/sys/class/iommu/dmar0")) << "VT-d";
  EXPECT_OK(write_text(kEvent + "/trigger", kHistogram));
  body();
  const Invalidations found = read_histogram();
  EXPECT_OK(write_text(kEvent + "/trigger", "!" + kHistogram));
  return found;
}

}  // namespace stack
