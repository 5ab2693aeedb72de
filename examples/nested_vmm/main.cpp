// SPDX-License-Identifier: GPL-2.0
//
// nested_vmm: a small VMM whose guest has an IOMMU. Runs the guest (guest.cpp) on KVM, with a
// device that vfio-pci has, once for each format of I/O page tables that is named, and prints
// the guest's story and what its refreshes cost.
#include <linux/vfio.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "device.hpp"
#include "iommu.hpp"
#include "machine.hpp"
#include "protocol.hpp"
#include "uapi/vfio_zpci.h"

// The guest's program, linked into this one by the Makefile.
extern "C" const std::byte kGuestBegin[], kGuestEnd[];

namespace {

constexpr char kUsage[] =
    "usage: nested_vmm [--doorbell | --per-page] BDF FORMAT...\n"
    "\n"
    "Runs a guest that has the edu device at the PCI address BDF, for each FORMAT of its\n"
    "I/O page tables: s390 or vtd, or with more than three levels s390-4, s390-5, vtd-4, vtd-5.\n"
    "\n"
    "  --doorbell   let KVM tell vfio_zpci that the tables have changed, without an exit\n"
    "  --per-page   do not let vfio_zpci follow the tables, but tell type1 page by page\n";

constexpr int kExitUsage = 2;

struct UsageError {};

// How the guest's refreshes are done.
enum class Way { kRefresh, kDoorbell, kPerPage };

const char* name_of(Way way) {
  switch (way) {
    case Way::kRefresh:
      return "VFIO_ZPCI_REFRESH";
    case Way::kDoorbell:
      return "a doorbell of vfio_zpci";
    case Way::kPerPage:
      break;
  }
  return "VFIO_IOMMU_MAP_DMA and UNMAP_DMA for each page";
}

class Vmm {
 public:
  Vmm(const std::string& bdf, Way way, const protocol::Boot& boot)
      : machine_(protocol::kMemorySize),
        group_(bdf, way == Way::kPerPage ? VFIO_TYPE1v2_IOMMU : VFIO_ZPCI_IOMMU),
        boot_(boot) {
    // Before the device is opened, as its driver learns of the machine then.
    machine_.add_vfio_group(group_.fd());
    device_ = std::make_unique<Device>(group_, bdf);
    machine_.add_registers(protocol::kRegisters, device_->registers());
    if (way == Way::kDoorbell) doorbell_ = machine_.add_doorbell(protocol::kRefreshPort);
    if (way == Way::kPerPage)
      iommu_ = std::make_unique<PerPageIommu>(group_.container(), machine_);
    else
      iommu_ =
          std::make_unique<NestedIommu>(group_.container(), group_.fd(), machine_, doorbell_.get());
    machine_.at<protocol::Boot>(protocol::kBoot) = boot;
    machine_.load(protocol::kCode, {kGuestBegin, kGuestEnd});
  }

  // Returns whether all lines of the guest's story hold.
  bool run() {
    for (;;) {
      const auto [port, value] = machine_.run();
      switch (port) {
        case protocol::kRegisterPort:
          iommu_->register_table(boot_, machine_.at<protocol::Registration>(value));
          break;
        case protocol::kRefreshPort:
          refresh();
          break;
        case protocol::kEventPort:
          machine_.at<protocol::Event>(value) = iommu_->recover();
          break;
        case protocol::kReportPort:
          print(machine_.at<protocol::Report>(value));
          break;
        case protocol::kCostPort:
          print(machine_.at<protocol::Cost>(value));
          break;
        case protocol::kWaitPort:
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
          break;
        case protocol::kEndPort:
          return holds_;
        default:
          throw std::runtime_error("the guest writes to port " + std::to_string(port));
      }
    }
  }

 private:
  // The guest's write to the port has brought the processor back to us.
  void refresh() {
    auto& request = machine_.at<protocol::RefreshRequest>(protocol::kRefreshPage);
    const auto [cc, status] = iommu_->refresh(request.start, request.length);
    __atomic_store_n(&request.completion,
                     protocol::RefreshRequest::answer(request.request, cc, status),
                     __ATOMIC_RELEASE);
  }

  void print(const protocol::Report& report) {
    holds_ = holds_ && report.ok;
    std::printf("  %-6s %s", report.ok ? "ok" : "FAILED", machine_.text(report.text).c_str());
    if (report.iova)
      std::printf(" %s (IOVA %#llx)", report.ok ? "is blocked" : "is not blocked",
                  static_cast<unsigned long long>(report.iova));
    std::puts("");
  }

  void print(const protocol::Cost& cost) {
    const auto& meter = iommu_->meter();
    const std::uint64_t pages = cost.pages ? cost.pages : 1;
    std::printf("  cost   %s: ioctls %llu, ticks a page %llu, waited for %llu\n",
                machine_.text(cost.text).c_str(), static_cast<unsigned long long>(meter.calls()),
                static_cast<unsigned long long>(meter.ticks() / pages),
                static_cast<unsigned long long>(cost.waited / pages));
  }

  Machine machine_;
  Group group_;
  std::unique_ptr<Device> device_;
  Fd doorbell_;
  std::unique_ptr<Iommu> iommu_;
  const protocol::Boot boot_;
  bool holds_ = true;
};

protocol::Boot parse_format(const std::string& text, Way way) {
  using protocol::Format;
  static const std::map<std::string, std::pair<Format, std::uint32_t>> kFormats{
      {"s390", {Format::kS390, 3}}, {"s390-4", {Format::kS390, 4}}, {"s390-5", {Format::kS390, 5}},
      {"vtd", {Format::kVtd, 3}},   {"vtd-4", {Format::kVtd, 4}},   {"vtd-5", {Format::kVtd, 5}}};
  const auto found = kFormats.find(text);
  if (found == kFormats.end()) throw UsageError();
  // Each has IOVAs of its own, so that faults in the kernel's log can be told apart.
  const auto number = static_cast<std::uint64_t>(std::distance(kFormats.begin(), found));
  return {found->second.first, found->second.second,
          (3 * number + static_cast<std::uint64_t>(way) + 1) << 28};
}

bool run(const std::vector<std::string>& arguments) {
  auto next = arguments.begin();
  Way way = Way::kRefresh;
  if (next != arguments.end() && *next == "--doorbell") way = Way::kDoorbell;
  if (next != arguments.end() && *next == "--per-page") way = Way::kPerPage;
  if (way != Way::kRefresh) next++;
  if (arguments.end() - next < 2) throw UsageError();
  const std::string bdf = *next++;

  bool holds = true;
  for (; next != arguments.end(); next++) {
    const protocol::Boot boot = parse_format(*next, way);
    std::printf("guest: tables of %s with %u levels, %s\n",
                boot.format == protocol::Format::kVtd ? "VT-d" : "s390", boot.levels, name_of(way));
    holds = Vmm(bdf, way, boot).run() && holds;
    std::fflush(stdout);
  }
  return holds;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc}) ? 0 : 1;
  } catch (const UsageError&) {
    std::fputs(kUsage, stderr);
    return kExitUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "nested_vmm: %s\n", error.what());
    return 1;
  }
}
