// SPDX-License-Identifier: GPL-2.0
//
// Random calls against the model: type1_steps.hpp.
#include "type1_steps.hpp"

namespace {

constexpr u64 kSteps = 25'000;

class Type1Random : public Type1Steps {
protected:
	Type1Random()
	{
		// Many small mappings, which come to the limits of entries and of memory.
		most_pages = 12;
		rlimit_pages = 120;
	}

	// Few of the steps that empty the container.
	u8 draw()
	{
		for (;;) {
			const u8 what = choices->byte();
			const u8 kind = what % kKinds;

			if ((kind != kDetach || below(2)) && (kind != kUnmapAll || below(20) == 0))
				return what;
		}
	}
};

TEST_F(Type1Random, AgainstTheModel)
{
	RandomChoices numbers(random("AgainstTheModel"));

	choices = &numbers;
	for (u64 i = 0; i < kSteps && !HasFatalFailure(); i++) {
		draw_mood();
		step(draw());
		if (HasFatalFailure())
			ADD_FAILURE() << "step " << i;
	}
	finish();
	EXPECT_GT(succeeded, kSteps / 20);
	printf("%llu of %llu steps succeeded\n", succeeded, kSteps);
}

} // namespace
