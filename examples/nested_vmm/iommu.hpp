// SPDX-License-Identifier: GPL-2.0
//
// What a VMM does when its guest says that entries of its I/O page table have changed. Two
// ways to the same outcome:
//
//   NestedIommu   vfio_zpci follows the guest's table: one ioctl, whatever has changed; or
//                 none, if KVM tells vfio_zpci of it
//   PerPageIommu  the VMM follows it, and tells type1: an ioctl a page, or two
#pragma once

#include <linux/vfio.h>

#include <cstdint>
#include <map>
#include <optional>

#include "machine.hpp"
#include "protocol.hpp"

// Calls into the kernel, counted. A tick is one of the processor's time stamp counter; in
// QEMU with -icount, that is an instruction.
class Meter {
 public:
  template <typename Request>
  int call(int fd, unsigned long request, Request& argument) {
    const std::uint64_t begin = __builtin_ia32_rdtsc();
    const int result = ioctl(fd, request, &argument);
    ticks_ += __builtin_ia32_rdtsc() - begin;
    calls_++;
    return result;
  }
  void reset() { *this = {}; }
  std::uint64_t calls() const { return calls_; }
  std::uint64_t ticks() const { return ticks_; }

 private:
  std::uint64_t calls_ = 0, ticks_ = 0;
};

class Iommu {
 public:
  struct Outcome {
    std::uint32_t cc, status;  // as RPCIT has them
  };

  virtual ~Iommu() = default;
  // From now on the guest's table at the anchor counts.
  virtual void register_table(const protocol::Boot& format,
                              const protocol::Registration& registration) = 0;
  virtual Outcome refresh(std::uint64_t start, std::uint64_t length) = 0;
  // Takes the event that is pending, if any, and lets the function work again.
  virtual protocol::Event recover() = 0;

  // What the last refresh cost.
  const Meter& meter() const { return meter_; }

 protected:
  Meter meter_;
};

// The container's IOMMU driver is VFIO_ZPCI_IOMMU.
class NestedIommu : public Iommu {
 public:
  // Hands over all of the guest's memory, once: devices reach nothing else. doorbell: an eventfd
  // that the guest's writes to protocol::kRefreshPort signal, or -1 if the VMM sees these.
  NestedIommu(int container, int group, const Machine& machine, int doorbell);

  void register_table(const protocol::Boot& format,
                      const protocol::Registration& registration) override;
  Outcome refresh(std::uint64_t start, std::uint64_t length) override;
  protocol::Event recover() override;

 private:
  const int container_, group_, doorbell_;
};

// The container's IOMMU driver is VFIO_TYPE1v2_IOMMU.
class PerPageIommu : public Iommu {
 public:
  PerPageIommu(int container, const Machine& machine);

  void register_table(const protocol::Boot& format,
                      const protocol::Registration& registration) override;
  Outcome refresh(std::uint64_t start, std::uint64_t length) override;
  protocol::Event recover() override;

 private:
  struct Page {
    std::uint64_t address;
    bool writable;
    bool operator==(const Page&) const = default;
  };
  // What the table says for IOVAs up to `last`: they are consecutive pages from `page` on, or
  // not mapped.
  struct Found {
    std::uint64_t last;
    std::optional<Page> page;
    std::uint32_t event;  // why the table is wrong, or 0
  };
  Found walk(std::uint64_t iova) const;
  unsigned shift(unsigned level) const;

  void map(std::uint64_t iova, const Page& page);
  void unmap(std::uint64_t iova);
  void unmap_all(std::uint64_t first, std::uint64_t last);

  const int container_;
  const Machine& machine_;
  protocol::Boot format_{};
  protocol::Registration registration_{};
  // What is mapped, by IOVA: type1 does not say it.
  std::map<std::uint64_t, Page> mapped_;
  protocol::Event event_{};
};
