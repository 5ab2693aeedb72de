// SPDX-License-Identifier: GPL-2.0
//
// One random step of type1, done to the core and to the plain model: results,
// errnos, and after each step every PTE, pin, charge and domain are compared.
// The random test and the fuzzer take it, each with decisions of its own.
#pragma once

#include "type1_world.hpp"

class Type1Steps : public Type1World {
protected:
	// Kinds of steps that a caller may want to be rare: what % kKinds.
	static constexpr u8 kKinds = 16, kDetach = 1, kUnmapAll = 6;

	// what says which kind of step, and by whom.
	void step(u8 what);

	// Calls that changed or returned something.
	u64 succeeded = 0;

private:
	void before_unpin(u64 iova) override
	{
		model.unpin(iova, 1);
	}

	void detached(Type1Model::Group &group) override
	{
		model.detach(group);
	}

	void end() override
	{
		if (!HasFatalFailure())
			model.check();
	}

	// Often just a mapping, so that more succeeds.
	void some_range(u64 &iova, u64 &npages);
	void device_step(Type1Model::Group &group);
	void dirty_step();
};
