// SPDX-License-Identifier: GPL-2.0
/*
 * What differs from card to card: how a device says that it does DMA. The
 * driver of a real card would also save and load the state of its functions
 * here. A device of no card in this table is cut off without being waited for.
 */
#include <linux/io.h>
#include "vf_scheduler.h"

struct vsched_card {
	u16 vendor, device;
	u8 bar;
	u32 offset; /* of a register of 32 bits */
	u32 busy;   /* its bits of which one is set while the device does DMA */
};

static const struct vsched_card vsched_cards[] = {
	/* QEMU's edu: the command register of its DMA engine. */
	{ .vendor = 0x1234,
	  .device = 0x11e8,
	  .bar = 0,
	  .offset = 0x98,
	  .busy = 1 },
};

const struct vsched_card *vsched_card_of(const struct pci_dev *pdev)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(vsched_cards); i++)
		if (vsched_cards[i].vendor == pdev->vendor &&
		    vsched_cards[i].device == pdev->device)
			return &vsched_cards[i];
	return NULL;
}

void __iomem *vsched_card_map(const struct vsched_card *card,
			      struct pci_dev *pdev)
{
	return ioremap(pci_resource_start(pdev, card->bar) + card->offset, 4);
}

bool vsched_card_busy(const struct vsched_card *card, void __iomem *registers)
{
	u32 value = readl(registers);

	/* All ones: its memory is disabled, or it has gone; so is its DMA. */
	return value != ~0u && (value & card->busy);
}
