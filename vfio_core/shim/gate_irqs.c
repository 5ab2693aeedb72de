// SPDX-License-Identifier: GPL-2.0
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqdesc.h>
#include <linux/msi.h>
#include <linux/pci.h>
#include <linux/string.h>

#include "compat/msi.h"
#include "vfio_core/shim/gate_irqs.h"

bool shim_gate_irqs_known(const struct device *dev)
{
	return dev_is_pci(dev);
}

/* Drivers of VFIO put the function's name into that of the handler. */
static bool alone_on(unsigned int line, const char *function)
{
	struct irq_data *data = irq_get_irq_data(line);
	const struct irqaction *action;
	struct irq_desc *desc;
	unsigned long flags;
	bool alone;

	if (!data)
		return false;
	desc = irq_data_to_desc(data);
	raw_spin_lock_irqsave(&desc->lock, flags);
	action = desc->action;
	alone = action && !action->next && action->name &&
		strstr(action->name, function);
	raw_spin_unlock_irqrestore(&desc->lock, flags);
	return alone;
}

static bool has_messages(const struct pci_dev *pdev)
{
	return pdev->msi_enabled || pdev->msix_enabled;
}

u32 shim_gate_irqs_own_line(struct device *dev)
{
	const struct pci_dev *pdev = to_pci_dev(dev);

	if (has_messages(pdev) || !alone_on(pdev->irq, pci_name(pdev)))
		return 0;
	return pdev->irq;
}

/* A device has a lock and a list of descriptors only after messages were enabled for the first time. */
static void each_vector(struct device *dev, void (*change)(unsigned int))
{
	struct msi_desc *desc;
	unsigned int i;

	compat_msi_lock_descs(dev);
	msi_for_each_desc(desc, dev,
			  MSI_DESC_ASSOCIATED) for (i = 0; i < desc->nvec_used;
						    i++) change(desc->irq + i);
	compat_msi_unlock_descs(dev);
}

/* Calls @change for each vector of the function, and for @line unless it is 0. */
static void each_irq(struct device *dev, u32 line, void (*change)(unsigned int))
{
	if (has_messages(to_pci_dev(dev)))
		each_vector(dev, change);
	if (line)
		change(line);
}

void shim_gate_irqs_disable(struct device *dev, u32 line)
{
	each_irq(dev, line, disable_irq);
}

void shim_gate_irqs_enable(struct device *dev, u32 line)
{
	each_irq(dev, line, enable_irq);
}
