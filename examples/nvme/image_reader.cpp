// SPDX-License-Identifier: GPL-2.0
#include "image_reader.hpp"

#include <algorithm>

namespace nvme {
namespace {

constexpr std::uint64_t kChunkBytes = 128u << 10;
constexpr std::chrono::seconds kReadTimeout{20};

}  // namespace

// The namespace is cut into chunks, one read command each; the last may be
// shorter. Chunk c uses slot c modulo depth, so the chunks in flight are a window
// [oldest, oldest + depth) that moves on when its oldest chunk has been handed on.
ImageReader::ImageReader(vfio::Container& container, Controller& controller)
    : controller_(controller) {
  const Namespace& space = controller.namespace_info();
  chunk_bytes_ = std::min<std::uint64_t>(kChunkBytes, controller.identity().max_transfer);
  chunk_bytes_ -= chunk_bytes_ % space.block_size;
  total_bytes_ = space.bytes();

  const unsigned depth = controller.io().depth();
  slots_.reserve(depth);
  for (unsigned i = 0; i < depth; i++)
    slots_.push_back(Slot{.buffer = TransferBuffer(container, chunk_bytes_)});
}

std::uint64_t ImageReader::dma_bytes(unsigned depth) {
  return depth * (sys::round_up_to_page(kChunkBytes) + sys::round_up_to_page(kPage));
}

std::uint64_t ImageReader::chunk_size(std::uint64_t chunk) const {
  return std::min(chunk_bytes_, total_bytes_ - chunk * chunk_bytes_);
}

void ImageReader::submit(std::uint64_t chunk) {
  const std::uint32_t block_size = controller_.namespace_info().block_size;
  const std::uint64_t size = chunk_size(chunk);
  Slot& slot = slot_of(chunk);
  slot.done = false;
  Command command = controller_.read_command(chunk * chunk_bytes_ / block_size,
                                             static_cast<std::uint32_t>(size / block_size),
                                             slot.buffer.prps(size));
  command.id = static_cast<std::uint16_t>(chunk % slots_.size());
  controller_.io().submit(command);
}

void ImageReader::take(const Completion& completion) {
  if (completion.command_id >= slots_.size() || slots_[completion.command_id].done)
    throw CommandError(
        sys::format("completion of command %u, which is not in flight", completion.command_id));
  if (!completion.status.ok())
    throw CommandError("reading the namespace: status " + completion.status.text());
  slots_[completion.command_id].done = true;
}

ImageReader::Report ImageReader::run(const Sink& sink, const Progress& progress) {
  try {
    return read_all(sink, progress);
  } catch (...) {
    // Commands may still be in flight into buffers that are about to go away. The
    // IOMMU would stop them, but it should not have to.
    try {
      controller_.disable();
    } catch (const std::exception&) {
      // It has to, then; the first error is the one to report.
    }
    throw;
  }
}

ImageReader::Report ImageReader::read_all(const Sink& sink, const Progress& progress) {
  QueuePair& queue = controller_.io();
  const auto start = std::chrono::steady_clock::now();
  const std::uint64_t interrupts_before = queue.interrupts();
  const std::uint64_t chunks = (total_bytes_ + chunk_bytes_ - 1) / chunk_bytes_;
  Report report;

  for (auto& slot : slots_) slot.done = true;
  std::uint64_t submitted = 0;
  for (std::uint64_t oldest = 0; oldest < chunks;) {
    if (submitted < chunks && submitted < oldest + slots_.size()) {
      while (submitted < chunks && submitted < oldest + slots_.size()) submit(submitted++);
      queue.ring_doorbell();
    }

    if (!slot_of(oldest).done) {
      const auto completion = queue.wait(kReadTimeout);
      if (!completion)
        throw TimeoutError(sys::format("reading the namespace: no interrupt for %lld s",
                                       static_cast<long long>(kReadTimeout.count())));
      take(*completion);
    }
    while (const auto more = queue.reap()) take(*more);

    // One chunk a turn, so that the device gets its next command before the next
    // chunk is worked on.
    if (slot_of(oldest).done) {
      const std::uint64_t size = chunk_size(oldest);
      sink(slot_of(oldest).buffer.bytes().first(size));
      oldest++;
      report.bytes += size;
      progress(report.bytes, total_bytes_);
    }
  }
  report.commands = submitted;
  report.interrupts = queue.interrupts() - interrupts_before;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace nvme
