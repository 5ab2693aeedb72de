// SPDX-License-Identifier: GPL-2.0
//
// What the mock finds wrong, and which of the shim's calls are to fail.
//
// A violation is a use of the shim against its contract, or a state that must
// not be, such as a device that reaches a page nobody pins. The fixture fails
// a test that has one.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "shim/base.h"

struct seq_file;

namespace mock {

[[gnu::format(printf, 1, 2)]] void violation(const char *format, ...);
// For what cannot go on, such as a thread that locks what it holds.
[[noreturn, gnu::format(printf, 1, 2)]] void fatal(const char *format, ...);
// While one exists, the calling thread holds a spinlock with interrupts off.
class AtomicSection {
public:
	AtomicSection();
	~AtomicSection();
};
// For shims that may sleep: a violation in an AtomicSection.
void note_sleep(const char *shim);
// All violations since the last call.
std::vector<std::string> take_violations();

// The core's shim_warn() calls since the last call, and its log lines.
std::vector<std::string> take_warnings();
std::vector<std::string> take_log();

// Ends the waits that any signal may end.
extern std::atomic<bool> waits_interrupted;

// How often others were let run, so far.
extern std::atomic<u64> rescheds;

// The calls that can be made to fail.
enum class Fail {
	kAlloc,
	kVAlloc,
	kPin,
	kFollow,
	kAccount,
	kCopyIn,
	kCopyOut,
	kDomainAlloc,
	kDomainNesting,
	kDomainAttach,
	kDomainMap,
	kReserveMsi,
	kReserved,
	kCapable,
	kWorker,
	// vfio_core
	kFile,
	kFd,
	kClaimDma,
	kNode,
	kIndex,
	kDevice,
	kDriver,
	kUserPages,
	kModule,
	kGroup,
	kCount,
};

const char *name_of(Fail kind);

class FailPlan {
public:
	// Nothing fails; counts from zero.
	void reset();

	// Let the nth call of a kind fail, or the nth of all; from now on, 1
	// is the next.
	void fail(Fail kind, u64 nth = 1);
	void fail_nth(u64 nth);

	// For the shim: whether this call is to fail.
	bool hit(Fail kind);

	// Whether a call failed, and of which kind the last was.
	bool fired() const
	{
		return fired_;
	}

	Fail what() const
	{
		return what_;
	}

private:
	std::atomic<u64> left_[static_cast<int>(Fail::kCount)] = {};
	std::atomic<u64> left_of_all_ = 0;
	std::atomic<bool> fired_ = false;
	std::atomic<Fail> what_ = Fail::kCount;
};

extern FailPlan plan;

// The bytes that the core asked for when it got this memory.
size_t size_of(const void *memory);
// Blocks of memory that the core has, and their bytes.
s64 live_blocks();
s64 live_bytes();
// How many blocks the core has taken ever, and how many of them by calls that
// cannot fail.
u64 blocks_taken();
u64 blocks_taken_certainly();

// Collects what a show function prints.
seq_file *new_seq();
std::string take_seq(seq_file *seq);

// Forgets what was seen of the order of locks.
void forget_lock_order();
// For shim_free(): whether the calling thread holds a lock inside.
bool holds_lock_in(const void *memory, size_t size);
// Forgets that the calling thread holds a lock whose memory has gone.
bool forget_held(const void *lock);
// A lock that only the order checker knows, held for a scope.
class PseudoLock {
public:
	explicit PseudoLock(const char *name);
	~PseudoLock();

private:
	const char *const name_;
};

} // namespace mock
