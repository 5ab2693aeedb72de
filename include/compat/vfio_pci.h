/* SPDX-License-Identifier: GPL-2.0 */
/* Where pages of a map are that vfio-pci has made. */
#ifndef COMPAT_VFIO_PCI_H
#define COMPAT_VFIO_PCI_H

#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/version.h>
#include <linux/vfio_pci_core.h>

/*
 * The frame of a page of the map of a BAR. A map's offset is that in the device's file, in which each
 * BAR has a part of its own; before 6.10 vfio-pci replaced it by the number of the frame.
 */
static inline unsigned long
compat_vfio_pci_pfn(struct pci_dev *pdev, const struct vm_area_struct *vma,
		    unsigned long address)
{
	unsigned long at = vma->vm_pgoff +
			   ((address - vma->vm_start) >> PAGE_SHIFT);

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	unsigned int shift = VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT;
	unsigned int bar = at >> shift;

	if (bar >= PCI_STD_NUM_BARS)
		return ULONG_MAX;
	at = PHYS_PFN(pci_resource_start(pdev, bar)) +
	     (at & ((1UL << shift) - 1));
#endif
	return at;
}

#endif
