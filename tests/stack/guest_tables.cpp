// SPDX-License-Identifier: GPL-2.0
#include "guest_tables.hpp"

#include <endian.h>

#include <algorithm>

namespace stack {

namespace {
constexpr uint64_t kPage = 4096;
}

GuestTables::GuestTables(uint8_t* memory, uint32_t format, uint64_t end)
    : memory_(memory), format_(format), next_(end), root_(new_table(2)) {}

unsigned GuestTables::shift(unsigned level) const {
  if (!s390()) return 12 + 9 * level;
  return level == 0 ? 12 : 20 + 11 * (level - 1);
}

unsigned GuestTables::entries(unsigned level) const {
  if (!s390()) return 512;
  return level == 0 ? 256 : 2048;
}

uint64_t GuestTables::invalid(unsigned level) const {
  if (!s390()) return 0;
  return level == 0 ? 0x400 : 0x20;
}

uint64_t GuestTables::swap(uint64_t value) const {
  return s390() ? htobe64(value) : htole64(value);
}

uint64_t GuestTables::anchor() const {
  // Translation, designation type region-third table.
  return s390() ? root_ | 0x800 | 1 << 2 : root_;
}

// Tables are aligned to their size.
uint64_t GuestTables::new_table(unsigned level) {
  const uint64_t size = entries(level) * sizeof(uint64_t);
  next_ = (next_ - size) & ~(size - 1);
  auto* table = reinterpret_cast<uint64_t*>(memory_ + next_);
  for (unsigned i = 0; i < entries(level); i++) table[i] = swap(invalid(level));
  return next_;
}

uint64_t* GuestTables::entry(uint64_t iova, unsigned level) {
  uint64_t table = root_;
  for (unsigned at = 2;; at--) {
    auto* found = reinterpret_cast<uint64_t*>(memory_ + table) +
                  (iova >> shift(at)) % entries(at);
    if (at == level) return found;
    const uint64_t value = swap(*found);
    const bool frame = s390() ? at == 1 && value & 0x400 : value & 0x80;
    if (value == invalid(at) || frame) {
      table = new_table(at - 1);
      // Region entries have a length; entries of VT-d permissions.
      *found = swap(table | (s390() ? (at == 2 ? 0x7 : 0) : 0x3));
    } else {
      table = value & ~0x7ffull;
    }
  }
}

void GuestTables::write(uint64_t iova, unsigned level, uint64_t value) {
  __atomic_store_n(entry(iova, level), swap(value), __ATOMIC_RELEASE);
}

void GuestTables::repeat(uint64_t iova) {
  for (unsigned level : {1u, 2u}) {
    uint64_t* const found = entry(iova, level);
    uint64_t* const table = found - (iova >> shift(level)) % entries(level);
    std::fill_n(table, entries(level), *found);
  }
}

std::optional<GuestTables::Page> GuestTables::find(uint64_t iova) const {
  uint64_t table = root_;
  uint32_t prot = kGuestReadWrite;
  for (unsigned level = 2;; level--) {
    const auto* entries_of = reinterpret_cast<const uint64_t*>(memory_ + table);
    const uint64_t value =
        swap(entries_of[(iova >> shift(level)) % entries(level)]);
    if (s390() ? value & invalid(level) : !(value & kGuestReadWrite))
      return std::nullopt;
    if (s390() ? value & 0x200 : !(value & kGuestWrite)) prot &= ~kGuestWrite;
    const bool frame = s390() ? level == 1 && value & 0x400 : value & 0x80;
    if (level == 0 || frame) {
      const uint64_t size = 1ull << shift(level);
      return Page{(value & ~(size - 1)) | (iova & (size - 1) & ~(kPage - 1)),
                  prot};
    }
    table = value & ~(s390() ? 0x7ffull : kPage - 1);
  }
}

void GuestTables::map(uint64_t iova, uint64_t gpa, uint32_t prot) {
  if (s390())
    write(iova, 0, gpa | (prot & kGuestWrite ? 0 : 0x200));
  else
    write(iova, 0, gpa | prot);
}

void GuestTables::map_frame(uint64_t iova, uint64_t gpa, uint32_t prot) {
  if (s390())
    write(iova, 1, gpa | 0x400 | (prot & kGuestWrite ? 0 : 0x200));
  else
    write(iova, 1, gpa | 0x80 | prot);
}

void GuestTables::unmap(uint64_t iova, unsigned level) {
  write(iova, level, invalid(level));
}

}  // namespace stack
