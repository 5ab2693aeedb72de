// SPDX-License-Identifier: GPL-2.0
//
// A guest with an I/O page table of its own in its memory, in the format of s390, and the two ways
// in which a VMM answers when the guest has changed it: vfio_zpci follows the table in one ioctl;
// with type1 the VMM maps and unmaps page by page.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "container.hpp"
#include "memory.hpp"

struct vfio_zpci_doorbell_page;

namespace bench {

class NestedGuest {
 public:
  // Whether some module follows tables.
  static bool possible();

  // Guest address 0 is at the beginning of the memory. The functions have the same table; they are
  // of as many devices as there are, in turn. Throws what fails.
  explicit NestedGuest(const Memory& memory, std::size_t functions = 1);
  ~NestedGuest();
  NestedGuest(const NestedGuest&) = delete;
  NestedGuest& operator=(const NestedGuest&) = delete;

  // Whether the container follows the table.
  bool nested() const { return nested_; }

  // The guest maps a page, or makes the entries of pages invalid.
  void map(std::uint64_t iova, std::uint64_t gpa);
  void invalidate(std::uint64_t iova, std::size_t npages);

  // What the guest has changed in the range takes effect: with type1 each page that is valid is
  // mapped, and the others are unmapped.
  void refresh(std::uint64_t iova, std::uint64_t size);
  // The same for all functions.
  void refresh_all(std::uint64_t iova, std::uint64_t size);

  // Plugs memory, and returns its guest address; and unplugs it.
  std::uint64_t add_memory(const Memory& memory);
  void remove_memory(const Memory& memory);

  // Asks for the refresh of one page in the doorbell's page. ring() signals the doorbell, after
  // which the page has to be refreshed; write_event() signals an eventfd for which nobody waits.
  void ask(std::uint64_t iova);
  void ring() const { signal(bell_); }
  void write_event() const { signal(other_); }
  // Whether what was asked for last is done.
  bool answered() const;

  // The bytes in which vfio_zpci keeps what is mapped, and how many pages that is.
  struct Record {
    std::uint64_t bytes, pages;
  };
  Record record() const;

 private:
  static void signal(int eventfd);
  vfio_zpci_doorbell_page& doorbell_page() const;
  void add_function(std::uint32_t fh, int group);
  void refresh_function(std::uint32_t fh, std::uint64_t iova, std::uint64_t size);
  std::uint64_t more_gpa() const { return tables_gpa_ + tables_.size(); }
  std::uint64_t* entry(std::uint64_t iova);
  std::uint64_t new_table(std::size_t entries, std::uint64_t invalid);

  const std::uint64_t memory_;
  const bool nested_;
  std::unique_ptr<Container> container_;
  std::size_t functions_;
  // Of further devices, and all devices.
  std::vector<int> groups_, devices_;
  int bell_ = -1, other_ = -1;
  std::uint32_t asked_ = 0;
  // The tables are memory of the guest's as well.
  Memory tables_;
  std::uint64_t tables_gpa_;
  std::uint64_t used_;
  std::uint64_t root_;
};

}  // namespace bench
