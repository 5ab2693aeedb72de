// SPDX-License-Identifier: GPL-2.0
//
// A guest's I/O page tables, in its memory, as an s390 Linux or a driver of
// VT-d builds them. Other test programs than this folder's use it as well.
#pragma once

#include <cstdint>
#include <optional>

#include "uapi/vfio_zpci.h"

namespace stack {

constexpr uint32_t kGuestRead = 1, kGuestWrite = 2;
constexpr uint32_t kGuestReadWrite = kGuestRead | kGuestWrite;

// Guest memory with a table of one of the formats, of three levels. Guest
// addresses are offsets into the memory; the table's own pages are below an
// end.
class GuestTables {
 public:
  GuestTables(uint8_t* memory, uint32_t format, uint64_t end);

  // What VFIO_ZPCI_REGISTER takes as the anchor.
  uint64_t anchor() const;
  uint32_t format() const { return format_; }
  uint32_t levels() const { return format_ == VFIO_ZPCI_FORMAT_VTD ? 3 : 0; }
  // The span of an entry above the page tables.
  uint64_t frame_size() const { return 1ull << shift(1); }

  void map(uint64_t iova, uint64_t gpa, uint32_t prot = kGuestReadWrite);
  void map_frame(uint64_t iova, uint64_t gpa, uint32_t prot = kGuestReadWrite);
  // Makes the entry of a level invalid.
  void unmap(uint64_t iova, unsigned level = 0);
  // Reads and writes an entry as it is.
  uint64_t read(uint64_t iova, unsigned level) {
    return swap(*entry(iova, level));
  }
  void write(uint64_t iova, unsigned level, uint64_t entry);
  // Lets all entries above page tables be those that lead to an IOVA.
  void repeat(uint64_t iova);

  // What a VMM finds that follows the table itself.
  struct Page {
    uint64_t gpa;
    uint32_t prot;
    bool operator==(const Page&) const = default;
  };
  std::optional<Page> find(uint64_t iova) const;

 private:
  bool s390() const { return format_ == VFIO_ZPCI_FORMAT_S390; }
  unsigned shift(unsigned level) const;
  unsigned entries(unsigned level) const;
  uint64_t invalid(unsigned level) const;
  uint64_t new_table(unsigned level);
  // The entry of a level, with tables above it as they are needed.
  uint64_t* entry(uint64_t iova, unsigned level);
  uint64_t swap(uint64_t value) const;

  uint8_t* const memory_;
  const uint32_t format_;
  uint64_t next_;
  uint64_t root_;
};

}  // namespace stack
