// SPDX-License-Identifier: GPL-2.0
//
// Random steps on a container of vfio_zpci, against a plain model: zpci_steps.hpp.
#include "zpci_steps.hpp"

namespace {

class ZpciRandom : public ZpciSteps {};

TEST_F(ZpciRandom, AgreesWithAPlainWalk)
{
	RandomChoices numbers(random("ZpciRandom"));

	choices = &numbers;
	ASSERT_NO_FATAL_FAILURE(begin());
	for (int i = 0; i < 4000 && !HasFatalFailure(); i++)
		step();
	EXPECT_GT(well, 0u);
}

} // namespace
