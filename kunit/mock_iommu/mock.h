/* SPDX-License-Identifier: GPL-2.0 */
/* The mock IOMMUs, as kernel code sees them: their own files, and KUnit suites. */
#ifndef MOCK_IOMMU_MOCK_H
#define MOCK_IOMMU_MOCK_H

#include <linux/atomic.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>
#include <linux/xarray.h>

#include "vfio_mock.h"

struct mock_iommu;

/**
 * struct mock_device - a device behind a mock IOMMU
 * @dev: on the IOMMU's bus
 * @iommu: its IOMMU
 * @lock: of @domain, and of DMA through it
 * @domain: what it is attached to, or NULL
 * @group: its IOMMU group
 * @vfio: its VFIO device, or NULL
 */
struct mock_device {
	struct device dev;
	struct mock_iommu *iommu;
	struct mutex lock;
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct vfio_device *vfio;
};

/**
 * struct mock_iommu - an IOMMU, alone on its bus
 * @nr: which of them
 * @bus: its bus
 * @handle: what the IOMMU core knows of it
 * @ops: of the IOMMU
 * @domain_ops: of its domains; two IOMMUs of one driver share them
 * @flags: VFIO_MOCK_INTREMAP and so on
 * @pgsizes: page sizes, or-ed
 * @first: the first address that it translates
 * @last: the last
 * @reserved_first: where the reserved window begins
 * @reserved_size: its size, 0 for none
 * @reserved_type: of the window
 * @tolerant: violations are counted and not reported; for tests of the mock
 * @fail: which call from now on fails, of each kind
 * @devices: its devices
 */
struct mock_iommu {
	unsigned int nr;
	char name[16];
	struct bus_type bus;
	struct iommu_device handle;
	struct iommu_ops ops;
	const struct iommu_domain_ops *domain_ops;
	unsigned long flags;
	u64 pgsizes, first, last;
	u64 reserved_first, reserved_size;
	enum iommu_resv_type reserved_type;
	bool tolerant;
	atomic_t fail[VFIO_MOCK_FAIL_KINDS];
	atomic64_t map_calls, unmap_calls, flushes, attaches, domains, ptes,
		stale, freed_mapped, violations;
	struct mock_device *devices[VFIO_MOCK_DEVICES];
};

/* domain.c */
extern const struct iommu_domain_ops mock_domain_ops;
extern const struct iommu_domain_ops mock_domain_ops_other;
struct iommu_domain *mock_domain_alloc(struct mock_iommu *iommu,
				       unsigned int type);

/* iommu.c */
extern bool mock_strict;
extern struct mock_iommu mock_iommus[VFIO_MOCK_IOMMUS];
bool mock_fails(struct mock_iommu *iommu, unsigned int kind);
int mock_iommus_create(void);
void mock_iommus_destroy(void);

/* device.c */
int mock_vfio_create(struct mock_device *mdev);
void mock_vfio_destroy(struct mock_device *mdev);
int mock_control_create(void);
void mock_control_destroy(void);

/* For suites, each exported. */

/** mock_iommu_get() - the nth mock IOMMU, NULL if there is none */
struct mock_iommu *mock_iommu_get(unsigned int nr);

/**
 * mock_counts() - what an IOMMU has seen
 * @iommu: the IOMMU
 * @counts: where to put it
 */
void mock_counts(struct mock_iommu *iommu, struct vfio_mock_counts *counts);

/**
 * mock_fail() - let a call fail
 * @iommu: the IOMMU
 * @kind: VFIO_MOCK_FAIL_*
 * @nth: the first from now on is 1; 0 for none
 *
 * Return: what was left of the one set before; 0 if it has failed.
 */
unsigned int mock_fail(struct mock_iommu *iommu, unsigned int kind,
		       unsigned int nth);

/**
 * mock_pte() - what a device would reach
 * @mdev: the device
 * @pte: iova is set; the rest is filled in
 */
void mock_pte(struct mock_device *mdev, struct vfio_mock_pte *pte);

/**
 * mock_dma() - let a device read or write memory
 * @mdev: the device
 * @iova: first address
 * @data: the device's own buffer
 * @size: bytes
 * @write: into memory
 *
 * Return: 0, or -EFAULT where the device reaches nothing or may not.
 */
int mock_dma(struct mock_device *mdev, u64 iova, void *data, size_t size,
	     bool write);

#endif
