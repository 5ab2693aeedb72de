// SPDX-License-Identifier: GPL-2.0
#include "pin_reserve.hpp"

namespace vfio {

PinReserve::~PinReserve()
{
	for (Stack &stack : stacks_)
		while (stack.count)
			shim_free(stack.take());
	while (spares_.count)
		shim_free(spares_.take());
}

void PinReserve::fill(Stack &stack, u32 size, u32 most)
{
	while (stack.count < most) {
		void *block = shim_alloc_object(size);

		if (!block)
			return;
		stack.blocks[stack.count++] = block;
		bytes_ += size;
	}
}

void PinReserve::fill()
{
	Stack *stack = stacks_;

	for (const u32 size : kPinBlockSizes)
		fill(*stack++, size, kDepth);
	fill(spares_, kPinSpareSize, kSpares);
}

void *PinReserve::take(u32 size)
{
	Stack *stack = stacks_;

	for (const u32 known : kPinBlockSizes) {
		if (known == size) {
			bytes_ -= stack->count ? size : 0;
			return stack->take();
		}
		stack++;
	}
	return nullptr;
}

void *PinReserve::take_spare()
{
	bytes_ -= spares_.count ? kPinSpareSize : 0;
	return spares_.take();
}

} // namespace vfio
