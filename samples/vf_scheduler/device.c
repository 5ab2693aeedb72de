// SPDX-License-Identifier: GPL-2.0
/*
 * One device: how it is found, its gate, and the hooks that the gate calls.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include "vf_scheduler.h"

/* Waits for the device to end its DMA. No access reaches it meanwhile. */
static int vsched_quiesce(void *data, unsigned int deadline_us)
{
	struct vsched_device *device = data;
	ktime_t end = ktime_add_us(ktime_get(), deadline_us);

	if (!device->card)
		return 0;
	while (vsched_card_busy(device->card, device->registers)) {
		if (ktime_after(ktime_get(), end)) {
			device->undrained++;
			return -EBUSY;
		}
		usleep_range(50, 100);
	}
	return 0;
}

static const struct vfio_gate_ops vsched_ops = {
	.quiesce = vsched_quiesce,
};

static struct pci_dev *vsched_find(const char *address)
{
	unsigned int domain, bus, slot, function;
	char rest;

	if (sscanf(address, "%x:%x:%x.%x%c", &domain, &bus, &slot, &function,
		   &rest) != 4)
		return NULL;
	return pci_get_domain_bus_and_slot(domain, bus,
					   PCI_DEVFN(slot, function));
}

int vsched_device_register(struct vsched_device *device)
{
	struct vfio_gate *gate =
		vfio_gate_register(&device->pdev->dev, &vsched_ops, device);
	int ret;

	if (IS_ERR(gate))
		return PTR_ERR(gate);
	ret = vfio_gate_block(gate, vsched_deadline_us());
	if (ret) {
		vfio_gate_unregister(gate);
		return ret;
	}
	device->gate = gate;
	return 0;
}

int vsched_device_init(struct vsched_device *device, const char *address)
{
	int ret = -ENOMEM;

	device->pdev = vsched_find(address);
	if (!device->pdev)
		return -ENODEV;
	device->card = vsched_card_of(device->pdev);
	if (device->card)
		device->registers = vsched_card_map(device->card, device->pdev);
	if (!device->card || device->registers)
		ret = vsched_device_register(device);
	if (ret)
		vsched_device_destroy(device);
	return ret;
}

void vsched_device_destroy(struct vsched_device *device)
{
	if (device->gate)
		vfio_gate_unregister(device->gate);
	if (device->registers)
		iounmap(device->registers);
	pci_dev_put(device->pdev);
	memset(device, 0, sizeof(*device));
}

void vsched_device_lost(struct vsched_device *device)
{
	vfio_gate_unregister(device->gate);
	device->gate = NULL;
}
