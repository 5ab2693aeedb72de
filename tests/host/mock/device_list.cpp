// SPDX-License-Identifier: GPL-2.0
#include "vfio_type1/shim/device_list.h"
#include "device.hpp"

using namespace mock;

namespace {

vfio_device *&head_of(const shim_device_list *list)
{
	return *reinterpret_cast<vfio_device **>(const_cast<u64 *>(list->storage));
}

} // namespace

void shim_device_list_init(shim_device_list *list)
{
	head_of(list) = nullptr;
}

void shim_device_list_add(shim_device_list *list, vfio_device *device)
{
	if (device->list)
		violation("device put on a list twice");
	device->list = list;
	device->next = head_of(list);
	head_of(list) = device;
}

void shim_device_list_remove(vfio_device *device)
{
	if (!device->list) {
		violation("device taken off a list that it is not on");
		return;
	}
	for (vfio_device **at = &head_of(static_cast<shim_device_list *>(device->list)); *at;
	     at = &(*at)->next)
		if (*at == device) {
			*at = device->next;
			break;
		}
	device->list = nullptr;
}

void shim_device_list_dma_unmap(const shim_device_list *list, u64 iova, u64 size)
{
	for (vfio_device *device = head_of(list); device; device = device->next) {
		device->unmaps_heard++;
		device->dma_unmap(iova, size);
	}
}

bool shim_device_hears_unmap(const vfio_device *device)
{
	return device->dma_unmap != nullptr;
}
