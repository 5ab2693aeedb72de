// SPDX-License-Identifier: GPL-2.0
//
// A user of samples/mdev_copy: one instance, open, with its ring in memory,
// its doorbell page mapped and its MSI on an eventfd. IOVAs below kRing are the
// tests' own.
#pragma once

#include <vector>

#include "../../samples/mdev_copy/mdev_copy.h"
#include "mdev.hpp"

namespace stack {

// How the engine learns of new descriptors.
enum class Doorbell {
  kTail,    // the register, trapped
  kWrite,   // write() to the doorbell page
  kKick,    // a store to the mapped page, and the register KICK
  kPolled,  // a store to the mapped page, KICK if the engine sleeps
};
std::string doorbell_name(Doorbell doorbell);

class CopyEngine {
 public:
  static constexpr uint64_t kRing = 1ull << 38;

  // `container`: another engine's, to be shared; the ring is then elsewhere.
  explicit CopyEngine(const std::string& uuid,
                      Doorbell doorbell = Doorbell::kTail, int container = -1);
  CopyEngine(const CopyEngine&) = delete;

  bool ok() const { return ok_; }
  int container() const { return session_.container(); }
  int device() const { return session_.device(); }
  int irq() const { return irq_; }
  uint32_t entries() const { return entries_; }

  uint32_t read32(uint32_t offset) const;
  uint64_t read64(uint32_t offset) const;
  void write32(uint32_t offset, uint32_t value) const;
  void write64(uint32_t offset, uint64_t value) const;
  uint64_t pinned() const { return read64(MDEV_COPY_PINNED); }
  bool halted() const;

  void master(bool on) const;
  // Programs the ring and turns it on. False if the engine refused it.
  bool enable(uint64_t base, uint32_t entries);
  bool enable() { return enable(ring_iova_, entries_); }
  void disable();

  // Puts a descriptor behind the others, without a word to the engine; its
  // slot.
  uint32_t push(const mdev_copy_desc& desc);
  // Tells the engine of all there are.
  void ring();
  void ring(uint32_t tail);
  // Room for one more.
  bool full() const;

  volatile mdev_copy_desc& at(uint32_t slot);
  // Waits until the slot is done; its error, or ~0 if it takes too long.
  uint32_t wait(uint32_t slot, int timeout_ms = 10000);
  // Until the registers too know of what is done: they follow its status.
  void settle() const;
  // The three together.
  uint32_t run(const mdev_copy_desc& desc);

  volatile mdev_copy_doorbell* doorbell() const { return page_; }
  void close();

 private:
  MdevSession session_;
  Memory memory_, page_memory_;
  volatile mdev_copy_doorbell* page_ = nullptr;
  Doorbell kind_;
  Fd irq_;
  uint64_t ring_iova_;
  uint32_t entries_ = 0, tail_ = 0;
  bool ok_ = false;
};

mdev_copy_desc copy_desc(uint64_t dst, uint64_t src, uint32_t length,
                         bool irq = false);
mdev_copy_desc fill_desc(uint64_t dst, uint32_t value, uint32_t length,
                         bool irq = false);
mdev_copy_desc crc_desc(uint64_t src, uint32_t length, bool irq = false);

// The CRC that crc_desc() asks for.
uint32_t crc32_of(const uint8_t* data, size_t size);

// The same bytes for the same seed.
void fill_random(uint8_t* data, size_t size, uint64_t seed);

// The driver, loaded, without instances at the end; and one of a type.
class CopyTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
  // An instance of a type, removed when the test ends.
  void create(const std::string& type, const std::string& uuid);
  void create() { create("64", uuid_); }
  // Lets the unprivileged user open the instance.
  void give_to_user();

  const std::string uuid_ = test_uuid(0xc0);
  std::optional<SampleDriver> driver_;
};

}  // namespace stack
