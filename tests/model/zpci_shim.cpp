// SPDX-License-Identifier: GPL-2.0
#include "zpci_world.hpp"

#include <cerrno>

#include "mock/report.hpp"
#include "races.hpp"
#include "vfio_zpci/entry.h"
#include "vfio_zpci/shim/open_devices.h"

using namespace model;

namespace {

shim_lock_class wait_queue_class = {"wait queue", {}};
Eventfd *the_eventfd;

} // namespace

iommu_group *model::device_group;

kvm *model::machine()
{
	static int memory;

	return reinterpret_cast<kvm *>(&memory);
}

Eventfd::Eventfd()
{
	shim_mutex_init(&wait_queue, &wait_queue_class);
	the_eventfd = this;
}

Eventfd::~Eventfd()
{
	the_eventfd = nullptr;
}

void Eventfd::signal()
{
	shim_mutex_lock(&wait_queue);
	if (bound) {
		const mock::AtomicSection section;

		zpci_doorbell_rung(bound->owner);
	}
	shim_mutex_unlock(&wait_queue);
	signalers--;
}

void Eventfd::work()
{
	wait_for("a request for the thread", [this] { return pending || signalers == 0; });
	if (!pending)
		return;
	shim_doorbell *const doorbell = bound;
	pending = false;
	running = true;
	acquire(Order::kInstall);
	zpci_doorbell_work(doorbell->owner);
	release(Order::kCompletion);
	running = false;
}

void shim_doorbell_init(shim_doorbell *doorbell, zpci_doorbell *owner)
{
	doorbell->owner = owner;
}

int shim_doorbell_bind(shim_doorbell *doorbell, int eventfd)
{
	if (eventfd != Eventfd::kFd)
		return -EBADF;
	shim_mutex_lock(&the_eventfd->wait_queue);
	the_eventfd->bound = doorbell;
	shim_mutex_unlock(&the_eventfd->wait_queue);
	return 0;
}

// First nobody signals the doorbell, then it is not served any more.
void shim_doorbell_unbind(shim_doorbell *doorbell)
{
	Eventfd &eventfd = *the_eventfd;

	shim_mutex_lock(&eventfd.wait_queue);
	const bool mine = eventfd.bound == doorbell;
	if (mine)
		eventfd.bound = nullptr;
	shim_mutex_unlock(&eventfd.wait_queue);
	if (!mine)
		return;
	eventfd.pending = false;
	wait_for("the thread", [&] { return !eventfd.running; });
	acquire(Order::kCompletion);
}

void shim_doorbell_defer(shim_doorbell *)
{
	release(Order::kInstall);
	the_eventfd->pending = true;
}

bool shim_in_task(void)
{
	return true;
}

void shim_open_devices_init(shim_open_devices *)
{
}

void shim_open_devices_add(shim_open_devices *, vfio_device *)
{
}

void shim_open_devices_remove(vfio_device *)
{
}

iommu_group *shim_open_devices_find(const shim_open_devices *, int)
{
	return device_group;
}

iommu_group *shim_device_group(vfio_device *)
{
	return device_group;
}

kvm *shim_open_devices_kvm(const shim_open_devices *, const iommu_group *)
{
	return machine();
}

bool zpci_param_allow_unsafe_interrupts(void)
{
	return false;
}

u32 zpci_param_dma_entry_limit(void)
{
	return 65535;
}

u32 zpci_param_pin_workers(void)
{
	return 1;
}
