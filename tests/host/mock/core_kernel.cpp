// SPDX-License-Identifier: GPL-2.0
//
// IOMMU groups, device sets, pages of the process, and the module.
#include "core.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dma/shim/pin.h"
#include "shim/uapi.h"
#include "vfio_core/shim/device_set.h"
#include "vfio_core/shim/iommu_group.h"
#include "vfio_core/shim/module.h"
#include "vfio_core/shim/task.h"
#include "vfio_core/shim/user_pages.h"

struct vfio_device_set {
	std::mutex mutex;
	vfio_core_device_set *owner;
	std::vector<vfio_device *> devices;
	std::atomic<bool> locked = false;
};

namespace mock {

std::atomic<bool> noiommu_allowed;
std::atomic<u64> taints;
const shim_iommu_module kIommuModules[] = {
	{"vfio_iommu_type1",
	 1 << VFIO_TYPE1_IOMMU | 1 << VFIO_TYPE1v2_IOMMU | 1 << VFIO_TYPE1_NESTING_IOMMU,
	 1 << VFIO_TYPE1_NESTING_IOMMU},
	{"vfio_iommu_other", 1 << VFIO_SPAPR_TCE_v2_IOMMU, 0},
	{},
};
std::function<void(const std::string &name)> on_module_load;
std::atomic<bool> signal_pending;

namespace {

std::mutex mutex;
std::set<iommu_group *> created_groups;
std::atomic<u64> sets;

using Lock = std::lock_guard<std::mutex>;

void put_locked(iommu_group *group)
{
	if (group->refs-- <= 0)
		violation("IOMMU group put more often than got");
	if (group->refs == 0 && group->created) {
		created_groups.erase(group);
		delete group;
	}
}

} // namespace

u64 live_iommu_groups()
{
	const Lock guard(mutex);

	return created_groups.size();
}

u64 live_device_sets()
{
	return sets;
}

} // namespace mock

using namespace mock;

/* Virtual machines. */

bool shim_kvm_get(kvm *kvm)
{
	s64 refs = kvm->refs;

	if (plan.hit(Fail::kModule))
		return false;
	while (refs > 0)
		if (kvm->refs.compare_exchange_weak(refs, refs + 1))
			return true;
	return false;
}

void shim_kvm_put(kvm *kvm)
{
	if (kvm->refs-- <= 0)
		violation("virtual machine put more often than got");
}

/* IOMMU groups. */

iommu_group *shim_iommu_group_of(device *dev)
{
	const Lock guard(mutex);

	if (dev->group)
		dev->group->refs++;
	return dev->group;
}

int shim_iommu_group_create(const char *, iommu_group **group)
{
	static std::atomic<int> next_id = 1000;

	if (plan.hit(Fail::kGroup))
		return -ENOMEM;
	const Lock guard(mutex);
	*group = new iommu_group{next_id++, 1, true};
	created_groups.insert(*group);
	return 0;
}

int shim_iommu_group_add(iommu_group *group, device *dev)
{
	if (plan.hit(Fail::kGroup))
		return -ENOMEM;
	const Lock guard(mutex);
	if (dev->group)
		violation("device %s put into a second group", dev->name.c_str());
	dev->group = group;
	group->refs++;
	return 0;
}

void shim_iommu_group_put(iommu_group *group)
{
	const Lock guard(mutex);

	put_locked(group);
}

void shim_iommu_group_remove(device *dev)
{
	iommu_group *group = std::exchange(dev->group, nullptr);

	if (!group)
		violation("device %s taken out of no group", dev->name.c_str());
	else
		shim_iommu_group_put(group);
}

void shim_iommu_group_get(iommu_group *group)
{
	const Lock guard(mutex);

	if (group->refs++ <= 0)
		violation("reference taken on a dead IOMMU group");
}

int shim_iommu_group_id(iommu_group *group)
{
	return group->id;
}

int shim_iommu_group_claim_dma(iommu_group *group, vfio_group *owner)
{
	const Lock guard(mutex);

	if (plan.hit(Fail::kClaimDma) || group->kernel_driver)
		return -EBUSY;
	if (group->dma_owner)
		return -EPERM;
	group->dma_owner = owner;
	return 0;
}

void shim_iommu_group_release_dma(iommu_group *group)
{
	const Lock guard(mutex);

	if (!std::exchange(group->dma_owner, nullptr))
		violation("DMA released that nobody owns");
}

bool shim_iommu_group_dma_claimed(iommu_group *group)
{
	const Lock guard(mutex);

	return group->dma_owner || group->kernel_driver;
}

bool shim_iommu_can_snoop(device *dev)
{
	return dev->can_snoop;
}

int shim_iommu_enforces_coherency(device *dev)
{
	return dev->enforces_coherency;
}

bool shim_kvm_wants_iommu_group(void)
{
	return true;
}

/* The module. */

void shim_module_load(const char *name)
{
	if (on_module_load)
		on_module_load(name);
}

void shim_taint_user(void)
{
	taints++;
}

bool shim_param_noiommu(void)
{
	return noiommu_allowed;
}

void shim_current_task(shim_task *task)
{
	strcpy(task->name, "host_test");
	task->pid = 42;
}

mm_struct *shim_task_mm(void)
{
	return mm_in_use();
}

void shim_task_grab_mm(mm_struct *mm)
{
	mm->grabs++;
}

void shim_task_drop_mm(mm_struct *mm)
{
	if (mm->grabs-- <= 0)
		violation("address space dropped more often than grabbed");
}

/* Device sets. */

vfio_device_set *shim_device_set_create(u64, vfio_core_device_set *owner)
{
	if (plan.hit(Fail::kDevice))
		return nullptr;
	sets++;
	auto *set = new vfio_device_set;
	set->owner = owner;
	return set;
}

void shim_device_set_destroy(vfio_device_set *set)
{
	if (!set->devices.empty())
		violation("device set ended with devices");
	sets--;
	delete set;
}

void shim_device_set_lock(vfio_device_set *set)
{
	set->mutex.lock();
	set->locked = true;
}

void shim_device_set_unlock(vfio_device_set *set)
{
	if (!set->locked.exchange(false))
		violation("device set unlocked and not locked");
	set->mutex.unlock();
}

void shim_device_set_assert_locked(vfio_device_set *set)
{
	if (!set->locked)
		violation("device set not locked");
}

void shim_device_set_add(vfio_device_set *set, vfio_device *device)
{
	shim_device_set_assert_locked(set);
	set->devices.push_back(device);
	device->set = set;
}

vfio_device *shim_device_set_find(const vfio_device_set *set, const device *dev)
{
	const auto at = std::find_if(set->devices.begin(), set->devices.end(),
				     [&](vfio_device *device) { return device->dev == dev; });

	if (!set->locked)
		violation("device set searched and not locked");
	return at == set->devices.end() ? nullptr : *at;
}

void shim_device_set_remove(vfio_device_set *set, vfio_device *device)
{
	shim_device_set_assert_locked(set);
	if (!std::erase(set->devices, device))
		violation("device taken out of a set that it is not in");
}

/* Pages of the process. */

long shim_user_pages_pin(u64 uva, u32 npages, page **pages)
{
	Process *process = current();
	u32 n = 0;

	if (plan.hit(Fail::kUserPages) || !process)
		return -EFAULT;
	for (; n < std::min<u64>(npages, process->mm.pin_batch); n++) {
		Page found;

		if (!process->mm.find((uva & ~(kPage - 1)) + n * kPage, found) || !found.writable)
			break;
		phys::pin(found.pfn);
		pages[n] = page_of(found.pfn);
	}
	return n ? static_cast<long>(n) : -EFAULT;
}

void shim_user_pages_unpin(page **pages, u32 npages, bool dirty)
{
	for (u32 i = 0; i < npages; i++)
		shim_unpin(pfn_of(pages[i]), 1, dirty);
}

static thread_local s64 mapped_pages;

u8 *shim_page_map(page *page)
{
	mapped_pages++;
	if (phys::pins(pfn_of(page)) == 0)
		violation("a page that is not pinned is mapped");
	return phys::contents(pfn_of(page));
}

void shim_page_unmap(u8 *)
{
	if (mapped_pages-- <= 0)
		violation("a page unmapped that is not mapped");
}
