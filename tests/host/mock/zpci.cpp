// SPDX-License-Identifier: GPL-2.0
#include "zpci.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "report.hpp"
#include "vfio_zpci/shim/doorbell.h"
#include "vfio_zpci/shim/open_devices.h"

namespace mock {

namespace {

std::map<int, iommu_group *> group_files;
// What is bound to each eventfd. The lock is that of all wait queues.
std::mutex bells_mutex;
std::map<int, std::set<shim_doorbell *>> bells;
std::mutex works_mutex;
std::vector<shim_doorbell *> works;
// Held while a work runs; taken before works_mutex.
std::mutex running_mutex;
thread_local bool in_interrupt;

// Takes a doorbell out of those that a thread is to serve.
void forget_work(shim_doorbell *doorbell)
{
	const std::lock_guard guard(works_mutex);

	std::erase(works, doorbell);
}

} // namespace

GroupFile::GroupFile(int fd, iommu_group *group) : fd_(fd)
{
	group_files[fd] = group;
}

GroupFile::~GroupFile()
{
	group_files.erase(fd_);
}

Bell::Bell(int fd) : fd(fd)
{
	const std::lock_guard guard(bells_mutex);

	bells[fd];
}

Bell::~Bell()
{
	const std::lock_guard guard(bells_mutex);

	bells.erase(fd);
}

void Bell::ring()
{
	const std::lock_guard guard(bells_mutex);
	const AtomicSection section;

	for (shim_doorbell *doorbell : bells[fd])
		zpci_doorbell_rung(doorbell->owner);
}

void Bell::ring_in_interrupt()
{
	in_interrupt = true;
	ring();
	in_interrupt = false;
}

int run_doorbell_works()
{
	const auto next = []() -> shim_doorbell * {
		const std::lock_guard guard(works_mutex);

		return works.empty() ? nullptr : *works.begin();
	};
	int count = 0;

	for (;; count++) {
		const std::lock_guard running(running_mutex);
		shim_doorbell *const doorbell = next();

		if (!doorbell)
			return count;
		forget_work(doorbell);
		zpci_doorbell_work(doorbell->owner);
	}
}

} // namespace mock

using namespace mock;

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

void shim_open_devices_init(shim_open_devices *)
{
}

void shim_open_devices_add(shim_open_devices *, vfio_device *)
{
}

void shim_open_devices_remove(vfio_device *)
{
}

iommu_group *shim_open_devices_find(const shim_open_devices *, int fd)
{
	const auto found = group_files.find(fd);

	return found == group_files.end() ? nullptr : found->second;
}

// No device is opened.
iommu_group *shim_device_group(vfio_device *)
{
	return nullptr;
}

kvm *shim_open_devices_kvm(const shim_open_devices *, const iommu_group *)
{
	return nullptr;
}

void shim_doorbell_init(shim_doorbell *doorbell, zpci_doorbell *owner)
{
	doorbell->owner = owner;
}

int shim_doorbell_bind(shim_doorbell *doorbell, int eventfd)
{
	note_sleep("shim_doorbell_bind");
	const std::lock_guard guard(bells_mutex);
	if (!bells.contains(eventfd))
		return -EBADF;
	if (plan.hit(Fail::kFile))
		return -ENOMEM;
	bells[eventfd].insert(doorbell);
	return 0;
}

void shim_doorbell_unbind(shim_doorbell *doorbell)
{
	note_sleep("shim_doorbell_unbind");
	{
		const std::lock_guard guard(bells_mutex);

		for (auto &[fd, bound] : bells)
			bound.erase(doorbell);
	}
	// What runs has ended.
	const std::lock_guard running(running_mutex);
	forget_work(doorbell);
}

void shim_doorbell_defer(shim_doorbell *doorbell)
{
	const std::lock_guard guard(works_mutex);

	if (std::find(works.begin(), works.end(), doorbell) == works.end())
		works.push_back(doorbell);
}

bool shim_in_task(void)
{
	return !in_interrupt;
}
