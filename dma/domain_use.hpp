// SPDX-License-Identifier: GPL-2.0
//
// DomainUse: keeps apart those who map, unmap and flush in an IOMMU's domain, and those who attach
// groups to it and detach them. The IOMMU drivers of kernels before 6.10 do not: VT-d's flushes through
// a record that detaching frees.
//
// It is a lock that many share, made for those who share it: they pay two atomic operations. Whoever has
// it does work of the IOMMU alone, and waits for nothing else. Inside all other locks.
#pragma once

#include "vocab/atomic.hpp"
#include "vocab/lock.hpp"

namespace vfio {

class DomainUse : Immovable {
public:
	// Guards. One maps, unmaps or flushes; null if the caller excludes changes otherwise.
	class Working;
	// One attaches or detaches.
	class Changing;

private:
	static constexpr u32 kChanging = u32{1} << 31;
	// Set, maybe for too long, while threads wait for the end of a change.
	static constexpr u32 kWaiting = u32{1} << 30;

	void enter()
	{
		if (word_.add(1) & kChanging) [[unlikely]]
			enter_later();
	}

	void leave()
	{
		if ((word_.add(~u32{0}) & ~kWaiting) == kChanging) [[unlikely]]
			queue_.wake_all();
	}

	[[gnu::noinline, gnu::cold]] void enter_later();
	void begin_change()
	{
		if (!word_.replace(0, kChanging)) [[unlikely]]
			begin_change_later();
	}

	[[gnu::noinline, gnu::cold]] void begin_change_later();
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
