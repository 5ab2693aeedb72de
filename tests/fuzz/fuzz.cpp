// SPDX-License-Identifier: GPL-2.0
#include "fuzz.hpp"

#include <cstdlib>

namespace {

// The default printer has told of the failure by then.
class Abort : public testing::EmptyTestEventListener {
	void OnTestPartResult(const testing::TestPartResult &result) override
	{
		if (!result.failed())
			return;
		fflush(stdout);
		abort();
	}
};

} // namespace

extern "C" int LLVMFuzzerInitialize(int *, char ***)
{
	testing::InitGoogleTest();
	testing::UnitTest::GetInstance()->listeners().Append(new Abort);
	return 0;
}

u64 fuzz::Bytes::hostile()
{
	const u8 kind = byte();

	switch (kind % 6) {
	case 0:
		return byte();
	case 1:
		return u64{byte()} << 12;
	case 2:
		return (u64{1} << (kind / 6 + 32) % 64) + byte() - 128;
	case 3:
		return ~u64{0} - byte();
	case 4:
		return ~u64{0} - (u64{byte()} << 12) + 1;
	default:
		return number(8);
	}
}

void fuzz::plan_failure(Bytes &bytes)
{
	const u8 how = bytes.byte();

	mock::plan.reset();
	if (how < 64)
		mock::plan.fail_nth(how % 32 + 1);
	else if (how < 128)
		mock::plan.fail(
			static_cast<mock::Fail>(bytes.below(static_cast<u64>(mock::Fail::kCount))),
			how % 16 + 1);
}
