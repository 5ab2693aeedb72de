// SPDX-License-Identifier: GPL-2.0
//
// vfio_zpci with arbitrary guest memory as tables, against a plain walk:
// tests/host/zpci_steps.hpp.
#include "fuzz.hpp"
#include "zpci_steps.hpp"

namespace {

class ZpciFuzz : public fuzz::Input<ZpciSteps> {
	using Input::Input;

	void fuzz() override
	{
		choices = &bytes;
		begin();
		while (!bytes.empty())
			step();
	}
};

} // namespace

FUZZ_TARGET(ZpciFuzz)
