// SPDX-License-Identifier: GPL-2.0
//
// Finds data races and uses of freed memory. The core is compiled with
// -fsanitize=thread and linked with this in place of TSan's runtime: every
// access to memory is known. An access races with an earlier one of another
// thread, one of the two a write, if nothing orders them: neither a lock, nor
// an atomic operation, nor what the shim says of its own services.
//
// Memory that the core frees is not used again within a run.
#pragma once

#include <algorithm>
#include <cstddef>

#include "explore.hpp"

namespace model {

// How much of each thread is known to have happened.
struct Clock {
	u32 of[kMaxThreads + 1];

	void join(const Clock &other)
	{
		for (int i = 0; i <= kMaxThreads; i++)
			if (other.of[i] > of[i])
				of[i] = other.of[i];
	}
};

// What the shim's services order: what was before release() in one thread
// is before what comes after acquire() in another.
enum class Order { kInstall, kPut, kNodes, kNodePut, kCompletion, kCount };

void acquire(Order order);
void release(Order order);
void acquire(const Clock &clock);
void release(Clock &clock);

void begin_races();
// Gives the freed memory back.
void end_races();

} // namespace model
