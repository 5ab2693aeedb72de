// SPDX-License-Identifier: GPL-2.0
#include "pin_runs.hpp"

#include "shim/alloc.h"

namespace vfio {

Result<void> PinRuns::add_chunk()
{
	size_t size = kFirstChunk;

	if (tail_)
		size = min(2 * (sizeof(Chunk) + tail_->capacity * sizeof(PinRun)), kLargestChunk);

	auto *chunk = static_cast<Chunk *>(shim_alloc_object(size));
	if (!chunk)
		return Error(ENOMEM);
	chunk->next = nullptr;
	chunk->count = 0;
	chunk->capacity = static_cast<u32>((size - sizeof(Chunk)) / sizeof(PinRun));
	(tail_ ? tail_->next : head_) = chunk;
	tail_ = chunk;
	return {};
}

Result<void> PinRuns::splice(PinRuns &other)
{
	if (other.empty())
		return {};
	TRY(append(other.first_));
	if (other.head_) {
		(tail_ ? tail_->next : head_) = other.head_;
		tail_ = other.tail_;
	}
	other.first_ = {};
	other.head_ = other.tail_ = nullptr;
	return {};
}

void PinRuns::free_chunks()
{
	while (Chunk *chunk = head_) {
		head_ = chunk->next;
		shim_free(chunk);
	}
	tail_ = nullptr;
}

} // namespace vfio
