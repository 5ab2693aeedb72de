// SPDX-License-Identifier: GPL-2.0
//
// Points at the shim calls of vfio_core that threads see of each other, what
// these calls order, and those that block. The linker puts the functions here
// (ld --wrap) before those of the mock.
#include <map>

#include "mock/core.hpp"
#include "races.hpp"
#include "wrap.hpp"

using namespace model;

extern "C" {

// Files: a descriptor that is found was installed before; the close of a file
// comes after all that was done through it.
WRAP(file *, shim_file_of_fd, (int fd), (fd), point(), acquire(Order::kInstall))
WRAP_VOID(shim_file_put, (file * file), (file), (point(), release(Order::kPut)), )
WRAP_VOID(shim_fd_install, (int fd, file *file), (fd, file), (point(), release(Order::kInstall)), )
WRAP(long, vfio_core_container_ioctl, (vfio_container * container, u32 cmd, u64 arg),
     (container, cmd, arg), (point(), acquire(Order::kInstall)), release(Order::kPut))
WRAP(long, vfio_core_group_ioctl, (vfio_group * group, u32 cmd, u64 arg), (group, cmd, arg),
     (point(), acquire(Order::kInstall)), release(Order::kPut))
WRAP(long, vfio_core_device_file_ioctl, (vfio_core_device_file * file, u32 cmd, u64 arg),
     (file, cmd, arg), (point(), acquire(Order::kInstall)), release(Order::kPut))
WRAP_VOID(vfio_core_container_close, (vfio_container * container), (container),
	  (point(), acquire(Order::kPut)), )
WRAP_VOID(vfio_core_device_file_close, (vfio_core_device_file * file), (file),
	  (point(), acquire(Order::kInstall), acquire(Order::kPut)), )

// Nodes: who finds one comes after who added it; the group goes after the last
// who knew the node.
WRAP(int, shim_group_node_add, (shim_group_node * node), (node),
     (point(), release(Order::kNodes)), )
WRAP_VOID(shim_group_node_del, (shim_group_node * node), (node), point(), )
WRAP_VOID(shim_group_node_get, (shim_group_node * node), (node), point(), )
WRAP_VOID(shim_group_node_put, (shim_group_node * node), (node),
	  (point(), release(Order::kNodePut)), )
WRAP(int, vfio_core_group_open, (vfio_group * group), (group), (point(), acquire(Order::kNodes)),
     release(Order::kNodePut))
WRAP_VOID(vfio_core_group_close, (vfio_group * group), (group),
	  (point(), acquire(Order::kPut), acquire(Order::kInstall)), release(Order::kNodePut))
WRAP_VOID(vfio_core_group_destroy, (vfio_group * group), (group), acquire(Order::kNodePut), )

// Ownership of DMA, modules, drivers.
WRAP(int, shim_iommu_group_claim_dma, (iommu_group * group, vfio_group *owner), (group, owner),
     point(), )
WRAP_VOID(shim_iommu_group_release_dma, (iommu_group * group), (group), point(), )
WRAP_VOID(mock_iommu_cut, (void *domain, iommu_group *group), (domain, group), point(), )
WRAP(int, mock_iommu_restore, (void *domain, iommu_group *group), (domain, group), point(), )
WRAP_VOID(shim_device_inode_zap, (inode * inode), (inode), point(), )
WRAP_VOID(shim_gate_fault_unlock, (vm_fault * fault), (fault), point(), )
WRAP(bool, shim_iommu_driver_get, (const vfio_iommu_driver_ops *ops), (ops), point(), )
WRAP_VOID(shim_iommu_driver_put, (const vfio_iommu_driver_ops *ops), (ops), point(), )
WRAP_VOID(shim_iommu_driver_release, (const vfio_iommu_driver_ops *ops, shim_iommu_data *data),
	  (ops, data), point(), )
WRAP(long, shim_iommu_driver_ioctl,
     (const vfio_iommu_driver_ops *ops, shim_iommu_data *data, u32 cmd, u64 arg, u64 *ticks),
     (ops, data, cmd, arg, ticks), point(), )
WRAP(bool, shim_device_module_get, (vfio_device * device), (device), point(), )
WRAP_VOID(shim_device_module_put, (vfio_device * device), (device), point(), )
WRAP(int, shim_device_open, (vfio_device * device), (device), point(), )
WRAP_VOID(shim_device_close, (vfio_device * device), (device), point(), )

WRAP(bool, shim_kvm_get, (kvm * kvm), (kvm), point(), )
WRAP_VOID(shim_kvm_put, (kvm * kvm), (kvm), point(), )

// The completion of a device.
WRAP_VOID(shim_device_complete, (vfio_device * device), (device),
	  (point(), release(Order::kCompletion)), )

bool __real_shim_device_try_wait(vfio_device *device);
bool __wrap_shim_device_try_wait(vfio_device *device)
{
	point();
	if (!__real_shim_device_try_wait(device))
		return false;
	acquire(Order::kCompletion);
	return true;
}

// The first wait for a device may come to its time-out.
int __wrap_shim_device_wait(vfio_device *device, unsigned int, bool interruptible)
{
	point();
	if (interruptible && !device->completions)
		return -EINTR;
	wait_for("a device's users", [&] { return device->completions != 0; });
	device->completions--;
	acquire(Order::kCompletion);
	return 1;
}

// The lock of a device set, which is the kernel's.
struct SetLock {
	int owner = kMain + 1;
	Clock clock = {};
};

static std::map<const vfio_device_set *, SetLock> set_locks;

void __real_shim_device_set_lock(vfio_device_set *set);
void __wrap_shim_device_set_lock(vfio_device_set *set)
{
	SetLock &lock = set_locks[set];

	wait_for("vfio_device_set", [&] { return lock.owner > kMain; });
	lock.owner = current();
	acquire(lock.clock);
	note_held(set, "vfio_device_set");
	__real_shim_device_set_lock(set);
}

void __real_shim_device_set_unlock(vfio_device_set *set);
void __wrap_shim_device_set_unlock(vfio_device_set *set)
{
	SetLock &lock = set_locks[set];

	__real_shim_device_set_unlock(set);
	note_released(set);
	release(lock.clock);
	lock.owner = kMain + 1;
}

void __real_shim_device_set_destroy(vfio_device_set *set);
void __wrap_shim_device_set_destroy(vfio_device_set *set)
{
	set_locks.erase(set);
	__real_shim_device_set_destroy(set);
}

} // extern "C"
