// SPDX-License-Identifier: GPL-2.0
//
// An NVMe controller with one I/O queue pair, after the NVM Express base
// specification 1.4 (section numbers in nvme.cpp are that document's).
//
// A queue pair is two rings in our memory. We write commands into the submission
// ring and tell the device by a doorbell register; the device writes completions
// into the completion ring and tells us by an interrupt.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

#include "system.hpp"
#include "vfio.hpp"

namespace nvme {

// The unit of the device's addresses: its memory page size, which we set to 4 KiB.
inline constexpr std::size_t kPage = 4096;

// One entry of a submission queue.
struct Command {
  std::uint8_t opcode = 0;
  std::uint8_t flags = 0;
  std::uint16_t id = 0;  // comes back in the completion
  std::uint32_t namespace_id = 0;
  std::uint64_t reserved = 0;
  std::uint64_t metadata = 0;
  std::uint64_t prp1 = 0;  // where the data is: see Prps
  std::uint64_t prp2 = 0;
  std::uint32_t dword10 = 0;
  std::uint32_t dword11 = 0;
  std::uint32_t dword12 = 0;
  std::uint32_t dword13 = 0;
  std::uint32_t dword14 = 0;
  std::uint32_t dword15 = 0;
};
static_assert(sizeof(Command) == 64);

// How a command ended: a status code type, and a status code within it.
class Status {
 public:
  explicit Status(std::uint16_t field = 0) : value_(field & 0x7ff) {}

  bool ok() const { return value_ == 0; }
  std::string text() const;

 private:
  std::uint16_t value_;
};

struct Completion {
  std::uint32_t result;
  std::uint16_t command_id;
  Status status;
};

struct CommandError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct TimeoutError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Physical region pages: how a command says where its data is. Up to two pages
// stand in the command itself; else the second field points to a list of pages.
struct Prps {
  std::uint64_t prp1;
  std::uint64_t prp2;
};

// Describes `size` bytes from the page-aligned `data_iova`, by `list` (one page
// at `list_iova`) if needed. `size` is at most kMaxPrpBytes.
Prps make_prps(std::uint64_t data_iova, std::size_t size, std::span<std::uint64_t> list,
               std::uint64_t list_iova);
inline constexpr std::size_t kMaxPrpBytes = kPage / sizeof(std::uint64_t) * kPage;

// A data buffer that the device writes, together with the page of its PRP list,
// which the device only reads.
class TransferBuffer {
 public:
  TransferBuffer(vfio::Container& container, std::size_t size)
      : data_(container, size, vfio::Access::kDeviceWrites),
        list_(container, kPage, vfio::Access::kDeviceReads) {}

  std::span<std::byte> bytes() const { return data_.bytes(); }

  // For a transfer of `size` bytes into it, or to another place by its list.
  Prps prps(std::size_t size) { return prps_to(data_.iova(), size); }
  Prps prps_to(std::uint64_t data_iova, std::size_t size) {
    return make_prps(data_iova, size, list_.as<std::uint64_t>(), list_.iova());
  }

 private:
  vfio::DmaBuffer data_;
  vfio::DmaBuffer list_;
};

class QueuePair {
 public:
  // The rings for queue `id` with `depth` commands in flight at most. Completions
  // are announced through `event`.
  QueuePair(vfio::Container& container, sys::EventFd& event, std::uint16_t id, unsigned depth);

  std::uint16_t id() const { return id_; }
  unsigned depth() const { return entries_ - 1; }
  std::uint16_t entries() const { return entries_; }
  std::uint64_t submission_iova() const { return submission_.iova(); }
  std::uint64_t completion_iova() const { return completion_.iova(); }

  // Empties both rings. Only while the device does not use them.
  void reset(volatile std::uint32_t* submission_doorbell,
             volatile std::uint32_t* completion_doorbell);

  // Puts a command into the ring; the device sees it after ring_doorbell(). The
  // caller keeps at most depth() commands in flight.
  void submit(const Command& command);
  void ring_doorbell();

  // The next completion, if the device has written one.
  std::optional<Completion> reap();

  // As reap(), but sleeps until there is one. Nothing after the timeout.
  std::optional<Completion> wait(std::chrono::milliseconds timeout);

  // One command alone, from submission to completion.
  std::optional<Completion> execute(Command command, std::chrono::milliseconds timeout);

  // Interrupts that have come so far.
  std::uint64_t interrupts();

 private:
  struct CompletionEntry;

  std::uint16_t next(std::uint16_t index) const {
    return index + 1 == entries_ ? 0 : static_cast<std::uint16_t>(index + 1);
  }

  sys::EventFd& event_;
  std::uint16_t id_;
  std::uint16_t entries_;  // one more than the depth: a full ring would look empty
  vfio::DmaBuffer submission_;
  vfio::DmaBuffer completion_;
  volatile std::uint32_t* submission_doorbell_ = nullptr;
  volatile std::uint32_t* completion_doorbell_ = nullptr;
  std::uint16_t submission_tail_ = 0;
  std::uint16_t completion_head_ = 0;
  std::uint16_t next_id_ = 0;  // for execute()
  bool phase_ = true;          // of a new completion: flips with each turn of the ring
  bool reaped_ = false;        // something the device has not been told about
  std::uint64_t interrupts_ = 0;
};

inline constexpr std::size_t kMaxBlockBytes = 64u << 10;

struct Namespace {
  std::uint32_t id = 0;
  std::uint64_t blocks = 0;
  std::uint32_t block_size = 0;  // bytes

  std::uint64_t bytes() const { return blocks * block_size; }
};

struct Identity {
  std::string model;
  std::string serial;
  std::string firmware;
  std::size_t max_transfer = 0;  // bytes in one command
};

class Controller {
 public:
  // Takes the controller over from whatever state it is in.
  Controller(vfio::Container& container, vfio::Device& device, unsigned depth);
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;
  ~Controller();

  const Identity& identity() const { return identity_; }
  const Namespace& namespace_info() const { return namespace_; }
  QueuePair& io() { return *io_; }

  Command read_command(std::uint64_t block, std::uint32_t nblocks, Prps prps) const;

  // Stops the controller, which forgets all its commands, and brings it up again.
  void restart();

  // Stops the controller at once: after this it touches no memory. The way out
  // when commands may still be in flight; restart() brings it back.
  void disable();

  // The DMA memory of a controller with that depth, in bytes.
  static std::uint64_t dma_bytes(unsigned depth);

 private:
  void enable();
  void wait_ready(bool ready);
  void shut_down();
  Completion admin(const Command& command, const std::string& doing);
  void identify();
  void create_io_queues();
  volatile std::uint32_t* doorbell(std::uint16_t queue, bool completion);

  vfio::Container& container_;
  vfio::Registers registers_;
  std::uint64_t capabilities_ = 0;
  sys::EventFd admin_event_;
  sys::EventFd io_event_;
  vfio::DmaBuffer identify_buffer_;
  QueuePair admin_;
  std::unique_ptr<QueuePair> io_;
  std::uint16_t io_vector_ = 0;
  Identity identity_;
  Namespace namespace_;
};

}  // namespace nvme
