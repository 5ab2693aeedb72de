// SPDX-License-Identifier: GPL-2.0
#include "explore.hpp"

#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <semaphore>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "mock/memory.hpp"
#include "races.hpp"

namespace model {

namespace {

struct Held {
	const void *lock;
	const char *name;
};

struct Thread {
	std::thread thread;
	std::binary_semaphore turn{0};
	std::function<void()> body;
	// Null if it can go on.
	const std::function<bool()> *ready = nullptr;
	const char *waits_for = "";
	bool done = true;
	std::vector<Held> held;
};

// What was decided at a point where the search has a choice, or could have.
struct Decision {
	u32 choice;
	u32 choices;
	int thread;
};

Thread threads[kMaxThreads + 1];
int running = kMain;
int nthreads;
std::vector<Decision> decisions;
// Choices to repeat, then the first of each.
std::vector<u32> prefix;
// Threads to run, given by SCHEDULE; a choice of it that cannot be ends it.
std::vector<int> given;
u32 bound;
u32 preemptions;
bool bound_met;
u64 runs;
size_t longest;
const char *scenario_name = "";

bool can_run(int thread)
{
	const Thread &mine = threads[thread];

	return !mine.done && (!mine.ready || (*mine.ready)());
}

std::string schedule()
{
	std::string text;

	for (size_t at = 0, n = 0; at < decisions.size(); at += n) {
		for (n = 1;
		     at + n < decisions.size() && decisions[at + n].thread == decisions[at].thread;)
			n++;
		text += (at ? "," : "") + std::to_string(decisions[at].thread) + "x" +
			std::to_string(n);
	}
	return text;
}

void print_schedule()
{
	printf("# run %llu, %zu points, %u preemptions. Again: SCENARIO='%s' SCHEDULE=%s\n", runs,
	       decisions.size(), preemptions, scenario_name, schedule().c_str());
	fflush(stdout);
}

[[noreturn]] void deadlock()
{
	for (int i = 0; i < nthreads; i++) {
		if (threads[i].done)
			continue;
		printf("# thread %d waits for %s, holding", i, threads[i].waits_for);
		for (const Held &held : threads[i].held)
			printf(" %s", held.name);
		printf("\n");
	}
	fail("deadlock");
}

// Who runs next, the one who asks first if it can.
int choose(int me)
{
	int able[kMaxThreads];
	u32 n = 0;
	const bool go_on = me != kMain && can_run(me);

	if (go_on)
		able[n++] = me;
	for (int i = 0; i < nthreads; i++)
		if (i != me && can_run(i))
			able[n++] = i;
	if (n == 0)
		deadlock();

	u32 choices = n;
	if (n > 1 && go_on && preemptions >= bound) {
		choices = 1;
		bound_met = true;
	}

	const size_t at = decisions.size();
	u32 choice = at < prefix.size() ? prefix[at] : 0;
	if (at < given.size())
		for (u32 i = 0; i < n; i++)
			if (able[i] == given[at])
				choice = i;
	if (choice >= n)
		fail("the same choices led elsewhere: the test is not deterministic");
	decisions.push_back({choice, choices, able[choice]});
	if (decisions.size() > 100000)
		fail("it does not end");
	preemptions += go_on && choice != 0;
	return able[choice];
}

void switch_to(int next, int me, bool wait)
{
	if (next == me)
		return;
	running = next;
	threads[next].turn.release();
	if (wait)
		threads[me].turn.acquire();
}

void run_thread(int me)
{
	for (;;) {
		threads[me].turn.acquire();
		threads[me].body();
		if (!threads[me].held.empty())
			fail("thread %d ends with %s held", me, threads[me].held[0].name);
		threads[me].done = true;

		bool all = true;
		for (int i = 0; i < nthreads; i++)
			all &= threads[i].done;
		switch_to(all ? kMain : choose(me), me, false);
	}
}

void run_once(const Scenario &scenario)
{
	decisions.clear();
	preemptions = 0;
	begin_races();

	const std::unique_ptr<World> world = scenario.make();

	nthreads = static_cast<int>(world->threads.size());
	for (int i = 0; i < nthreads; i++) {
		threads[i].body = world->threads[static_cast<size_t>(i)];
		threads[i].done = false;
		if (!threads[i].thread.joinable())
			threads[i].thread = std::thread(run_thread, i);
	}
	switch_to(choose(kMain), kMain, true);
	end_races();
	world->check();
	runs++;
	longest = std::max(longest, decisions.size());
}

// The next path in depth-first order; false at the end.
bool next_path()
{
	while (!decisions.empty() && decisions.back().choice + 1 >= decisions.back().choices)
		decisions.pop_back();
	if (decisions.empty())
		return false;
	decisions.back().choice++;
	prefix.clear();
	for (const Decision &decision : decisions)
		prefix.push_back(decision.choice);
	return true;
}

void parse_schedule(const char *text)
{
	for (const char *at = text; *at;) {
		char *end = nullptr;
		const long thread = strtol(at, &end, 10);
		const long times = *end == 'x' ? strtol(end + 1, &end, 10) : 1;

		given.insert(given.end(), static_cast<size_t>(times), static_cast<int>(thread));
		at = *end ? end + 1 : end;
	}
}

long from_environment(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? strtol(text, nullptr, 10) : otherwise;
}

// In a process of its own.
void explore(const Scenario &scenario)
{
	using Clock = std::chrono::steady_clock;
	const auto begin = Clock::now();
	// All, if that is not too much; the next bound has about ten times as
	// many.
	constexpr u64 kEnough = 3000;
	const long asked = from_environment("BOUND", -1);

	scenario_name = scenario.name;
	if (const char *text = getenv("SCHEDULE")) {
		parse_schedule(text);
		bound = ~0u;
		run_once(scenario);
		print_schedule();
		return;
	}
	// The fewer preemptions, the easier to understand: few first.
	for (bound = 0;; bound++) {
		bound_met = false;
		prefix.clear();
		runs = 0;
		do
			run_once(scenario);
		while (next_path());
		if (!bound_met || (asked >= 0 ? bound >= asked : bound >= 2 && runs > kEnough))
			break;
	}

	const std::chrono::duration<double> took = Clock::now() - begin;
	const std::string extent =
		bound_met ? "at most " + std::to_string(bound) + " preemptions" : "all";
	printf("# %s: %llu interleavings (%s), longest %zu points, %.1f s\n", scenario.name, runs,
	       extent.c_str(), longest, took.count());
}

void on_signal(int number)
{
	printf("# signal %d\n", number);
	print_schedule();
	_exit(1);
}

} // namespace

int current()
{
	return running;
}

void point()
{
	if (exploring())
		switch_to(choose(running), running, true);
}

void wait_for(const char *what, const std::function<bool()> &ready)
{
	if (!exploring()) {
		if (!ready())
			fail("%s: nobody is there to wait for", what);
		return;
	}

	const int me = running;
	threads[me].ready = &ready;
	threads[me].waits_for = what;
	switch_to(choose(me), me, true);
	threads[me].ready = nullptr;
}

void fail(const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("# %s: %s\n", scenario_name, text);
	print_schedule();
	_exit(1);
}

void note_held(const void *lock, const char *name)
{
	threads[running].held.push_back({lock, name});
}

void note_released(const void *lock)
{
	if (!std::erase_if(threads[running].held,
			   [&](const Held &held) { return held.lock == lock; }))
		fail("a lock is released by one who does not hold it");
}

World::World()
{
	mock::plan.reset();
	mock::phys::reset();
	mock::take_violations();
	mock::take_log();
	blocks_before_ = mock::live_blocks();
}

World::~World() = default;

void World::check()
{
	finish();
	for (const std::string &violation : mock::take_violations())
		fail("%s", violation.c_str());
	for (const std::string &warning : mock::take_warnings())
		fail("warning: %s", warning.c_str());
	expect(mock::live_blocks() == blocks_before_, "memory leaked");
	expect(mock::phys::all_pins() == 0, "pages stay pinned");
}

void World::expect(bool condition, const char *what)
{
	if (!condition)
		fail("%s", what);
}

} // namespace model

using namespace model;

/* What the mock has of its locks. */

namespace mock {

void forget_lock_order()
{
}

bool holds_lock_in(const void *memory, size_t size)
{
	const auto *begin = static_cast<const char *>(memory);

	for (const Held &held : threads[running].held) {
		const auto *at = static_cast<const char *>(held.lock);

		if (at >= begin && at < begin + size)
			return true;
	}
	return false;
}

bool forget_held(const void *lock)
{
	return std::erase_if(threads[running].held,
			     [&](const Held &held) { return held.lock == lock; }) != 0;
}

PseudoLock::PseudoLock(const char *name) : name_(name)
{
	note_held(this, name_);
}

PseudoLock::~PseudoLock()
{
	note_released(this);
}

} // namespace mock

int main()
{
	const std::vector<Scenario> all = scenarios();
	const char *only = getenv("SCENARIO");
	int failed = 0, number = 0, wanted = 0;
	cpu_set_t one;

	// One thread runs at a time: a switch is cheapest on the same CPU.
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	setvbuf(stdout, nullptr, _IOLBF, 0);

	for (const Scenario &scenario : all)
		wanted += !only || strcmp(only, scenario.name) == 0;
	if (!wanted) {
		fprintf(stderr, "no scenario is named %s\n", only);
		return 2;
	}
	printf("TAP version 13\n1..%d\n", wanted);
	for (const Scenario &scenario : all) {
		if (only && strcmp(only, scenario.name) != 0)
			continue;
		fflush(stdout);

		const pid_t child = fork();
		if (child == 0) {
			for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGILL})
				signal(number, on_signal);
			explore(scenario);
			fflush(stdout);
			_exit(0);
		}

		int status = 0;
		const bool ok = child > 0 && waitpid(child, &status, 0) == child && status == 0;
		printf("%sok %d - %s\n", ok ? "" : "not ", ++number, scenario.name);
		failed += !ok;
	}
	return failed != 0;
}
