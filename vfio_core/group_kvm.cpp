// SPDX-License-Identifier: GPL-2.0
//
// The exported vfio_file_*() functions, which KVM or another holder of a group's or a device's
// file calls. Each takes any file and does nothing for one that is neither. A device's file has
// the virtual machine of its group or of one merged with it, so that only group files are told of
// one. The caller may
// hold kvm->lock, so none of them takes Group::lock_.
#include "device_file.hpp"
#include "entry.h"
#include "shim/uapi.h"

namespace vfio {

CORE_ENTRY bool vfio_core_file_is_group(file *file)
{
	return shim_file_group(file);
}

IommuGroupRef Group::share_iommu_group() __no_lock_analysis
{
	const Guard guard(kvm_lock_);

	return share(iommu_group_);
}

CORE_ENTRY iommu_group *vfio_core_file_iommu_group(file *file)
{
	vfio_group *group = shim_file_group(file);

	if (!group || !shim_kvm_wants_iommu_group())
		return nullptr;
	return Group::of(group).share_iommu_group().release();
}

void Group::set_kvm(kvm *kvm)
{
	const Guard guard(kvm_lock_);

	kvm_ = kvm;
}

CORE_ENTRY void vfio_core_file_set_kvm(file *file, kvm *kvm)
{
	vfio_group *group = shim_file_group(file);

	if (group)
		Group::of(group).set_kvm(kvm);
}

// KVM calls set_kvm(nullptr), which takes kvm_lock_, before it frees a machine. So
// the machine's memory is not freed while share_kvm() holds the lock.
KvmRef Group::share_own_kvm()
{
	const Guard guard(kvm_lock_);

	return try_get_kvm(kvm_);
}

KvmRef Group::share_kvm()
{
	KvmRef own = share_own_kvm();
	const RefPtr<MergedSet> set = share_set();

	return own || !set ? move(own) : set->share_kvm();
}

// No analysis, because the annotations of container_ and set_ can name only one of their two
// locks.
RefPtr<Container> Group::share_container() const __no_lock_analysis
{
	const Guard guard(kvm_lock_);

	return container_;
}

RefPtr<MergedSet> Group::share_set() const __no_lock_analysis
{
	const Guard guard(kvm_lock_);

	return set_;
}

Result<bool> Group::devices_enforce_coherency()
{
	const Guard guard(devices_lock_);

	for (const Device &device : devices_) {
		const int enforces = shim_iommu_enforces_coherency(device.dev());

		if (enforces < 0)
			return Error::from_negative(enforces);
		if (!enforces)
			return false;
	}
	return true;
}

bool Group::container_enforces_coherency()
{
	const RefPtr<Container> container = share_container();

	// Only an IOMMU tells whether DMA is coherent. Devices of a group without a
	// container are not open, so the answer does not matter.
	if (!container)
		return true;

	const Result<long> answer = container->check_extension(VFIO_DMA_CC_IOMMU);

	return answer.negative_or_value() != 0;
}

// KVM may ask before the group has a container, and does not ask again. So the answer
// comes from the devices where the kernel can tell.
bool Group::enforced_coherent()
{
	const RefPtr<MergedSet> set = share_set();
	Result<bool> answer = set ? set->devices_enforce_coherency() : devices_enforce_coherency();

	return answer.ok() ? answer.value() : container_enforces_coherency();
}

CORE_ENTRY bool vfio_core_file_is_valid(file *file)
{
	return shim_file_group(file) || shim_file_device(file);
}

CORE_ENTRY bool vfio_core_file_enforced_coherent(file *file)
{
	if (vfio_group *group = shim_file_group(file))
		return Group::of(group).enforced_coherent();
	if (vfio_core_device_file *opened = shim_file_device(file))
		return DeviceFile::of(opened).device().group().enforced_coherent();
	return true;
}

CORE_ENTRY bool vfio_core_file_has_dev(file *file, vfio_core_device *device)
{
	vfio_group *group = shim_file_group(file);

	if (!group)
		return false;

	const RefPtr<MergedSet> set = Group::of(group).share_set();

	return set ? set->has_device(Device::of(device)) : Device::of(device).in_group(group);
}

CORE_ENTRY bool vfio_core_device_owns_file(vfio_core_device *device, file *file)
{
	if (vfio_core_device_file *opened = shim_file_device(file))
		return &DeviceFile::of(opened).device() == &Device::of(device);

	vfio_group *group = shim_file_group(file);

	return group && Device::of(device).in_group(group);
}

} // namespace vfio
