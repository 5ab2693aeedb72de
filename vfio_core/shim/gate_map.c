// SPDX-License-Identifier: GPL-2.0
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/vfio_pci_core.h>

#include "compat/fault.h"
#include "compat/vfio_pci.h"
#include "shim/lock.h"
#include "vfio_core/entry.h"
#include "vfio_core/shim/gate_map.h"
#include "vfio_cxx/gate_frames.h"

/**
 * struct shim_gate_map - the operations of a device's gated maps
 * @ops: what the maps have
 * @driver: the driver's, which @ops stands for
 * @gate: the device's gate, which lives longer than the maps
 * @pdev: the PCI function if the maps are vfio-pci's own, else NULL
 * @serving: for compat_driver_fault(); inside the lock of the address space
 */
struct shim_gate_map {
	struct vm_operations_struct ops;
	const struct vm_operations_struct *driver;
	struct vfio_gate *gate;
	struct pci_dev *pdev;
	struct mutex serving;
};

static struct shim_gate_map *map_of(const struct vm_area_struct *vma)
{
	return container_of(vma->vm_ops, struct shim_gate_map, ops);
}

static u32 how_of(const struct vm_fault *fault)
{
	u32 how = 0;

	if (fault->flags & FAULT_FLAG_RETRY_NOWAIT)
		how |= SHIM_GATE_FAULT_NOWAIT;
	else if (fault->flags & FAULT_FLAG_ALLOW_RETRY)
		how |= SHIM_GATE_FAULT_MAY_WAIT;
	if (fault->flags & FAULT_FLAG_USER)
		how |= SHIM_GATE_FAULT_USER;
	if (fault->flags & FAULT_FLAG_REMOTE)
		how |= SHIM_GATE_FAULT_REMOTE;
	return how;
}

static vm_fault_t gate_fault(struct vm_fault *fault)
{
	struct shim_gate_map *map = map_of(fault->vma);
	vm_fault_t ret;

	switch (vfio_core_gate_fault(map->gate, fault, how_of(fault))) {
	case SHIM_GATE_FAULT_SERVE:
		ret = compat_driver_fault(map->driver, &map->serving, fault);
		vfio_core_gate_leave(map->gate);
		return ret;
	case SHIM_GATE_FAULT_RETRY:
		return VM_FAULT_RETRY;
	default:
		return VM_FAULT_SIGBUS;
	}
}

static vm_fault_t gate_huge_fault(struct vm_fault *fault,
				  compat_fault_order order)
{
	struct shim_gate_map *map = map_of(fault->vma);
	vm_fault_t ret = VM_FAULT_FALLBACK;

	if (vfio_core_gate_try_map(map->gate)) {
		ret = map->driver->huge_fault(fault, order);
		vfio_core_gate_leave(map->gate);
	}
	return ret;
}

/* A debugger reads or writes the device. It holds the lock of the address space, so may not wait. */
static int gate_access(struct vm_area_struct *vma, unsigned long address,
		       void *buffer, int size, int write)
{
	struct shim_gate_map *map = map_of(vma);
	int ret = -EAGAIN;

	if (vfio_core_gate_try_map(map->gate)) {
		ret = map->driver->access(vma, address, buffer, size, write);
		vfio_core_gate_leave(map->gate);
	}
	return ret;
}

long vfio_gate_map_frames(const struct vm_area_struct *vma,
			  unsigned long address, unsigned long npages,
			  unsigned long *pfn)
{
	struct shim_gate_map *map;

	if (!vma->vm_ops || vma->vm_ops->fault != gate_fault)
		return -EFAULT;
	map = map_of(vma);
	if (!map->pdev)
		return -EFAULT;
	*pfn = compat_vfio_pci_pfn(map->pdev, vma, address);
	return vfio_core_gate_closed_frames(map->gate, *pfn, npages);
}

bool shim_gate_map_possible(const struct vm_area_struct *vma,
			    const struct inode *inode)
{
	return vma->vm_ops && vma->vm_ops->fault &&
	       vma->vm_file->f_mapping == inode->i_mapping;
}

/* Whether vfio-pci itself has made a device's maps: where their pages are is then known. */
static bool is_vfio_pcis(const struct vfio_device *device)
{
	typeof(&vfio_pci_core_mmap) of_pci = symbol_get(vfio_pci_core_mmap);
	bool same = of_pci && device->ops->mmap == of_pci;

	if (of_pci)
		symbol_put(vfio_pci_core_mmap);
	return same;
}

struct shim_gate_map *shim_gate_map_create(const struct vm_area_struct *vma,
					   const struct vfio_device *device,
					   struct vfio_gate *gate)
{
	struct shim_gate_map *map = kmalloc(sizeof(*map), GFP_KERNEL);

	if (!map)
		return NULL;
	map->driver = vma->vm_ops;
	map->gate = gate;
	map->pdev = is_vfio_pcis(device) ? to_pci_dev(device->dev) : NULL;
	map->ops = *map->driver;
	map->ops.fault = gate_fault;
	/*
	 * Maps pages around a fault, and does not ask the core. Without it, too, faults come with
	 * the lock of the address space, never with that of the map, which the kernel would
	 * otherwise try first.
	 */
	map->ops.map_pages = NULL;
	if (map->ops.huge_fault)
		map->ops.huge_fault = gate_huge_fault;
	if (map->ops.access)
		map->ops.access = gate_access;
	mutex_init(&map->serving);
	return map;
}

void shim_gate_map_destroy(struct shim_gate_map *map)
{
	mutex_destroy(&map->serving);
	kfree(map);
}

bool shim_gate_map_fits(const struct shim_gate_map *map,
			const struct vm_area_struct *vma)
{
	return map->driver == vma->vm_ops;
}

void shim_gate_map_use(struct shim_gate_map *map, struct vm_area_struct *vma)
{
	vma->vm_ops = &map->ops;
}

void shim_gate_map_refuse(struct vm_area_struct *vma)
{
	if (vma->vm_ops && vma->vm_ops->close)
		vma->vm_ops->close(vma);
	vma->vm_ops = NULL;
}

void shim_gate_fault_unlock(struct vm_fault *fault)
{
	mmap_read_unlock(fault->vma->vm_mm);
}

void shim_gate_poll(struct shim_waitq *waitq, struct file *file,
		    struct poll_table_struct *table)
{
	poll_wait(file, (wait_queue_head_t *)waitq->storage, table);
	/*
	 * Either shim_waitq_wake_all() finds the caller waiting, or the caller sees what was changed
	 * before. Older kernels' poll_wait() has no barrier.
	 */
	smp_mb();
}
