/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The IOMMU API. A domain is one I/O page table; the devices of a group reach
 * memory through the domain that the group is attached to. All functions may sleep, but for
 * shim_domain_map_atomic().
 *
 * Values of protections and of reserved-region types are the kernel's, in
 * shim-sizes.h: SHIM_IOMMU_READ, _WRITE, _CACHE; SHIM_RESV_*.
 */
#ifndef SHIM_IOMMU_H
#define SHIM_IOMMU_H

#include "shim/base.h"

struct iommu_domain;
struct iommu_group;

/**
 * struct shim_reserved_region - IOVAs that a group may not use
 * @first: first address
 * @last: last address
 * @type: one of SHIM_RESV_*
 */
struct shim_reserved_region {
	u64 first;
	u64 last;
	u32 type;
};

/**
 * struct shim_pin_run - contiguous physical memory
 * @pfn: its first pfn; bits outside SHIM_PIN_PFN_MASK are ignored
 * @npages: pages
 */
struct shim_pin_run {
	u64 pfn;
	u64 npages;
};

/** struct shim_gather - what was unmapped and not flushed yet */
struct shim_gather {
	u64 storage[SHIM_GATHER_WORDS];
};

/* Runs that shim_domain_map_runs() takes at once: their list fills a page. */
#define SHIM_MAX_RUNS SHIM_SCATTERLISTS_A_PAGE

/*
 * The most bytes that one shim_domain_flush() takes. VT-d's driver in 6.1 counts
 * the pages of a flush in 32 bits, and rounds them up to a power of two.
 */
#define SHIM_MAX_FLUSH (1ULL << 42)

SHIM_BEGIN

/**
 * shim_domain_alloc() - make a domain for the devices of a group
 * @group: the group
 *
 * Return: the domain, or NULL.
 */
struct iommu_domain *shim_domain_alloc(struct iommu_group *group);

/**
 * shim_domain_free() - free a domain that no group is attached to
 * @domain: the domain
 */
void shim_domain_free(struct iommu_domain *domain);

/**
 * shim_domain_enable_nesting() - ask for a two-stage domain
 * @domain: a domain that nothing is attached to
 *
 * Return: 0 or a negative errno; -ENODEV in kernels without it.
 */
int shim_domain_enable_nesting(struct iommu_domain *domain);

/**
 * shim_domain_can_nest() - whether the domain's IOMMU supports nesting
 * @domain: the domain
 */
bool shim_domain_can_nest(const struct iommu_domain *domain);

/**
 * shim_domain_attach() - let a group's devices reach memory through a domain
 * @domain: the domain
 * @group: the group, owned by VFIO
 *
 * Return: 0 or a negative errno.
 */
int shim_domain_attach(struct iommu_domain *domain, struct iommu_group *group);

/**
 * shim_domain_detach() - undo shim_domain_attach()
 * @domain: the domain
 * @group: the group; its devices reach nothing afterwards
 */
void shim_domain_detach(struct iommu_domain *domain, struct iommu_group *group);

/**
 * shim_domain_map() - map contiguous memory
 * @domain: the domain
 * @iova: first I/O address
 * @phys: physical address
 * @size: bytes; with @iova and @phys aligned to the smallest page size
 * @prot: SHIM_IOMMU_READ and so on, or-ed
 *
 * The IOMMU uses the largest pages that alignment allows.
 *
 * Return: 0 or a negative errno; nothing is mapped then.
 */
int shim_domain_map(struct iommu_domain *domain, u64 iova, u64 phys, u64 size,
		    u32 prot);

/**
 * shim_domain_map_atomic() - shim_domain_map() for callers that may not sleep
 * @domain: the domain
 * @iova: first I/O address
 * @phys: physical address
 * @size: bytes
 * @prot: SHIM_IOMMU_READ and so on, or-ed
 *
 * Memory for the IOMMU's tables is what is free at once. Drivers have to support that, as
 * the kernel maps so for drivers of devices.
 *
 * Context: any.
 * Return: 0 or a negative errno; nothing is mapped then.
 */
int shim_domain_map_atomic(struct iommu_domain *domain, u64 iova, u64 phys,
			   u64 size, u32 prot);

/**
 * shim_domain_map_runs() - map pieces of memory one after the other
 * @domain: the domain
 * @iova: first I/O address
 * @runs: the pieces, each less than 4 GiB
 * @count: how many, SHIM_MAX_RUNS at most
 * @prot: SHIM_IOMMU_READ and so on, or-ed
 * @scratch: a page to work in
 *
 * Return: 0 or a negative errno; nothing is mapped then.
 */
int shim_domain_map_runs(struct iommu_domain *domain, u64 iova,
			 const struct shim_pin_run *runs, u32 count, u32 prot,
			 void *scratch);

/**
 * shim_gather_init() - prepare a gather for shim_domain_unmap()
 * @gather: storage
 */
void shim_gather_init(struct shim_gather *gather);

/**
 * shim_domain_unmap() - unmap a range, and leave the flush for later
 * @domain: the domain
 * @iova: first I/O address
 * @size: bytes; both ends of the range are ends of what was mapped, or multiples
 *        of SHIM_MAX_FLUSH, which no page of an IOMMU crosses
 * @gather: collects what the flush needs
 *
 * Devices may go on reaching the memory until shim_domain_flush().
 *
 * Return: bytes unmapped; more than @size if a mapping is taken out whole that
 * reaches over the end.
 */
u64 shim_domain_unmap(struct iommu_domain *domain, u64 iova, u64 size,
		      struct shim_gather *gather);

/**
 * shim_domain_flush() - make unmapped ranges unreachable
 * @domain: the domain
 * @gather: what was unmapped; to be initialised anew before it is used again
 * @first: first address of a block that contains all that was unmapped
 * @last: last address of the block
 *
 * The size of the block is a power of two, SHIM_MAX_FLUSH at most, and the block
 * is aligned to its size. It is invalidated in the IOMMU's TLB and in devices'
 * own TLBs (ATS): when this returns, no device can reach what was mapped there.
 */
void shim_domain_flush(struct iommu_domain *domain, struct shim_gather *gather,
		       u64 first, u64 last);

/**
 * shim_domain_pgsize_bitmap() - page sizes, or-ed
 * @domain: the domain
 */
u64 shim_domain_pgsize_bitmap(const struct iommu_domain *domain);

/**
 * shim_domain_aperture() - the addresses that a domain can translate
 * @domain: the domain
 * @first: where to put the first
 * @last: where to put the last
 */
void shim_domain_aperture(const struct iommu_domain *domain, u64 *first,
			  u64 *last);

/**
 * shim_domain_enforce_coherency() - make all DMA snoop CPU caches
 * @domain: an attached domain without mappings
 *
 * Return: whether the IOMMU does so from now on.
 */
bool shim_domain_enforce_coherency(struct iommu_domain *domain);

/**
 * shim_domain_driver() - a value that tells IOMMU drivers apart
 * @domain: the domain
 *
 * Domains of different drivers never share groups.
 */
u64 shim_domain_driver(const struct iommu_domain *domain);

/**
 * shim_domain_reserve_msi() - set a window aside for message interrupts
 * @domain: the domain
 * @iova: where the window begins
 *
 * Return: 0 or a negative errno; -ENODEV where the kernel has no such thing.
 */
int shim_domain_reserve_msi(struct iommu_domain *domain, u64 iova);

/**
 * shim_group_reserved() - visit the reserved regions of a group
 * @group: the group
 * @visit: called for each; anything but 0 ends the walk
 * @arg: its argument
 *
 * Return: 0, a negative errno, or what @visit returned.
 */
int shim_group_reserved(struct iommu_group *group,
			int (*visit)(void *arg,
				     const struct shim_reserved_region *region),
			void *arg);

/* Room for a device's name; a longer one is cut. */
#define SHIM_DEVICE_NAME 40

/**
 * shim_group_id() - the number of a group
 * @group: the group
 */
int shim_group_id(struct iommu_group *group);

/**
 * shim_group_device_name() - the name of one of a group's devices
 * @group: the group
 * @name: where to put it, ended by a zero; empty if the group has no device
 */
void shim_group_device_name(struct iommu_group *group,
			    char name[SHIM_DEVICE_NAME]);

/**
 * shim_group_msi_isolated() - whether interrupts of a group are remapped
 * @group: the group
 *
 * If not, its devices can raise any interrupt of the host.
 */
bool shim_group_msi_isolated(struct iommu_group *group);

SHIM_END

#endif
