// SPDX-License-Identifier: GPL-2.0
//
// PinReserve: memory for pin indexes whose caller may not wait for any, because it holds
// a spinlock, for example. As long as an index draws from a reserve (PinIndex::draw_from()),
// it takes all memory from there.
//
// It has kDepth blocks of each size that an index asks for. Apart from them it has spares
// (pin_blocks.hpp), since to take back what was just inserted must not fail.
#pragma once

#include "shim/alloc.h"
#include "vocab/units.hpp"

namespace vfio {

// Blocks of an index have the sizes of kmalloc's caches.
constexpr u32 kPinBlockSizes[] = {32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096};
// A block for one plane.
constexpr u32 kPinSpareSize = 96;

class PinReserve : Immovable {
public:
	~PinReserve();

	// Allocates what is missing; may sleep. Without memory some of it stays missing.
	void fill();

	// Whether there are all spares. An index that draws from the reserve may insert
	// pages of kSpares slots then, and take them back once.
	bool ready() const
	{
		return spares_.count == kSpares;
	}

	// Returns a block, or null if there is none of the size.
	void *take(u32 size);
	void *take_spare();

	u64 bytes() const
	{
		return bytes_;
	}

private:
	static constexpr u32 kDepth = 2;
	static constexpr u32 kSpares = 2;

	struct Stack {
		void *take()
		{
			return count ? blocks[--count] : nullptr;
		}

		u32 count = 0;
		void *blocks[kDepth > kSpares ? kDepth : kSpares] = {};
	};

	void fill(Stack &stack, u32 size, u32 most);

	Stack stacks_[sizeof(kPinBlockSizes) / sizeof(kPinBlockSizes[0])];
	Stack spares_;
	u64 bytes_ = 0;
};

// Memory for an index: from a reserve, or where there is none from the kernel. Returns null
// if there is no memory.
inline void *pin_allocate(u32 size, PinReserve *reserve)
{
	return reserve ? reserve->take(size) : shim_alloc_object(size);
}

} // namespace vfio
