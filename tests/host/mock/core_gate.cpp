// SPDX-License-Identifier: GPL-2.0
//
// Maps of gated devices. What the C side does with a fault, a test does: it calls the core.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "core.hpp"
#include "vfio_core/shim/gate_event.h"
#include "vfio_core/shim/gate_irqs.h"
#include "vfio_core/shim/gate_trace.h"

using namespace mock;

struct shim_gate_map {
	const vm_operations_struct *driver;
	vfio_gate *gate;
};

bool shim_gate_map_possible(const vm_area_struct *vma, const inode *inode)
{
	return vma->ops && vma->ops->faults && vma->of == inode;
}

shim_gate_map *shim_gate_map_create(const vm_area_struct *vma, const vfio_device *, vfio_gate *gate)
{
	return plan.hit(Fail::kAlloc) ? nullptr : new shim_gate_map{vma->ops, gate};
}

void shim_gate_map_destroy(shim_gate_map *map)
{
	delete map;
}

bool shim_gate_map_fits(const shim_gate_map *map, const vm_area_struct *vma)
{
	return map->driver == vma->ops;
}

void shim_gate_map_use(shim_gate_map *map, vm_area_struct *vma)
{
	if (vma->gated || vma->refused)
		violation("a map is gated twice, or refused");
	vma->gated = map;
}

void shim_gate_map_refuse(vm_area_struct *vma)
{
	if (vma->gated || vma->refused)
		violation("a map is refused that was made");
	vma->refused = true;
}

void shim_gate_fault_unlock(vm_fault *fault)
{
	if (!fault->locked.exchange(false))
		violation("a fault releases its lock twice");
}

void shim_gate_poll(shim_waitq *, file *, poll_table_struct *)
{
}

// A descriptor stands for itself, from 1000 on.
static eventfd_ctx *event_of(int fd)
{
	return reinterpret_cast<eventfd_ctx *>(static_cast<u64>(fd));
}

mock::Events mock::gate_events;

int shim_gate_event_get(int fd, eventfd_ctx **event)
{
	if (fd < 1000)
		return -EBADF;
	*event = event_of(fd);
	gate_events.refs++;
	return 0;
}

void shim_gate_event_put(eventfd_ctx *)
{
	if (gate_events.refs-- <= 0)
		violation("eventfd put more often than got");
}

void shim_gate_event_signal(eventfd_ctx *event)
{
	if (event == event_of(1000))
		gate_events.signals++;
}

u32 shim_gate_windows(device *dev, shim_gate_window windows[SHIM_GATE_WINDOWS])
{
	std::copy(dev->windows.begin(), dev->windows.end(), windows);
	return static_cast<u32>(dev->windows.size());
}

bool shim_gate_irqs_known(const device *dev)
{
	return dev->pci;
}

u32 shim_gate_irqs_own_line(device *dev)
{
	return dev->line;
}

void shim_gate_irqs_disable(device *dev, u32 line)
{
	if (!dev->pci || line != dev->line || std::exchange(dev->irqs_disabled, true))
		violation("interrupts are disabled twice, or of no function");
}

void shim_gate_irqs_enable(device *dev, u32 line)
{
	if (line != dev->line || !std::exchange(dev->irqs_disabled, false))
		violation("interrupts are enabled that are not disabled");
}

void shim_gate_trace(const vfio_device *device, u32, u32)
{
	if (device->released)
		violation("a device is traced that has gone");
}

void mock_iommu_cut(void *domain, iommu_group *group)
{
	if (!group->dma_owner || group->iommu != domain || group->cut.exchange(true))
		violation("DMA of a group cut off that has none");
}

int mock_iommu_restore(void *domain, iommu_group *group)
{
	if (group->restore_error)
		return group->restore_error;
	if (group->iommu != domain || !group->cut.exchange(false))
		violation("DMA of a group given back that has it");
	return 0;
}
