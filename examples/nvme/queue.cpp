// SPDX-License-Identifier: GPL-2.0
//
// Queue pairs, and how commands describe their data.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include "nvme.hpp"

namespace nvme {

// The device's structures are little-endian, and are used here as they are.
static_assert(std::endian::native == std::endian::little);

// One entry of a completion queue.
struct QueuePair::CompletionEntry {
  std::uint32_t result;
  std::uint32_t reserved;
  std::uint16_t submission_head;
  std::uint16_t submission_id;
  std::uint16_t command_id;
  std::uint16_t status;  // bit 0: the phase
};

std::string Status::text() const {
  struct Name {
    std::uint16_t value;
    const char* name;
  };
  static constexpr Name kNames[] = {
      {0x000, "success"},           {0x001, "invalid opcode"},
      {0x002, "invalid field"},     {0x004, "data transfer error"},
      {0x006, "internal error"},    {0x007, "aborted by request"},
      {0x00b, "invalid namespace"}, {0x013, "invalid PRP offset"},
      {0x080, "LBA out of range"},  {0x281, "unrecovered read error"},
  };
  std::string text = sys::format("0x%03x", value_);
  for (const auto& entry : kNames)
    if (entry.value == value_) return text + " " + entry.name;
  return text;
}

Prps make_prps(std::uint64_t data_iova, std::size_t size, std::span<std::uint64_t> list,
               std::uint64_t list_iova) {
  if (size <= kPage) return {data_iova, 0};
  if (size <= 2 * kPage) return {data_iova, data_iova + kPage};
  std::size_t entry = 0;
  for (std::size_t offset = kPage; offset < size; offset += kPage)
    list[entry++] = data_iova + offset;
  return {data_iova, list_iova};
}

QueuePair::QueuePair(vfio::Container& container, sys::EventFd& event, std::uint16_t id,
                     unsigned depth)
    : event_(event),
      id_(id),
      entries_(static_cast<std::uint16_t>(depth + 1)),
      submission_(container, entries_ * sizeof(Command), vfio::Access::kDeviceReads),
      completion_(container, entries_ * sizeof(CompletionEntry), vfio::Access::kDeviceWrites) {}

void QueuePair::reset(volatile std::uint32_t* submission_doorbell,
                      volatile std::uint32_t* completion_doorbell) {
  static_assert(sizeof(CompletionEntry) == 16);
  submission_doorbell_ = submission_doorbell;
  completion_doorbell_ = completion_doorbell;
  submission_tail_ = 0;
  completion_head_ = 0;
  phase_ = true;
  reaped_ = false;
  // All phases 0: the device writes 1 in its first turn.
  std::ranges::fill(completion_.bytes(), std::byte{0});
}

void QueuePair::submit(const Command& command) {
  submission_.as<Command>()[submission_tail_] = command;
  submission_tail_ = next(submission_tail_);
}

void QueuePair::ring_doorbell() {
  // The device must find the commands in memory when it sees the doorbell.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  *submission_doorbell_ = submission_tail_;
}

std::optional<Completion> QueuePair::reap() {
  const volatile CompletionEntry& entry = completion_.as<CompletionEntry>()[completion_head_];
  const std::uint16_t status = entry.status;
  if ((status & 1) != phase_) {
    // Nothing new: the right time to tell the device, once for all, what we took.
    if (std::exchange(reaped_, false)) *completion_doorbell_ = completion_head_;
    return {};
  }
  // The phase is written last: read nothing of the entry, nor the data it
  // announces, before it.
  std::atomic_thread_fence(std::memory_order_acquire);
  const Completion completion{.result = entry.result,
                              .command_id = entry.command_id,
                              .status = Status(static_cast<std::uint16_t>(status >> 1))};
  completion_head_ = next(completion_head_);
  if (completion_head_ == 0) phase_ = !phase_;
  reaped_ = true;
  return completion;
}

std::optional<Completion> QueuePair::wait(std::chrono::milliseconds timeout) {
  // First look, then sleep: an interrupt that we sleep for comes after the look,
  // and stays in the eventfd until we take it.
  for (;;) {
    if (auto completion = reap()) return completion;
    const std::uint64_t events = event_.wait(timeout);
    if (events == 0) return {};
    interrupts_ += events;
  }
}

std::uint64_t QueuePair::interrupts() {
  // Those that came while there was no need to sleep are still in the eventfd.
  interrupts_ += event_.wait(std::chrono::milliseconds(0));
  return interrupts_;
}

std::optional<Completion> QueuePair::execute(Command command, std::chrono::milliseconds timeout) {
  command.id = next_id_++;
  submit(command);
  ring_doorbell();
  const auto completion = wait(timeout);
  if (completion && completion->command_id != command.id)
    throw CommandError(sys::format("queue %u: completion of command %u while waiting for %u", id_,
                                   completion->command_id, command.id));
  reap();  // finds nothing, and so gives the entry back
  return completion;
}

}  // namespace nvme
