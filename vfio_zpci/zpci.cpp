// SPDX-License-Identifier: GPL-2.0
//
// The life of a guest's IOMMU, its groups, and which ioctl is which.
#include "zpci.hpp"

#include "entry.h"
#include "vfio_zpci/shim/trace.h"

namespace vfio {

constinit LockClass Zpci::lock_class_ = {"zpci", {}};

Result<UniquePtr<Zpci>> Zpci::create(u64 extension)
{
	if (extension != VFIO_ZPCI_IOMMU)
		return Error(EINVAL);
	return make<Zpci>();
}

Zpci::Zpci() : memory_(zpci_param_dma_entry_limit())
{
	shim_open_devices_init(&open_devices_);
}

void Zpci::close()
{
	kvm_registry().set_machine(*this, nullptr);
	{
		const Guard guard(doorbells_lock_);

		while (Doorbell *doorbell = doorbells_.first()) {
			doorbells_.erase(*doorbell);
			destroy(doorbell);
		}
	}

	const WriteGuard guard(lock_);

	while (Function *function = functions_.first())
		forget(*function);
	while (FunctionGroup *group = groups_.pop_front())
		destroy(group);
	remove_all_memory();
}

FunctionGroup *Zpci::find_group(const iommu_group *group) const
{
	for (FunctionGroup &attached : groups_)
		if (attached.group == group)
			return &attached;
	return nullptr;
}

bool Zpci::coherent()
{
	const ReadGuard guard(lock_);

	for (const FunctionGroup &group : groups_)
		if (!group.coherent())
			return false;
	return true;
}

Result<void> Zpci::attach_group(iommu_group *group, bool emulated)
{
	const WriteGuard guard(lock_);

	if (emulated)
		return Error(EOPNOTSUPP);
	if (find_group(group))
		return Error(EINVAL);
	groups_.push_back(*TRY(FunctionGroup::attach(group, memory_, no_mappings_,
						     zpci_param_allow_unsafe_interrupts()))
				   .release());
	return {};
}

void Zpci::detach_group(iommu_group *group)
{
	const Guard doorbells(doorbells_lock_);

	detach(group);
	drop_doorbells();
}

void Zpci::detach(iommu_group *group)
{
	const WriteGuard guard(lock_);
	FunctionGroup *attached = find_group(group);

	if (!attached)
		return;
	for (Function *function = functions_.first(), *next = nullptr; function; function = next) {
		next = functions_.next(*function);
		if (&function->group == attached)
			forget(*function);
	}
	groups_.remove(*attached);
	destroy(attached);
	if (groups_.empty())
		remove_all_memory();
}

Result<FunctionGroup *> Zpci::attached_group(const iommu_group *group)
{
	const ReadGuard guard(lock_);
	FunctionGroup *attached = find_group(group);

	if (!attached)
		return Error(ENODEV);
	return attached;
}

void Zpci::register_device(vfio_device *device)
{
	const WriteGuard guard(lock_);

	shim_open_devices_add(&open_devices_, device);
	update_machine(shim_device_group(device));
}

void Zpci::unregister_device(vfio_device *device)
{
	const WriteGuard guard(lock_);

	shim_open_devices_remove(device);
	update_machine(shim_device_group(device));
}

// A device of a group has been opened or closed. All devices of a guest are opened for the same
// machine; of another one's KVM finds no function.
void Zpci::update_machine(const iommu_group *of)
{
	const kvm *machine = nullptr;

	for (FunctionGroup &group : groups_) {
		if (group.group == of)
			group.machine = shim_open_devices_kvm(&open_devices_, of);
		if (!machine)
			machine = group.machine;
	}
	kvm_registry().set_machine(*this, machine);
}

long Zpci::ioctl(u32 cmd, UserVa arg)
{
	switch (cmd) {
	case VFIO_IOMMU_GET_INFO:
		return get_info(arg).negative();
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(arg).negative();
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(arg).negative();
	case VFIO_ZPCI_REGISTER:
		return register_function(arg).negative();
	case VFIO_ZPCI_DEREGISTER:
		return deregister(arg).negative();
	case VFIO_ZPCI_SET_STATE:
		return set_state(arg).negative();
	case VFIO_ZPCI_REFRESH:
		return refresh(arg).negative();
	case VFIO_ZPCI_REFRESH_RANGES:
		return refresh_ranges(arg).negative();
	case VFIO_ZPCI_GET_EVENT:
		return get_event(arg).negative();
	case VFIO_ZPCI_GET_STATISTICS:
		return get_statistics(arg).negative();
	case VFIO_ZPCI_SET_DOORBELL:
		return set_doorbell(arg).negative();
	default:
		return -ENOTTY;
	}
}

} // namespace vfio

using namespace vfio;

CORE_ENTRY int zpci_open(u64 extension, zpci **made)
{
	Result<UniquePtr<Zpci>> result = Zpci::create(extension);

	if (!result.ok())
		return result.error().negative();
	*made = result.take().release();
	return 0;
}

CORE_ENTRY void zpci_release(zpci *handle)
{
	RefPtr<Zpci>::adopt(&Zpci::of(handle))->close();
}

CORE_ENTRY long zpci_ioctl(zpci *handle, u32 cmd, u64 arg)
{
	if (cmd != VFIO_CHECK_EXTENSION)
		return Zpci::of(handle).ioctl(cmd, {arg});

	// handle is null before SET_IOMMU.
	switch (arg) {
	case VFIO_ZPCI_IOMMU:
		return 1;
	case VFIO_UNMAP_ALL:
		return handle != nullptr;
	case VFIO_DMA_CC_IOMMU:
		return handle && Zpci::of(handle).coherent();
	default:
		return 0;
	}
}

CORE_ENTRY int zpci_attach_group(zpci *handle, iommu_group *group, bool emulated)
{
	const int result = Zpci::of(handle).attach_group(group, emulated).negative();

	shim_zpci_trace_attach(group, result);
	return result;
}

CORE_ENTRY void zpci_detach_group(zpci *handle, iommu_group *group)
{
	Zpci::of(handle).detach_group(group);
	shim_zpci_trace_detach(group);
}

CORE_ENTRY void zpci_register_device(zpci *handle, vfio_device *device)
{
	Zpci::of(handle).register_device(device);
}

CORE_ENTRY void zpci_unregister_device(zpci *handle, vfio_device *device)
{
	Zpci::of(handle).unregister_device(device);
}

CORE_ENTRY int zpci_group_domain(zpci *handle, iommu_group *group, iommu_domain **domain)
{
	Result<FunctionGroup *> attached = Zpci::of(handle).attached_group(group);

	if (!attached.ok())
		return attached.error().negative();
	*domain = attached.value()->nested().hardware();
	return 0;
}

CORE_ENTRY int zpci_find_domain(zpci *handle, iommu_group *group, void **domain)
{
	Result<FunctionGroup *> attached = Zpci::of(handle).attached_group(group);

	if (!attached.ok())
		return attached.error().negative();
	*domain = &attached.value()->nested();
	return 0;
}

CORE_ENTRY void zpci_cut(void *domain, iommu_group *group)
{
	static_cast<NestedDomain *>(domain)->cut(group);
}

CORE_ENTRY int zpci_restore(void *domain, iommu_group *group)
{
	return static_cast<NestedDomain *>(domain)->restore(group).negative();
}
