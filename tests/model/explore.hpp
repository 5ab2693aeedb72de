// SPDX-License-Identifier: GPL-2.0
//
// A scheduler that lets exactly one of a few threads run, and a search through
// all the orders in which they can. The code that runs is the real core.
//
// Words. A point is a place where another thread may take over: before a lock
// is taken, before an atomic operation, and before the shim calls that one
// thread can see of another. Between points code runs alone, which loses no
// behaviour as long as it has no data races: those are looked for in every
// order (races.hpp). A preemption is a switch away from a thread that could go
// on. All orders with at most a bound of preemptions are run; switches away
// from threads that block or end are free.
//
// Every run begins with a new World, and its end is checked.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "shim/base.h"

namespace model {

constexpr int kMaxThreads = 3;
// The thread that sets up and checks, while no other runs.
constexpr int kMain = kMaxThreads;

// Who runs. Points outside of the threads do nothing.
int current();
inline bool exploring()
{
	return current() != kMain;
}

// Another thread may run now.
void point();
// Goes on when ready() holds, and not before. what: for the report.
void wait_for(const char *what, const std::function<bool()> &ready);

// The run is wrong: prints why and the schedule, ends the scenario.
[[noreturn, gnu::format(printf, 1, 2)]] void fail(const char *format, ...);

// For the locks: what the running thread holds.
void note_held(const void *lock, const char *name);
void note_released(const void *lock);

class World {
public:
	World();
	virtual ~World();

	// After all threads ended: what must hold of every run.
	void check();

	std::vector<std::function<void()>> threads;

protected:
	// Ends what the threads have left on purpose, and checks the rest.
	virtual void finish() = 0;
	static void expect(bool condition, const char *what);

private:
	s64 blocks_before_;
};

struct Scenario {
	const char *name;
	std::function<std::unique_ptr<World>()> make;
};

// One whose world is a W, which set_up prepares.
template <class W> Scenario scenario(const char *name, void (*set_up)(W &))
{
	return {name, [set_up]() -> std::unique_ptr<World> {
			auto world = std::make_unique<W>();

			set_up(*world);
			return world;
		}};
}

// The scenarios of this program.
std::vector<Scenario> scenarios();

} // namespace model
