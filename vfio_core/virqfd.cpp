// SPDX-License-Identifier: GPL-2.0
//
// The exported vfio_virqfd_*() functions: eventfds that call a driver, such as vfio-pci, which
// masks and unmasks interrupts by them.
//
// A virqfd is enabled while its slot, a pointer of the driver's, points to it. It leaves the slot
// once: when the driver disables it, or when the eventfd is closed, whichever is first. Who takes
// it out of the slot has it shut down, in a work, because the closing of an eventfd is told with
// the lock of its wait queue held.
//
// Locks: one lock for all slots, which may be taken in an interrupt. The driver serializes its own
// calls for one slot.
#include "vfio_core/shim/virqfd.h"
#include "entry.h"
#include "kernel_refs.hpp"

namespace vfio {

namespace {

class SlotsGuard : Immovable {
public:
	SlotsGuard() : flags_(shim_virqfd_lock())
	{
	}

	~SlotsGuard()
	{
		shim_virqfd_unlock(flags_);
	}

private:
	const unsigned long flags_;
};

using Virqfd = Owned<virqfd *, shim_virqfd_free>;
using EventBinding = Owned<virqfd *, shim_virqfd_unbind>;

} // namespace

// Calls the driver for an event.
static void handle(virqfd *virqfd)
{
	if (shim_virqfd_handle(virqfd) && shim_virqfd_has_thread(virqfd))
		shim_virqfd_queue_thread(virqfd);
}

// Puts the virqfd into its slot. Errors: EBUSY if there is one.
static Result<void> publish(virqfd *virqfd)
{
	struct virqfd **slot = shim_virqfd_slot(virqfd);
	const SlotsGuard guard;

	if (*slot)
		return Error(EBUSY);
	*slot = virqfd;
	return {};
}

static Result<void> enable(const shim_virqfd_calls &calls, virqfd **slot, int fd)
{
	Virqfd made(shim_virqfd_create(&calls, slot));

	if (!made)
		return Error(ENOMEM);

	// While the file is held the eventfd is not closed, so that a virqfd in the slot is
	// watched before it is shut down for that.
	const FileRef file = TRY(file_of_fd(fd));

	TRY(Result<void>::from_negative(shim_virqfd_bind(made.get(), file.get())));

	EventBinding binding(made.get());

	TRY(publish(made.get()));
	(void)binding.release();

	virqfd *enabled = made.release();

	if (shim_virqfd_watch(enabled, file.get()))
		handle(enabled);
	return {};
}

CORE_ENTRY int vfio_core_virqfd_enable(const shim_virqfd_calls *calls, virqfd **slot, int fd)
{
	return enable(*calls, slot, fd).negative();
}

// Called with the lock of the eventfd's wait queue held. The virqfd is shut down later at the
// earliest, because shutting it down takes that lock.
CORE_ENTRY void vfio_core_virqfd_event(virqfd *virqfd, bool signaled, bool closed)
{
	if (signaled) {
		shim_virqfd_consume(virqfd);
		handle(virqfd);
	}
	if (!closed)
		return;

	struct virqfd **slot = shim_virqfd_slot(virqfd);
	const SlotsGuard guard;

	if (*slot != virqfd)
		return;
	*slot = nullptr;
	shim_virqfd_queue_shutdown(virqfd);
}

CORE_ENTRY void vfio_core_virqfd_shutdown(virqfd *virqfd)
{
	const Virqfd owned(virqfd);
	const EventBinding binding(virqfd);

	shim_virqfd_unwatch(virqfd);
}

// Also waits for a virqfd that has left the slot before, because its eventfd was closed.
CORE_ENTRY void vfio_core_virqfd_disable(virqfd **slot)
{
	{
		const SlotsGuard guard;

		if (*slot) {
			shim_virqfd_queue_shutdown(*slot);
			*slot = nullptr;
		}
	}
	shim_virqfd_drain();
}

CORE_ENTRY void vfio_core_virqfd_wait(virqfd **slot)
{
	{
		const SlotsGuard guard;

		if (*slot && shim_virqfd_has_thread(*slot))
			shim_virqfd_queue_wait(*slot);
	}
	shim_virqfd_drain();
}

} // namespace vfio
