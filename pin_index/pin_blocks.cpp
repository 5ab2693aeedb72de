// SPDX-License-Identifier: GPL-2.0
#include "pin_blocks.hpp"

namespace vfio {

Result<void> PinBlocks::more_spares()
{
	auto *spare = static_cast<Spare *>(allocate(kSpareSize));

	if (!spare)
		return Error(ENOMEM);
	spare->next = vfio::exchange(spare_, spare);
	spares_++;
	return {};
}

PinPlanesBlock *PinBlocks::take_spare()
{
	if (Spare *spare = spare_) [[likely]] {
		spare_ = spare->next;
		spares_--;
		return reinterpret_cast<PinPlanesBlock *>(spare);
	}
	bytes_ += kSpareSize;

	void *const spare = reserve_ ? reserve_->take_spare() : nullptr;
	return static_cast<PinPlanesBlock *>(spare ? spare :
						     shim_alloc_object_certainly(kSpareSize));
}

void PinBlocks::release_planes(PinPlanesBlock *block)
{
	if (block->planes == 1 && spares_ < spares_wanted()) {
		auto *spare = reinterpret_cast<Spare *>(block);

		spare->next = vfio::exchange(spare_, spare);
		spares_++;
	} else {
		release(block, PinPlanesBlock::size_for(block->planes));
	}
}

void PinBlocks::release_block(const SlotRecord &record)
{
	void *block = reinterpret_cast<void *>(record.value);

	switch (PinMeta::form(record)) {
	case PinForm::kRun:
		if (with_dma_)
			release(block, sizeof(PinRunBlock));
		break;
	case PinForm::kPlanes:
		release_planes(&planes(record));
		break;
	case PinForm::kSparse:
		release(block, kPinBlockSizes[sparse(record).size_class]);
		break;
	case PinForm::kDense:
		release(block, dense_size());
		break;
	}
}

// Frees spares that are too many. A few more than are wanted stay while there are runs,
// so that a run that is made and unpinned again and again does not allocate each time.
void PinBlocks::trim_spares()
{
	const u32 keep = runs_ ? spares_wanted() + 4 : 0;

	while (spares_ > keep) {
		Spare *spare = spare_;

		spare_ = spare->next;
		spares_--;
		release(spare, kSpareSize);
	}
}

} // namespace vfio
