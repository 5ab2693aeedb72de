/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/vfio_mock: what a test asks the mock IOMMUs, and tells them to do.
 *
 * Mock IOMMU n is the bus vfio_mock<n>; its devices are vfio_mock<n>.0 and .1,
 * each alone in its IOMMU group, with a VFIO device each.
 *
 *   n  pages          addresses            reserved              interrupts
 *   0  4K 2M 1G       0 to 2^48-1          MSI fee00000-feefffff remapped
 *   1  2K 4K 2M       64K to 2^39-1        40000000-400fffff     remapped
 *   2  4K 64K         0 to 2^32-1          none                  remapped
 *   3  2K             0 to 2^64-1          none                  not remapped
 *
 * 0 and 2 are of one driver, 1 and 3 of another; none shares a domain with
 * another one. 0 can enforce coherency.
 */
#ifndef VFIO_MOCK_H
#define VFIO_MOCK_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VFIO_MOCK_IOMMUS  4
#define VFIO_MOCK_DEVICES 2 /* of each IOMMU */

/* What an IOMMU has seen since it was made; "live" ones go down again. */
struct vfio_mock_counts {
	__u32 iommu; /* in */
	__u32 pad;
	__u64 map_calls;   /* map_pages of the driver */
	__u64 unmap_calls; /* unmap_pages */
	__u64 flushes;	   /* of the IOTLB */
	__u64 attaches;	   /* of devices to domains for users */
	__u64 domains;	   /* live, for users */
	__u64 ptes;	   /* live */
	__u64 stale; /* live: unmapped and not flushed, or mapped over such */
	__u64 freed_mapped; /* PTEs that a domain had when it was freed */
	__u64 violations;   /* of the rules of the IOMMU API */
};
#define VFIO_MOCK_COUNTS _IOWR('M', 1, struct vfio_mock_counts)

/* What a device would reach at an address. */
struct vfio_mock_pte {
	__u32 iommu;  /* in */
	__u32 device; /* in */
	__u64 iova;   /* in */
	__u64 phys;   /* of iova */
	__u64 size;   /* of the page; 0: the device reaches nothing */
	__u32 prot;   /* IOMMU_READ 1, IOMMU_WRITE 2, IOMMU_CACHE 4 */
	__u32 stale; /* the IOTLB may still have it, or what was there before */
};
#define VFIO_MOCK_PTE _IOWR('M', 2, struct vfio_mock_pte)

/* The device copies. EFAULT where it reaches nothing. */
struct vfio_mock_dma {
	__u32 iommu;
	__u32 device;
	__u64 iova;
	__u64 data;  /* address in the caller */
	__u32 size;  /* up to 64 KiB */
	__u32 write; /* into memory at iova */
};
#define VFIO_MOCK_DMA _IOW('M', 3, struct vfio_mock_dma)

/* The nth call from now on fails, once; 0: none. */
#define VFIO_MOCK_FAIL_MAP    0 /* half of what it was asked is mapped */
#define VFIO_MOCK_FAIL_ATTACH 1
#define VFIO_MOCK_FAIL_ALLOC  2 /* of a domain for users */
#define VFIO_MOCK_FAIL_KINDS  3
struct vfio_mock_fail {
	__u32 iommu;
	__u32 kind;
	__u32 nth;
	__u32 left; /* out: what was left of the one before */
};
#define VFIO_MOCK_FAIL _IOWR('M', 4, struct vfio_mock_fail)

#define VFIO_MOCK_INTREMAP 1 /* interrupts of its devices are remapped */
#define VFIO_MOCK_COHERENT 2 /* its domains can enforce coherency */
/*
 * Who uses its domains maps and unmaps by the page: may unmap a part of what one
 * call mapped, but for parts of large pages, and map something else there before
 * the flush.
 */
#define VFIO_MOCK_BY_PAGE 4
struct vfio_mock_flags {
	__u32 iommu;
	__u32 flags;
};
#define VFIO_MOCK_FLAGS _IOW('M', 5, struct vfio_mock_flags)

#endif
