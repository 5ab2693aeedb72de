// SPDX-License-Identifier: GPL-2.0
//
// What the guest and its VMM agree on: where things are in the guest's memory, and what the
// guest asks for by writing to a port. Both are built from this file.
//
// The value that is written to a port is the guest address of the structure named beside
// it, which the VMM reads, and fills in before the guest goes on. A refresh is different: its
// structure is always at kRefreshPage, and the guest looks at `completion` until it is
// answered, so that whoever sees the write to the port may do the work: the VMM, or with a
// doorbell the kernel.
#pragma once

#include <stdint.h>

namespace protocol {

constexpr uint64_t kPage = 4096;

// The guest's memory begins at guest address 0.
constexpr uint64_t kMemorySize = 16 << 20;
constexpr uint64_t kCpuTables = 0x1000;    // three pages: what the processor translates by
constexpr uint64_t kBoot = 0x4000;         // Boot
constexpr uint64_t kRefreshPage = 0x5000;  // RefreshRequest
constexpr uint64_t kCode = 0x10000;        // the program, with its data
constexpr uint64_t kStackEnd = 0x80000;
constexpr uint64_t kIoTables = 0x100000;     // the I/O page tables, up to kData
constexpr uint64_t kData = 0x400000;         // what the device reads and writes
constexpr uint64_t kRegisters = 0x30000000;  // BAR 0 of the device

enum class Format : uint32_t { kS390, kVtd };

// The VMM's words to the guest when it starts.
struct Boot {
  Format format;
  uint32_t levels;      // of the I/O page tables
  uint64_t first_iova;  // the guest uses this one and those above
};

// The I/O page table is at `anchor`; IOVAs from pba to pal are translated by it. This is the
// instruction MPCIFC of an s390, or the context entry and its invalidation of VT-d.
constexpr uint16_t kRegisterPort = 0x500;
struct Registration {
  uint64_t anchor, pba, pal;
};

// Entries for this range of IOVAs have changed: the instruction RPCIT, or an invalidation of
// VT-d's IOTLB in caching mode. cc and status are those of RPCIT. The structure begins as a
// struct vfio_zpci_doorbell_page does, with one range.
constexpr uint16_t kRefreshPort = 0x504;
struct RefreshRequest {
  static constexpr uint64_t kOneRange = 1ull << 32;
  // A sequence number, and above it how many ranges there are.
  uint64_t request;
  // The sequence number of what has been answered, cc and status.
  uint64_t completion;
  uint64_t start, length;

  static constexpr uint64_t answer(uint64_t request, uint64_t cc, uint64_t status) {
    return static_cast<uint32_t>(request) | cc << 32 | status << 40;
  }
  static constexpr uint32_t cc(uint64_t completion) { return completion >> 32 & 0xff; }
  static constexpr uint32_t status(uint64_t completion) { return completion >> 40 & 0xff; }
};

// Returns the error event that a refresh has left, if any, and enables the function again.
constexpr uint16_t kEventPort = 0x508;
struct Event {
  uint64_t address;
  uint32_t code;
};

// A line of the guest's story. With an IOVA it is about DMA that must not arrive.
constexpr uint16_t kReportPort = 0x50c;
struct Report {
  uint64_t text;  // guest address of a string
  uint64_t iova;  // or 0
  uint32_t ok;
};

// What did the last refresh cost, for so many pages? The guest has waited for it so long, in
// ticks of its processor's time stamp counter.
constexpr uint16_t kCostPort = 0x510;
struct Cost {
  uint64_t text;
  uint64_t pages;
  uint64_t waited;
};

// The guest has no timer: the VMM sleeps for a while. The value is of no meaning.
constexpr uint16_t kWaitPort = 0x514;
// The guest has ended.
constexpr uint16_t kEndPort = 0x518;

}  // namespace protocol
