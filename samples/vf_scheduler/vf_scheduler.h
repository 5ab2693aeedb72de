/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of vf_scheduler share: the devices, and what cards have of
 * their own. But for what the module's parameters say, one thread alone writes
 * to a device after the module has been loaded.
 */
#ifndef VF_SCHEDULER_H
#define VF_SCHEDULER_H

#include <linux/pci.h>
#include "vfio_cxx/gate.h"

#define VSCHED_MAX_DEVICES	16
#define VSCHED_DEFAULT_SHARE	1
#define VSCHED_DEFAULT_SLICE_US 5000

struct vsched_card;

struct vsched_device {
	struct pci_dev *pdev;
	/* NULL while VFIO does not have the device. */
	struct vfio_gate *gate;
	const struct vsched_card *card; /* NULL if it is of no known card */
	void __iomem *registers;

	/* How long it was open, divided by its share: the least is next. */
	u64 virtual_ns;

	/* What is read in debugfs. */
	u64 slices;
	u64 open_ns;
	u64 switch_max_ns; /* of all switches to it */
	u64 undrained;	   /* blocked while it did DMA */
	u64 failed;	   /* it could not be opened, or not be blocked */
};

/*
 * vsched_device_init() - find a device, and become its scheduler; it is blocked
 * afterwards. @address is a PCI address, such as 0000:00:04.0. Returns 0 or a
 * negative errno: -ENODEV if there is no such device, or VFIO does not have it.
 */
int vsched_device_init(struct vsched_device *device, const char *address);
void vsched_device_destroy(struct vsched_device *device);

/*
 * Becomes the scheduler of a device that has no gate, and blocks it. Returns 0
 * or a negative errno: -ENODEV if VFIO does not have it.
 */
int vsched_device_register(struct vsched_device *device);
/* Gives up the gate of a device that VFIO has no longer. */
void vsched_device_lost(struct vsched_device *device);

/*
 * vsched_card_of() - what is known of the card that a device is of, or NULL.
 */
const struct vsched_card *vsched_card_of(const struct pci_dev *pdev);
/* Maps the registers that tell whether the device does DMA. */
void __iomem *vsched_card_map(const struct vsched_card *card,
			      struct pci_dev *pdev);
/* Whether the device does DMA. */
bool vsched_card_busy(const struct vsched_card *card, void __iomem *registers);

/* The module's parameter. */
unsigned int vsched_deadline_us(void);

#endif
