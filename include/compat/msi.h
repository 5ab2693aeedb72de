/* SPDX-License-Identifier: GPL-2.0 */
/* A device's message interrupts, with the newest kernel's interface. */
#ifndef COMPAT_MSI_H
#define COMPAT_MSI_H

#include <linux/msi.h>
#include <linux/version.h>

/* The lock of a device's descriptors got underscores in 6.15. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
static inline void compat_msi_lock_descs(struct device *dev)
{
	msi_lock_descs(dev);
}

static inline void compat_msi_unlock_descs(struct device *dev)
{
	msi_unlock_descs(dev);
}
#else
static inline void compat_msi_lock_descs(struct device *dev)
{
	__msi_lock_descs(dev);
}

static inline void compat_msi_unlock_descs(struct device *dev)
{
	__msi_unlock_descs(dev);
}
#endif

#endif
