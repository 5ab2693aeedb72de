// SPDX-License-Identifier: GPL-2.0
//
// A guest of vfio_zpci: memory, I/O page tables in it as an s390 Linux or a
// driver of VT-d builds them, and the ioctls of the container in one line each.
#pragma once

#include "harness.hpp"
#include "uapi/vfio_zpci.h"

namespace stack {

constexpr uint32_t kGuestRead = 1, kGuestWrite = 2;
constexpr uint32_t kGuestReadWrite = kGuestRead | kGuestWrite;

// Guest memory with a table of one of the formats, of three levels. Guest
// addresses are offsets into the memory; the table's own pages are below an
// end.
class GuestTables {
 public:
  GuestTables(Memory& memory, uint32_t format, uint64_t end);

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
  // Writes an entry as it is.
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

  Memory& memory_;
  const uint32_t format_;
  uint64_t next_;
  uint64_t root_;
};

// Fills in argsz. Each returns the ioctl's result.
long zpci_register(int container, uint32_t fh, int group_fd,
                   const GuestTables& tables, uint64_t pba = 0,
                   uint64_t pal = (1ull << 38) - 1);
long zpci_register_direct(int container, uint32_t fh, int group_fd,
                          uint64_t pba, uint64_t pal);
long zpci_deregister(int container, uint32_t fh, uint32_t flags = 0);
long zpci_set_state(int container, uint32_t fh, uint32_t state);
struct ZpciRefreshed {
  long result;
  uint32_t cc, status;
  bool operator==(const ZpciRefreshed&) const = default;
};
ZpciRefreshed zpci_refresh(int container, uint32_t fh, uint64_t start,
                           uint64_t length);
std::ostream& operator<<(std::ostream& out, const ZpciRefreshed& refreshed);
constexpr ZpciRefreshed kRefreshed{0, VFIO_ZPCI_CC_OK, 0};
vfio_zpci_event zpci_event(int container, uint32_t fh, uint32_t flags = 0);
vfio_zpci_statistics zpci_statistics(int container, uint32_t fh);

}  // namespace stack
