// SPDX-License-Identifier: GPL-2.0
//
// type1's ioctls, groups and pins against the plain model:
// tests/host/type1_steps.hpp.
#include "fuzz.hpp"
#include "type1_steps.hpp"

namespace {

class ModelFuzz : public fuzz::Input<Type1Steps> {
	using Input::Input;

	void fuzz() override
	{
		choices = &bytes;
		for (u64 i = 0; i < 400 && !bytes.empty(); i++) {
			draw_mood();
			step(bytes.byte());
		}
		finish();
	}
};

} // namespace

FUZZ_TARGET(ModelFuzz)
