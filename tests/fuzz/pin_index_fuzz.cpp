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

	void operate(PinModel &model)
	{
		const auto what = static_cast<PinModel::Operation>(below(PinModel::kOperations));
		const u64 first = offset();
		const u64 n = min(1 + (bytes.flag() ? below(1200) : below(8)),
				  PinIndex::kLastOffset - first + 1);
		// The same memory every time, or other memory that is contiguous.
		const u64 page = 0x1000 + (first & 0xffffff) + 0x10000 * (what & 1);
		const bool straight = below(3);

		if (below(4) == 0)
			mock::plan.fail(mock::Fail::kAlloc, 1 + below(8));
		model.operate(bytes, what, first, n, {page}, straight);
	}

	void fuzz() override
	{
		PinModel model(bytes.flag());

		while (!bytes.empty()) {
			operate(model);
			model.check_all();
		}
	}
};

} // namespace

FUZZ_TARGET(PinIndexFuzz)
