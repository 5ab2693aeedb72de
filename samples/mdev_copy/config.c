// SPDX-License-Identifier: GPL-2.0
/*
 * The PCI configuration space of an instance: what a driver reads to find the
 * device, the size of its BARs and its MSI capability. Who emulates the
 * machine places the BARs and routes the MSI; only the bus master bit means
 * something here.
 */
#include <linux/pci.h>
#include "copy.h"

#define MSI_CAP	 0x40
#define BAR_BITS (~(u32)(MDEV_COPY_BAR0_SIZE - 1))

void mc_config_reset(struct mc *mc)
{
	u8 *config = mc->config;

	memset(config, 0, MC_CONFIG_SIZE);
	put_unaligned_le16(MDEV_COPY_VENDOR_ID, config + PCI_VENDOR_ID);
	put_unaligned_le16(MDEV_COPY_DEVICE_ID, config + PCI_DEVICE_ID);
	put_unaligned_le16(PCI_STATUS_CAP_LIST, config + PCI_STATUS);
	/* Revision 1 below the three bytes of the class. */
	put_unaligned_le32(MDEV_COPY_CLASS << 8 | 1,
			   config + PCI_CLASS_REVISION);
	put_unaligned_le16(MDEV_COPY_VENDOR_ID,
			   config + PCI_SUBSYSTEM_VENDOR_ID);
	put_unaligned_le16(mc->entries, config + PCI_SUBSYSTEM_ID);
	config[PCI_CAPABILITY_LIST] = MSI_CAP;
	config[MSI_CAP + PCI_CAP_LIST_ID] = PCI_CAP_ID_MSI;
	put_unaligned_le16(PCI_MSI_FLAGS_64BIT,
			   config + MSI_CAP + PCI_MSI_FLAGS);
}

/* The bits of a byte that can be written. */
static u8 mc_config_mask(u32 offset)
{
	static const struct {
		u8 offset, size;
		u32 bits;
	} fields[] = {
		{ PCI_COMMAND, 2,
		  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			  PCI_COMMAND_INTX_DISABLE },
		{ PCI_CACHE_LINE_SIZE, 1, 0xff },
		{ PCI_BASE_ADDRESS_0, 4, BAR_BITS },
		{ PCI_BASE_ADDRESS_2, 4, BAR_BITS },
		{ PCI_INTERRUPT_LINE, 1, 0xff },
		{ MSI_CAP + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE },
		{ MSI_CAP + PCI_MSI_ADDRESS_LO, 4, ~3u },
		{ MSI_CAP + PCI_MSI_ADDRESS_HI, 4, ~0u },
		{ MSI_CAP + PCI_MSI_DATA_64, 2, 0xffff },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		if (offset >= fields[i].offset &&
		    offset < fields[i].offset + fields[i].size)
			return fields[i].bits >>
			       8 * (offset - fields[i].offset);
	return 0;
}

u8 mc_config_read(struct mc *mc, u32 offset)
{
	return mc->config[offset];
}

void mc_config_write(struct mc *mc, u32 offset, u8 value)
{
	u8 mask = mc_config_mask(offset);

	mc->config[offset] = (mc->config[offset] & ~mask) | (value & mask);
}

bool mc_config_master(const struct mc *mc)
{
	return get_unaligned_le16(mc->config + PCI_COMMAND) &
	       PCI_COMMAND_MASTER;
}
