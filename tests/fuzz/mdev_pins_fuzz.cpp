// SPDX-License-Identifier: GPL-2.0
//
// The pins that mdev.ko keeps for a driver against a plain map of counts:
// tests/host/mdev_pins_steps.hpp.
#include "fuzz.hpp"
#include "mdev_pins_steps.hpp"

namespace {

class MdevPinsFuzz : public fuzz::Input<PinsSteps> {
	using Input::Input;

	void fuzz() override
	{
		choices = &bytes;
		mock::set_dma_direct(bytes.flag());
		begin(bytes.flag());
		while (!bytes.empty() && !HasFailure())
			step();
	}
};

} // namespace

FUZZ_TARGET(MdevPinsFuzz)
