// SPDX-License-Identifier: GPL-2.0
//
// The guest: it owns a device with DMA, QEMU's edu, behind an IOMMU whose tables it builds in
// its own memory, in the format that the VMM offers. After each change of its tables it asks
// for a refresh, as an operating system does, has the device read or write, and looks at its
// memory: what its tables permit arrives, and what they do not permit does not.
//
// It runs alone on a processor without an operating system, and has no C library.
#include "protocol.hpp"

using namespace protocol;

// The compiler may call them for structures.
extern "C" void* memset(void* to, int value, unsigned long size) {
  auto* bytes = static_cast<volatile uint8_t*>(to);
  for (unsigned long i = 0; i < size; i++) bytes[i] = static_cast<uint8_t>(value);
  return to;
}

namespace {

template <typename T>
volatile T& at(uint64_t address) {
  return *reinterpret_cast<volatile T*>(address);
}

// All of the guest's memory is below 4 GiB.
void out(uint16_t port, uint64_t value) {
  asm volatile("outl %k0, %1" ::"a"(value), "d"(port) : "memory");
}

template <typename T>
void ask(uint16_t port, T& request) {
  out(port, reinterpret_cast<uint64_t>(&request));
}

// --- the story ------------------------------------------------------------

uint64_t address_of(const char* text) { return reinterpret_cast<uint64_t>(text); }

void report(const char* text, bool ok) {
  Report line{address_of(text), 0, ok};
  ask(kReportPort, line);
}

// The device has tried to write to the IOVA.
void report_blocked(const char* text, uint64_t iova, bool ok) {
  Report line{address_of(text), iova, ok};
  ask(kReportPort, line);
}

// --- the I/O page tables ----------------------------------------------------

constexpr bool kWritable = true, kReadOnly = false;

// A table of the format. Levels count from the page tables up: an entry of level 0 is for a
// page, one of level n for a table of level n - 1, or for a frame of the same span.
class IoTables {
 public:
  IoTables(Format format, uint32_t levels)
      : s390_(format == Format::kS390), top_(levels - 1), root_(new_table(top_)) {}

  // What the guest tells the IOMMU of it. s390: translation is on, and of which type the
  // first table is.
  uint64_t anchor() const { return s390_ ? root_ | 0x800 | (top_ - 1) << 2 : root_; }
  // The last IOVA that all of the formats and the device's IOMMU translate.
  static constexpr uint64_t last() { return (1ull << 38) - 1; }
  // The span of an entry above the page tables.
  uint64_t frame_size() const { return 1ull << shift(1); }

  void map(uint64_t iova, uint64_t address, bool writable) {
    write(iova, 0, address | permission(writable));
  }
  void map_frame(uint64_t iova, uint64_t address, bool writable) {
    write(iova, 1, address | (s390_ ? 0x400 : 0x80) | permission(writable));
  }
  void unmap(uint64_t iova) { write(iova, 0, invalid(0)); }
  void unmap_frame(uint64_t iova) { write(iova, 1, invalid(1)); }

 private:
  unsigned shift(unsigned level) const {
    if (!s390_) return 12 + 9 * level;
    return level == 0 ? 12 : 20 + 11 * (level - 1);
  }
  unsigned entries(unsigned level) const {
    if (!s390_) return 512;
    return level == 0 ? 256 : 2048;
  }
  uint64_t invalid(unsigned level) const {
    if (!s390_) return 0;
    return level == 0 ? 0x400 : 0x20;
  }
  // s390 protects from writing, VT-d permits reading and writing.
  uint64_t permission(bool writable) const {
    if (s390_) return writable ? 0 : 0x200;
    return writable ? 0x3 : 0x1;
  }
  // For an entry that leads to the table: in s390, those of region tables have a type and a
  // length.
  uint64_t link(unsigned level, uint64_t table) const {
    if (!s390_) return table | 0x3;
    return level >= 2 ? table | (level - 1) << 2 | 0x3 : table;
  }
  uint64_t origin(uint64_t entry) const { return entry & ~(s390_ ? 0x7ffull : 0xfffull); }
  bool is_frame(unsigned level, uint64_t entry) const {
    return level == 1 && entry & (s390_ ? 0x400 : 0x80);
  }
  // s390 is big-endian, the processor here is not.
  uint64_t swap(uint64_t entry) const { return s390_ ? __builtin_bswap64(entry) : entry; }

  // Tables are aligned to their size.
  uint64_t new_table(unsigned level) {
    const uint64_t size = entries(level) * sizeof(uint64_t);
    const uint64_t table = (free_ + size - 1) & ~(size - 1);
    free_ = table + size;
    for (unsigned i = 0; i < entries(level); i++)
      at<uint64_t>(table + i * sizeof(uint64_t)) = swap(invalid(level));
    return table;
  }

  // One store: whoever walks the table meanwhile sees the old entry or the new one.
  void write(uint64_t iova, unsigned level, uint64_t entry) {
    uint64_t table = root_;
    for (unsigned i = top_;; i--) {
      const uint64_t place = table + (iova >> shift(i)) % entries(i) * sizeof(uint64_t);
      if (i == level) {
        at<uint64_t>(place) = swap(entry);
        return;
      }
      const uint64_t found = swap(at<uint64_t>(place));
      if (found == invalid(i) || is_frame(i, found)) {
        table = new_table(i - 1);
        at<uint64_t>(place) = swap(link(i, table));
      } else {
        table = origin(found);
      }
    }
  }

  const bool s390_;
  const unsigned top_;
  uint64_t free_ = kIoTables;
  const uint64_t root_;
};

struct Refreshed {
  uint32_t cc, status;
};

// Says that entries for the range have changed, and waits until that is so for the device.
Refreshed refresh(uint64_t start, uint64_t length) {
  static uint32_t sequence;
  auto& request = at<RefreshRequest>(kRefreshPage);
  request.start = start;
  request.length = length;
  sequence++;
  __atomic_store_n(&request.request, RefreshRequest::kOneRange | sequence, __ATOMIC_RELEASE);
  out(kRefreshPort, 0);

  uint64_t completion;
  while (completion = __atomic_load_n(&request.completion, __ATOMIC_ACQUIRE),
         static_cast<uint32_t>(completion) != sequence)
    __builtin_ia32_pause();
  return {RefreshRequest::cc(completion), RefreshRequest::status(completion)};
}

bool refreshed(uint64_t start, uint64_t length) { return refresh(start, length).cc == 0; }

// --- the device -------------------------------------------------------------

// The edu has a buffer of 4 KiB, and copies it to or from memory.
constexpr uint64_t kDmaSize = 64;

void edu_transfer(uint64_t from, uint64_t to, uint64_t command) {
  constexpr uint64_t kFrom = 0x80, kTo = 0x88, kSize = 0x90, kCommand = 0x98, kStart = 1;
  at<uint64_t>(kRegisters + kFrom) = from;
  at<uint64_t>(kRegisters + kTo) = to;
  at<uint64_t>(kRegisters + kSize) = kDmaSize;
  at<uint64_t>(kRegisters + kCommand) = command | kStart;
  while (at<uint64_t>(kRegisters + kCommand) & kStart) out(kWaitPort, 0);
}

constexpr uint64_t kEduBuffer = 0x40000;
void edu_reads(uint64_t iova) { edu_transfer(iova, kEduBuffer, 0); }
void edu_writes(uint64_t iova) { edu_transfer(kEduBuffer, iova, 2); }

void fill(uint64_t address, uint8_t value) {
  for (uint64_t i = 0; i < kDmaSize; i++) at<uint8_t>(address + i) = value;
}

bool filled(uint64_t address, uint8_t value) {
  for (uint64_t i = 0; i < kDmaSize; i++)
    if (at<uint8_t>(address + i) != value) return false;
  return true;
}

// --- what happens -----------------------------------------------------------

class Story {
 public:
  explicit Story(const volatile Boot& boot)
      : tables_(boot.format, boot.levels), first_iova_(boot.first_iova) {
    Registration registration{tables_.anchor(), 0, IoTables::last()};
    ask(kRegisterPort, registration);
  }

  void run() {
    map_change_and_invalidate();
    protect();
    map_a_frame();
    make_a_mistake();
    measure();
  }

 private:
  // The device has the value in its buffer afterwards.
  void device_takes(uint8_t value) {
    fill(kSource, value);
    edu_reads(source_iova());
  }

  void map_change_and_invalidate() {
    const uint64_t iova = first_iova_;
    fill(kFirst, kUntouched);
    fill(kSecond, kUntouched);

    tables_.map(source_iova(), kSource, kWritable);
    report("a page is mapped, and refreshed", refreshed(source_iova(), kPage));
    device_takes(0x11);
    tables_.map(iova, kFirst, kWritable);
    edu_writes(iova);
    report_blocked("DMA to a page whose entry nobody has refreshed", iova,
                   filled(kFirst, kUntouched));
    bool ok = refreshed(iova, kPage);
    edu_writes(iova);
    report("after the refresh, DMA arrives", ok && filled(kFirst, 0x11));

    tables_.map(iova, kSecond, kWritable);
    ok = refreshed(iova, kPage);
    device_takes(0x22);
    edu_writes(iova);
    report("the entry is changed: DMA arrives in the other page, and there alone",
           ok && filled(kSecond, 0x22) && filled(kFirst, 0x11));

    tables_.unmap(iova);
    ok = refreshed(iova, kPage);
    device_takes(0x33);
    edu_writes(iova);
    report_blocked("DMA to a page that is invalidated", iova, ok && filled(kSecond, 0x22));
  }

  void protect() {
    const uint64_t iova = first_iova_ + kPage;
    fill(kFirst, 0x44);
    fill(kSecond, kUntouched);

    tables_.map(iova, kFirst, kReadOnly);
    tables_.map(iova + kPage, kSecond, kWritable);
    bool ok = refreshed(iova, 2 * kPage);
    // What is in the device's buffer from before does not arrive.
    edu_writes(iova);
    report_blocked("DMA to a page that is write-protected", iova, ok && filled(kFirst, 0x44));
    edu_reads(iova);
    edu_writes(iova + kPage);
    report("the device may read it", filled(kSecond, 0x44));

    tables_.map(iova, kFirst, kWritable);
    ok = refreshed(iova, kPage);
    device_takes(0x55);
    edu_writes(iova);
    report("the protection is lifted: DMA arrives", ok && filled(kFirst, 0x55));
  }

  // A large frame is one entry and one refresh.
  void map_a_frame() {
    const uint64_t size = tables_.frame_size();
    const uint64_t iova = first_iova_ + (64 << 20), inside = 5 * kPage;
    fill(kFrame + inside, kUntouched);

    tables_.map_frame(iova, kFrame, kWritable);
    bool ok = refreshed(iova, size);
    device_takes(0x66);
    edu_writes(iova + inside);
    report("a frame is mapped by one entry: DMA arrives inside",
           ok && filled(kFrame + inside, 0x66));
    tables_.unmap_frame(iova);
    ok = refreshed(iova, size);
    fill(kFrame + inside, kUntouched);
    edu_writes(iova + inside);
    report("the entry is invalidated: DMA does not arrive",
           ok && filled(kFrame + inside, kUntouched));
  }

  // An entry that leads out of the guest's memory.
  void make_a_mistake() {
    constexpr uint32_t kError = 1, kErrorStatus = 8, kInErrorStatus = 40, kInvalidEntry = 7;
    const uint64_t iova = first_iova_ + 4 * kPage;

    tables_.map(iova, kMemorySize, kWritable);
    const Refreshed wrong = refresh(iova, kPage), again = refresh(source_iova(), kPage);
    Event event{};
    ask(kEventPort, event);
    report("an entry leads out of memory: the refresh says so, with an event",
           wrong.cc == kError && wrong.status == kErrorStatus && again.status == kInErrorStatus &&
               event.code == kInvalidEntry && event.address == iova);
    tables_.map(iova, kFirst, kWritable);
    bool ok = refreshed(iova, kPage);
    device_takes(0x77);
    edu_writes(iova);
    report("it is put right: DMA arrives", ok && filled(kFirst, 0x77));
  }

  // Changes `count` pages, and has the VMM say what their refresh cost.
  template <typename Change>
  void cost(const char* text, uint64_t count, Change change) {
    const uint64_t iova = first_iova_ + (128 << 20);
    for (uint64_t i = 0; i < count; i++) change(iova + i * kPage, i);
    const uint64_t begin = __builtin_ia32_rdtsc();
    measured_ &= refreshed(iova, count * kPage);
    const uint64_t waited = __builtin_ia32_rdtsc() - begin;
    if (!warm_) return;
    Cost ask_for{address_of(text), count, waited};
    ask(kCostPort, ask_for);
  }

  void measure() {
    constexpr uint64_t kPages = 256;
    const auto unmap = [&](uint64_t iova, uint64_t) { tables_.unmap(iova); };
    const auto in_order = [&](uint64_t iova, uint64_t i) {
      tables_.map(iova, kFrame + i * kPage, kWritable);
    };
    const auto scattered = [&](uint64_t iova, uint64_t i) {
      tables_.map(iova, kFrame + i * 37 % kPages * kPage, kWritable);
    };
    // A neighbour, so that the IOMMU's own tables need not be made for one page.
    tables_.map(first_iova_ + (128 << 20) + kPages * kPage, kFrame, kWritable);
    measured_ &= refreshed(first_iova_ + (128 << 20) + kPages * kPage, kPage);
    // What happens for the first time costs more: it does not count.
    for (int round = 0; round < 2; round++, warm_ = true) {
      cost("1 new page", 1, in_order);
      cost("1 page invalidated", 1, unmap);
      cost("256 new pages, scattered", kPages, scattered);
      cost("256 pages changed", kPages, in_order);
      cost("256 pages invalidated", kPages, unmap);
      cost("256 new pages, contiguous", kPages, in_order);
      for (uint64_t i = 0; i < kPages; i++) tables_.unmap(first_iova_ + (128 << 20) + i * kPage);
      measured_ &= refreshed(first_iova_ + (128 << 20), kPages * kPage);
    }
    report("many pages at a time", measured_);
  }

  static constexpr uint8_t kUntouched = 0xee;
  // Pages of the guest's memory, and a frame as large as both formats have them.
  static constexpr uint64_t kSource = kData, kFirst = kData + kPage, kSecond = kData + 2 * kPage;
  static constexpr uint64_t kFrame = kData + (2 << 20);
  uint64_t source_iova() const { return first_iova_ + 8 * kPage; }

  IoTables tables_;
  const uint64_t first_iova_;
  bool warm_ = false, measured_ = true;
};

}  // namespace

extern "C" void guest_main() {
  Story(at<Boot>(kBoot)).run();
  out(kEndPort, 0);
}
