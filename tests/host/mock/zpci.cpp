// SPDX-License-Identifier: GPL-2.0
#include "zpci.hpp"

#include <cerrno>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "report.hpp"
#include "vfio_zpci/shim/doorbell.h"
#include "vfio_zpci/shim/open_devices.h"

namespace mock {

namespace {

std::map<int, iommu_group *> group_files;
// What is bound to each eventfd.
std::map<int, std::set<shim_doorbell *>> bells;
std::vector<shim_doorbell *> works;
bool in_interrupt;

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
	bells[fd];
}

Bell::~Bell()
{
	bells.erase(fd);
}

void Bell::ring()
{
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
	const std::vector<shim_doorbell *> due = std::exchange(works, {});

	for (const shim_doorbell *doorbell : due)
		zpci_doorbell_work(doorbell->owner);
	return static_cast<int>(due.size());
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
	for (auto &[fd, bound] : bells)
		bound.erase(doorbell);
	std::erase(works, doorbell);
}

void shim_doorbell_defer(shim_doorbell *doorbell)
{
	std::erase(works, doorbell);
	works.push_back(doorbell);
}

bool shim_in_task(void)
{
	return !in_interrupt;
}
