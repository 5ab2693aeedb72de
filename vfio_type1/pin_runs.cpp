// SPDX-License-Identifier: GPL-2.0
#include "pin_runs.hpp"

#include "shim/alloc.h"

namespace vfio {

Result<PinRuns::Chunk *> PinRuns::chunk_with_room()
{
	if (tail_ && tail_->count < tail_->capacity)
		return tail_;

	size_t size = kFirstChunk;
	if (tail_)
		size = min(2 * (sizeof(Chunk) + tail_->capacity * sizeof(PinRun)), kLargestChunk);

	auto *chunk = static_cast<Chunk *>(shim_alloc(size));
	if (!chunk)
		return Error(ENOMEM);
	chunk->capacity = static_cast<u32>((size - sizeof(Chunk)) / sizeof(PinRun));
	(tail_ ? tail_->next : head_) = chunk;
	tail_ = chunk;
	return chunk;
}

Result<void> PinRuns::append(const PinRun &run)
{
	if (empty()) {
		first_ = run;
		return {};
	}

	PinRun &last = tail_ ? tail_->runs[tail_->count - 1] : first_;
	if (last.extend(run))
		return {};

	Chunk *chunk = TRY(chunk_with_room());
	chunk->runs[chunk->count++] = run;
	return {};
}

void PinRuns::clear()
{
	while (Chunk *chunk = head_) {
		head_ = chunk->next;
		shim_free(chunk);
	}
	tail_ = nullptr;
	first_ = {};
}

} // namespace vfio
