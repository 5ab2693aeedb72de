// SPDX-License-Identifier: GPL-2.0
//
// DomainUse: a lock of an IOMMU's domain that is shared by threads which map, unmap and flush, and held
// exclusively to attach and detach groups. The IOMMU drivers of kernels before 6.10 have none: VT-d's flush
// goes through a record that detaching frees.
//
// To share it takes two atomic operations unless a group is being attached or detached. It is the innermost
// of our locks, is held for a call of the IOMMU, and a thread never takes it twice.
#pragma once

#include "vocab/atomic.hpp"
#include "vocab/lock.hpp"

namespace vfio {

class DomainUse : Immovable {
public:
	// The guard of a thread that maps, unmaps or flushes. With nullptr it does nothing: the caller keeps
	// groups from being attached and detached by another lock.
	class Working;
	// The guard of a thread that attaches or detaches a group.
	class Changing;

private:
	static constexpr u32 kChanging = u32{1} << 31;
	// Whether threads may be waiting for the end of a change. It may stay set when they have gone.
	static constexpr u32 kWaiting = u32{1} << 30;

	void enter()
	{
		if (word_.add(1) & kChanging) [[unlikely]]
			enter_slowly();
	}

	void leave()
	{
		if ((word_.add(~u32{0}) & ~kWaiting) == kChanging) [[unlikely]]
			queue_.wake_all();
	}

	[[gnu::noinline, gnu::cold]] void enter_slowly();
	void begin_change()
	{
		if (!word_.replace(0, kChanging)) [[unlikely]]
			begin_change_slowly();
	}

	[[gnu::noinline, gnu::cold]] void begin_change_slowly();
	void end_change()
	{
		if (word_.add(kChanging) & kWaiting) [[unlikely]]
			wake_waiting();
	}

	[[gnu::noinline, gnu::cold]] void wake_waiting();
	void wait_for_change();

	template <class F> void wait(F done);

	static LockClass queue_class_;

	// The bits above, and how many threads work or try to.
	Atomic<u32> word_{0};
	WaitQueue queue_{queue_class_};
};

class DomainUse::Working : Immovable {
public:
	[[gnu::always_inline]] explicit Working(DomainUse *use) : use_(use)
	{
		if (use_)
			use_->enter();
	}

	[[gnu::always_inline]] ~Working()
	{
		if (use_)
			use_->leave();
	}

private:
	DomainUse *const use_;
};

class DomainUse::Changing : Immovable {
public:
	explicit Changing(DomainUse &use) : use_(use)
	{
		use_.begin_change();
	}

	~Changing()
	{
		use_.end_change();
	}

private:
	DomainUse &use_;
};

} // namespace vfio
