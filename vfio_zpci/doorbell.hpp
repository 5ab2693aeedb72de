// SPDX-License-Identifier: GPL-2.0
//
// Doorbell: an eventfd that KVM signals when a guest writes to a port, and a page of the
// guest's memory in which it asks for refreshes of a function. include/uapi/vfio_zpci.h has
// the page, and what the guest does.
//
// rung() is called in the eventfd's wait queue, with its spinlock held and interrupts off,
// mostly in the thread of the virtual processor that has written to the port. What can be done
// there is done before the guest goes on; the rest is left to a thread.
//
// All words of the page are read once. The guest may write them at any time, and several
// doorbells may have the same page or the same eventfd: each refresh is one that the guest
// could have asked for.
//
// Lock: serving_ is held while a request is served, and is taken before the lock of the guest
// (Zpci). A doorbell is destroyed without the latter, because it waits for the thread.
#pragma once

#include "function_handle.hpp"
#include "nested/guest_memory.hpp"
#include "uapi/vfio_zpci.h"
#include "vfio_zpci/shim/doorbell.h"
#include "vocab/atomic.hpp"

// The handle by which C code refers to a Doorbell.
struct zpci_doorbell {};

namespace vfio {

class Zpci;

class Doorbell : public zpci_doorbell, public RangeNode<Doorbell> {
public:
	static Doorbell &of(zpci_doorbell *handle)
	{
		return *static_cast<Doorbell *>(handle);
	}

	// page: the guest address of the page. Both references outlive the doorbell.
	Doorbell(Zpci &zpci, GuestMemory &memory, u32 fh, u64 page);
	// Waits until it is not served any more.
	~Doorbell();

	// Has the eventfd, of the calling process, call rung(). Errors: EBADF, EINVAL, ENOMEM.
	Result<void> bind(int eventfd);

	// Of one handle, for the tree of doorbells.
	Range<FunctionHandle> range() const
	{
		return {fh_, fh_};
	}

	void get_statistics(vfio_zpci_statistics &statistics) const
	{
		statistics.served = served_.load();
		statistics.deferred = deferred_.load();
	}

	void rung();
	// Called later, in a thread, if rung() has not done all.
	void work();

private:
	// What the guest asks for, and the first of its ranges.
	struct Request {
		u64 asked;
		u64 completed;
		u64 first_start;
		u64 first_length;
	};
	struct Answer {
		u32 cc;
		u32 status;
		u32 done;
	};

	Result<void> serve(Context context);
	Result<Answer> refresh_ranges(const Request &request, Context context)
		__must_hold(serving_);
	template <class F> Result<void> with_page(Context context, F access);
	Result<vfio_zpci_range> range_at(u64 i, Context context);

	static LockClass lock_class_;

	Zpci &zpci_;
	GuestMemory &memory_;
	const FunctionHandle fh_;
	const u64 page_;
	shim_doorbell shim_;
	RwSem serving_{lock_class_};
	// Whether answer_ is the answer to a request that was served, and is not in the guest's page yet;
	// and that request's word. All three change under serving_.
	bool answered_ = false;
	u64 answered_request_ = 0;
	Answer answer_ = {};
	Atomic<bool> stop_{false};
	// How many requests were served in either context. They change under serving_.
	Atomic<u64> served_{0};
	Atomic<u64> deferred_{0};
};

} // namespace vfio
