// SPDX-License-Identifier: GPL-2.0
//
// The controller: registers, bring-up, identification, shutdown.
#include "nvme.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <thread>

namespace nvme {
namespace {

using std::chrono::milliseconds;

// Registers (section 3.1), offsets in BAR 0.
constexpr std::uint64_t kCap = 0x00;   // capabilities, 64 bits
constexpr std::uint64_t kCc = 0x14;    // configuration
constexpr std::uint64_t kCsts = 0x1c;  // status
constexpr std::uint64_t kAqa = 0x24;   // admin queue sizes
constexpr std::uint64_t kAsq = 0x28;   // admin submission queue, 64 bits
constexpr std::uint64_t kAcq = 0x30;   // admin completion queue, 64 bits
constexpr std::uint64_t kDoorbells = 0x1000;

constexpr std::uint32_t kCcEnable = 1u << 0;
constexpr std::uint32_t kCcShutdownMask = 3u << 14;
constexpr std::uint32_t kCcShutdownNormal = 1u << 14;
constexpr std::uint32_t kCcSubmissionEntry = 6u << 16;  // 2^6 bytes
constexpr std::uint32_t kCcCompletionEntry = 4u << 20;  // 2^4 bytes

constexpr std::uint32_t kCstsReady = 1u << 0;
constexpr std::uint32_t kCstsFatal = 1u << 1;
constexpr std::uint32_t kCstsShutdownMask = 3u << 2;
constexpr std::uint32_t kCstsShutdownDone = 2u << 2;

// All ones is what a read gives of a device that is gone.
constexpr std::uint32_t kGone = 0xffffffff;

// Opcodes (sections 5 and 6).
constexpr std::uint8_t kCreateIoSubmissionQueue = 0x01;
constexpr std::uint8_t kCreateIoCompletionQueue = 0x05;
constexpr std::uint8_t kIdentify = 0x06;
constexpr std::uint8_t kSetFeatures = 0x09;
constexpr std::uint8_t kRead = 0x02;

constexpr std::uint32_t kFeatureNumberOfQueues = 0x07;

// What Identify shall tell about (its CNS field).
constexpr std::uint32_t kIdentifyNamespace = 0;
constexpr std::uint32_t kIdentifyController = 1;
constexpr std::uint32_t kIdentifyActiveNamespaces = 2;

constexpr unsigned kAdminDepth = 31;
constexpr milliseconds kAdminTimeout{10000};
constexpr milliseconds kShutdownTimeout{5000};

// A field of a structure that the device wrote.
template <typename T>
T field(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// Such a field of text: padded by blanks, and the device may put anything there.
std::string text_field(std::span<const std::byte> bytes, std::size_t offset, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(bytes.data()) + offset, size);
  text.erase(text.find_last_not_of(std::string_view(" \0", 2)) + 1);
  std::ranges::replace_if(
      text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

}  // namespace

Controller::Controller(vfio::Container& container, vfio::Device& device, unsigned depth)
    : container_(container),
      registers_(device.map_bar(0)),
      capabilities_(registers_.read64(kCap)),
      identify_buffer_(container, kPage, vfio::Access::kDeviceWrites),
      admin_(container, admin_event_, 0, kAdminDepth) {
  if (capabilities_ == ~std::uint64_t{0})
    throw std::runtime_error("the controller does not answer");
  if ((capabilities_ >> 48 & 0xf) != 0)  // CAP.MPSMIN
    throw std::runtime_error("the controller has no memory pages of 4 KiB");
  const auto max_entries = static_cast<unsigned>(capabilities_ & 0xffff) + 1;  // CAP.MQES
  if (depth + 1 > max_entries)
    throw std::runtime_error(
        sys::format("the controller's queues are at most %u deep", max_entries - 1));

  // A vector for each queue, or one for both. It may take effect only when the
  // controller gets enabled (QEMU 7.2's does so), so this comes before that.
  disable();
  device.enable_bus_master();
  const unsigned vectors = device.msix_vectors();
  if (vectors == 0) throw std::runtime_error("the controller has no MSI-X");
  io_vector_ = vectors > 1 ? 1 : 0;
  sys::EventFd& io_event = io_vector_ == 1 ? io_event_ : admin_event_;
  const sys::EventFd* const events[] = {&admin_event_, &io_event_};
  device.enable_msix(std::span(events).first(io_vector_ + 1u));

  io_ = std::make_unique<QueuePair>(container_, io_event, std::uint16_t{1}, depth);
  try {
    enable();
  } catch (...) {
    // The destructor of a half-made object does not run.
    registers_.write32(kCc, 0);
    throw;
  }
}

Controller::~Controller() {
  // Each step on its own: a controller that fails the polite one still has to be
  // stopped before its queues go away.
  for (const auto step : {&Controller::shut_down, &Controller::disable}) {
    try {
      (this->*step)();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "nvme: stopping the controller: %s\n", error.what());
    }
  }
}

std::uint64_t Controller::dma_bytes(unsigned depth) {
  constexpr std::size_t kCompletionEntryBytes = 16;
  const auto rings = [](std::size_t entries) {
    return sys::round_up_to_page(entries * sizeof(Command)) +
           sys::round_up_to_page(entries * kCompletionEntryBytes);
  };
  return rings(kAdminDepth + 1) + rings(depth + 1) + sys::round_up_to_page(kPage);
}

void Controller::wait_ready(bool ready) {
  // CAP.TO: how long the controller may take, in units of 500 ms.
  const auto limit = milliseconds(500) * std::max<std::uint64_t>(capabilities_ >> 24 & 0xff, 1);
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const std::uint32_t status = registers_.read32(kCsts);
    if (status == kGone) throw std::runtime_error("the controller does not answer any more");
    if (((status & kCstsReady) != 0) == ready) return;
    if (ready && (status & kCstsFatal))
      throw std::runtime_error("the controller reports a fatal error");
    if (std::chrono::steady_clock::now() > deadline)
      throw TimeoutError(sys::format("the controller is not %s after %lld ms (CSTS %#x)",
                                     ready ? "ready" : "idle",
                                     static_cast<long long>(limit.count()), status));
    std::this_thread::sleep_for(milliseconds(1));
  }
}

void Controller::disable() {
  const std::uint32_t configuration = registers_.read32(kCc);
  if (configuration & kCcEnable) registers_.write32(kCc, configuration & ~kCcEnable);
  wait_ready(false);
}

void Controller::enable() {
  admin_.reset(doorbell(0, false), doorbell(0, true));
  io_->reset(doorbell(1, false), doorbell(1, true));

  const std::uint32_t last = admin_.entries() - 1u;
  registers_.write32(kAqa, last << 16 | last);
  registers_.write64(kAsq, admin_.submission_iova());
  registers_.write64(kAcq, admin_.completion_iova());
  registers_.write32(kCc, kCcEnable | kCcSubmissionEntry | kCcCompletionEntry);
  wait_ready(true);

  identify();
  create_io_queues();
}

void Controller::restart() {
  disable();
  enable();
}

// Lets the controller write its caches out (section 7.6.2).
void Controller::shut_down() {
  const std::uint32_t configuration = registers_.read32(kCc);
  if (!(configuration & kCcEnable)) return;
  registers_.write32(kCc, (configuration & ~kCcShutdownMask) | kCcShutdownNormal);
  const auto deadline = std::chrono::steady_clock::now() + kShutdownTimeout;
  while ((registers_.read32(kCsts) & kCstsShutdownMask) != kCstsShutdownDone) {
    if (std::chrono::steady_clock::now() > deadline)
      throw TimeoutError("the controller does not complete its shutdown");
    std::this_thread::sleep_for(milliseconds(1));
  }
}

Completion Controller::admin(const Command& command, const std::string& doing) {
  const auto completion = admin_.execute(command, kAdminTimeout);
  if (!completion)
    throw TimeoutError(
        sys::format("%s: no answer (CSTS %#x)", doing.c_str(), registers_.read32(kCsts)));
  if (!completion->status.ok()) throw CommandError(doing + ": status " + completion->status.text());
  return *completion;
}

void Controller::identify() {
  const std::span<const std::byte> data = identify_buffer_.bytes();
  Command command{.opcode = kIdentify, .prp1 = identify_buffer_.iova()};

  command.dword10 = kIdentifyController;
  admin(command, "identifying the controller");
  identity_.serial = text_field(data, 4, 20);
  identity_.model = text_field(data, 24, 40);
  identity_.firmware = text_field(data, 64, 8);
  // MDTS: a power of two of pages, 0 is no limit.
  const auto mdts = field<std::uint8_t>(data, 77);
  identity_.max_transfer = kMaxPrpBytes;
  if (mdts != 0 && mdts < 20)
    identity_.max_transfer = std::min(identity_.max_transfer, kPage << mdts);

  command.dword10 = kIdentifyActiveNamespaces;
  admin(command, "listing the namespaces");
  namespace_.id = field<std::uint32_t>(data, 0);
  if (namespace_.id == 0) throw std::runtime_error("the controller has no active namespace");

  command.namespace_id = namespace_.id;
  command.dword10 = kIdentifyNamespace;
  admin(command, sys::format("identifying namespace %u", namespace_.id));
  namespace_.blocks = field<std::uint64_t>(data, 0);
  const auto format_index = field<std::uint8_t>(data, 26) & 0xf;
  const auto format = field<std::uint32_t>(data, 128 + format_index * sizeof(std::uint32_t));
  const unsigned block_shift = format >> 16 & 0xff;
  if (block_shift < 9 || 1ULL << block_shift > kMaxBlockBytes)
    throw std::runtime_error(sys::format("blocks of 2^%u bytes are not supported", block_shift));
  if ((format & 0xffff) != 0)
    throw std::runtime_error("namespaces with metadata in or by their blocks are not supported");
  namespace_.block_size = 1u << block_shift;
  if (identity_.max_transfer < namespace_.block_size)
    throw std::runtime_error("the controller cannot transfer one block");
}

void Controller::create_io_queues() {
  // One queue of each kind, counted from 0.
  Command features{.opcode = kSetFeatures, .dword10 = kFeatureNumberOfQueues, .dword11 = 0};
  admin(features, "asking for an I/O queue pair");

  constexpr std::uint32_t kContiguous = 1u << 0;
  constexpr std::uint32_t kInterrupts = 1u << 1;
  const std::uint32_t size_and_id = (io_->entries() - 1u) << 16 | io_->id();

  // The completion queue first: the submission queue names it.
  Command completion{.opcode = kCreateIoCompletionQueue, .prp1 = io_->completion_iova()};
  completion.dword10 = size_and_id;
  completion.dword11 = std::uint32_t{io_vector_} << 16 | kInterrupts | kContiguous;
  admin(completion, "creating the I/O completion queue");

  Command submission{.opcode = kCreateIoSubmissionQueue, .prp1 = io_->submission_iova()};
  submission.dword10 = size_and_id;
  submission.dword11 = std::uint32_t{io_->id()} << 16 | kContiguous;
  admin(submission, "creating the I/O submission queue");
}

Command Controller::read_command(std::uint64_t block, std::uint32_t nblocks, Prps prps) const {
  Command command{.opcode = kRead, .namespace_id = namespace_.id};
  command.prp1 = prps.prp1;
  command.prp2 = prps.prp2;
  command.dword10 = static_cast<std::uint32_t>(block);
  command.dword11 = static_cast<std::uint32_t>(block >> 32);
  command.dword12 = nblocks - 1;  // counted from 0
  return command;
}

volatile std::uint32_t* Controller::doorbell(std::uint16_t queue, bool completion) {
  const std::uint64_t stride = 4u << (capabilities_ >> 32 & 0xf);  // CAP.DSTRD
  return registers_.at(kDoorbells + (2u * queue + (completion ? 1 : 0)) * stride);
}

}  // namespace nvme
