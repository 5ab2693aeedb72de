// SPDX-License-Identifier: GPL-2.0
//
// IovaSpace against a set of addresses: tests/host/dma_steps.hpp.
#include "dma_steps.hpp"
#include "fuzz.hpp"

namespace {

class IovaSpaceFuzz : public fuzz::Input<HostTest> {
	using Input::Input;

	void fuzz() override
	{
		IovaSpaceSteps steps(bytes, bytes.flag());

		while (!bytes.empty() && steps.step()) {}
	}
};

} // namespace

FUZZ_TARGET(IovaSpaceFuzz)
