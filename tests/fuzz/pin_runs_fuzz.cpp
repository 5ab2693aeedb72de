// SPDX-License-Identifier: GPL-2.0
//
// PinRuns against a list of single pages, with allocations failing.
#include "dma/pin_runs.hpp"
#include "fuzz.hpp"
#include "host_test.hpp"

using namespace vfio;

namespace {

class PinRunsFuzz : public fuzz::Input<HostTest> {
	using Input::Input;
	using Page = std::pair<u64, PinKind>;

	static constexpr u64 kHighestPfn = (u64{1} << 52) - 1;

	void append()
	{
		const u64 npages = 1 + below(64);
		const PinKind kinds[] = {PinKind::kCounted, PinKind::kReserved, PinKind::kBorrowed};
		u64 pfn = below(256);
		PinKind kind = bytes.one_of(kinds);

		// Most often it goes on where the last ended, or nearly.
		if (!model.empty() && pfn >= 16) {
			kind = pfn % 8 ? model.back().second : kind;
			pfn = model.back().first + pfn % 3;
		} else if (pfn == 15) {
			pfn = kHighestPfn - npages + 1;
		}
		if (pfn + npages - 1 > kHighestPfn)
			pfn = 0;

		const Result<void> result = runs.append(PinRun({pfn}, npages, kind));
		ASSERT_EQ(result.ok(), !mock::plan.fired());
		if (!result.ok()) {
			ASSERT_EQ(result.error(), Error(ENOMEM));
			return;
		}
		for (u64 i = 0; i < npages; i++)
			model.emplace_back(pfn + i, kind);
	}

	void compare()
	{
		const PinRun *before = nullptr;
		PinRun last;
		size_t at = 0;

		runs.each([&](const PinRun &run) {
			ASSERT_GT(run.npages(), 0u);
			// No two runs that could be one.
			if (before) {
				ASSERT_FALSE(last.kind() == run.kind() &&
					     last.first().value + last.npages() ==
						     run.first().value);
			}
			for (u64 i = 0; i < run.npages(); i++, at++) {
				ASSERT_LT(at, model.size());
				ASSERT_EQ(run.first().value + i, model[at].first);
				ASSERT_EQ(run.kind(), model[at].second);
			}
			last = run;
			before = &run;
		});
		ASSERT_EQ(at, model.size());
		ASSERT_EQ(runs.empty(), model.empty());
	}

	void fuzz() override
	{
		while (!bytes.empty()) {
			const u8 what = bytes.byte();

			mock::plan.reset();
			if (what == 1) {
				runs.clear();
				model.clear();
				ASSERT_EQ(mock::live_blocks(), 0);
			} else if (what == 2) {
				compare();
			} else {
				if (what % 16 == 3)
					mock::plan.fail(mock::Fail::kAlloc);
				// As many as fill chunks.
				for (int n = what % 16 == 4 ? 40 : 1; n > 0; n--)
					append();
			}
		}
		mock::plan.reset();
		compare();
		runs.clear();
	}

	PinRuns runs;
	std::vector<Page> model;
};

} // namespace

FUZZ_TARGET(PinRunsFuzz)
