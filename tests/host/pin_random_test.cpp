// SPDX-License-Identifier: GPL-2.0
//
// PinIndex against a plain map at random, and with memory that runs out.
#include "host_test.hpp"
#include "pin_model.hpp"

using namespace vfio;

namespace {

class PinRandom : public HostTest {
protected:
	// Operations in [base, base + span), at most longest pages each.
	static void run(const char *name, bool with_dma, u64 base, u64 span, u64 longest, bool fail,
			int steps)
	{
		std::mt19937_64 rng = random(name);
		const auto below = [&](u64 n) { return rng() % n; };
		PinModel model(with_dma);

		for (int step = 0; step < steps && !HasFailure(); step++) {
			const u64 first = base + below(span);
			const u64 most = min(longest, base + span - first);
			const u64 n = below(4) ? 1 + below(most) : 1;
			// Memory is contiguous as a whole, or pages are anywhere.
			const bool straight = below(3);
			const PinModel::Pages pages =
				straight ?
					model.contiguous(n, 0x4000 + (first - base), first << 12) :
					PinModel::scattered(first, n);

			mock::plan.reset();
			if (fail && below(4) == 0)
				mock::plan.fail(mock::Fail::kAlloc, 1 + below(6));
			if (below(4) == 0) {
				one_page(model, below(3), first, pages.page[0], with_dma);
				continue;
			}
			switch (below(10)) {
			case 0:
			case 1:
				model.insert(first, pages);
				break;
			case 2:
				model.insert_run(first, n, 0x4000 + (first - base), first << 12);
				break;
			case 3:
			case 4:
				model.pin(first, pages);
				break;
			case 5:
				model.pin_again(first, n);
				break;
			case 6:
				model.drop(first, n);
				break;
			case 7:
				if (below(20) == 0) {
					model.unpin(base, span);
					break;
				}
				[[fallthrough]];
			default:
				model.unpin(first, n);
			}
			mock::plan.reset();
			model.check(first, first + below(most));
			if (step % 64 == 0 || fail)
				model.check_all();
			if (step % 5000 == 4999)
				model.clear();
		}
		model.check_all();
	}

	static void one_page(PinModel &model, u64 which, u64 offset, u64 page, bool with_dma)
	{
		if (which == 0)
			model.try_pin_again(offset);
		else if (which == 1 && !with_dma)
			model.insert_one(offset, page);
		else
			model.unpin_one(offset);
		model.check(offset, offset);
	}
};

} // namespace

TEST_F(PinRandom, OneSlot)
{
	run("one slot", false, 3 * 512, 512, 512, false, 20'000);
}

TEST_F(PinRandom, OneSlotSmallPieces)
{
	run("one slot, small", false, 0, 512, 12, false, 20'000);
}

TEST_F(PinRandom, OneSlotWithDma)
{
	run("one slot with DMA", true, 0, 512, 100, false, 20'000);
}

TEST_F(PinRandom, SomeSlots)
{
	run("some slots", false, 100, 4000, 1500, false, 4'000);
}

TEST_F(PinRandom, SomeSlotsWithDma)
{
	run("some slots with DMA", true, PinIndex::kLastOffset - 3999, 4000, 1500, false, 4'000);
}

TEST_F(PinRandom, FarApart)
{
	run("far apart", false, 0, u64{1} << 39, 3, false, 20'000);
}

TEST_F(PinRandom, MemoryRunsOut)
{
	run("memory runs out", false, 511, 1200, 700, true, 4'000);
	run("memory runs out, DMA", true, 511, 1200, 700, true, 4'000);
	run("memory runs out, far apart", false, 0, u64{1} << 30, 5, true, 3'000);
}
