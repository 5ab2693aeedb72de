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
