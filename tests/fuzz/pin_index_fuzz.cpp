// SPDX-License-Identifier: GPL-2.0
//
// PinIndex against a plain map, with memory that may run out. The first byte
// says whether it has DMA addresses.
#include "fuzz.hpp"
#include "host_test.hpp"
#include "pin_model.hpp"

using namespace vfio;

namespace {

class PinIndexFuzz : public fuzz::Input<HostTest> {
	using Input::Input;

	// Near the beginning, around the end, or far away.
	u64 offset()
	{
		const u64 kind = below(8);

		if (kind < 6)
			return below(2048);
		if (kind == 6)
			return PinIndex::kLastOffset - below(1024);
		return below(256) << 9 * below(5);
	}

	void operate(PinModel &model, bool with_dma)
	{
		const u64 what = below(12);
		const u64 first = offset();
		const u64 n = min(1 + (bytes.flag() ? below(1200) : below(8)),
				  PinIndex::kLastOffset - first + 1);
		// The same memory every time, or other memory that is contiguous.
		const u64 page = 0x1000 + (first & 0xffffff) + 0x10000 * (what & 1);
		const PinModel::Pages pages = below(3) ? model.contiguous(n, page, page << 12) :
							 PinModel::scattered(first, n);

		if (below(4) == 0)
			mock::plan.fail(mock::Fail::kAlloc, 1 + below(8));
		switch (what) {
		case 0:
			model.insert(first, pages);
			break;
		case 1:
			model.insert_run(first, n, page, page << 12);
			break;
		case 2:
		case 3:
			model.pin(first, pages);
			break;
		case 4:
			for (u64 times = below(140); times <= 140 && !mock::plan.fired(); times++)
				model.pin_again(first, n);
			break;
		case 5:
			model.pin_again(first, n);
			break;
		case 6:
			model.drop(first, n);
			break;
		case 7:
			model.try_pin_again(first);
			break;
		case 8:
			if (!with_dma)
				model.insert_one(first, pages.page[0]);
			break;
		case 9:
			model.unpin_one(first);
			break;
		default:
			model.unpin(first, n);
		}
		mock::plan.reset();
		model.check(first, first + n);
	}

	void fuzz() override
	{
		const bool with_dma = bytes.flag();
		PinModel model(with_dma);

		while (!bytes.empty()) {
			operate(model, with_dma);
			model.check_all();
		}
	}
};

} // namespace

FUZZ_TARGET(PinIndexFuzz)
