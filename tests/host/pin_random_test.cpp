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
		RandomChoices choices(random(name));
		PinModel model(with_dma);

		for (int step = 0; step < steps && !HasFailure(); step++) {
			const u64 first = base + choices.below(span);
			const u64 most = min(longest, base + span - first);
			const u64 n = choices.below(4) ? 1 + choices.below(most) : 1;

			if (fail && choices.below(4) == 0)
				mock::plan.fail(mock::Fail::kAlloc, 1 + choices.below(6));
			// Memory is contiguous as a whole, or pages are anywhere.
			model.operate(choices, draw(choices), first, n, {0x4000 + (first - base)},
				      choices.below(3));
			if (choices.below(200) == 0)
				model.unpin(base, span);
			if (step % 64 == 0 || fail)
				model.check_all();
			if (step % 5000 == 4999)
				model.clear();
		}
		model.check_all();
	}

	// Any but the one that takes long.
	static PinModel::Operation draw(Choices &choices)
	{
		for (;;) {
			const auto what = static_cast<PinModel::Operation>(
				choices.below(PinModel::kOperations));
			if (what != PinModel::kPinAgainOften)
				return what;
		}
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
