// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/pci.h>

#include "vfio_core/shim/gate_frames.h"

u32 shim_gate_windows(struct device *dev,
		      struct shim_gate_window windows[SHIM_GATE_WINDOWS])
{
	struct pci_dev *pdev;
	u32 count = 0;
	int bar;

	static_assert(PCI_STD_NUM_BARS == SHIM_GATE_WINDOWS);
	if (!dev_is_pci(dev))
		return 0;
	pdev = to_pci_dev(dev);
	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++) {
		if (!(pci_resource_flags(pdev, bar) & IORESOURCE_MEM) ||
		    !pci_resource_len(pdev, bar))
			continue;
		windows[count].first_pfn =
			PHYS_PFN(pci_resource_start(pdev, bar));
		windows[count].last_pfn = PHYS_PFN(pci_resource_end(pdev, bar));
		count++;
	}
	return count;
}
