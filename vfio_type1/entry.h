/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The functions of the C++ core that the module's C side (main.c) calls, and
 * the module's parameters, which the core reads. A contract stands at the
 * method of Type1 that has the same name, in type1.hpp.
 */
#ifndef VFIO_TYPE1_ENTRY_H
#define VFIO_TYPE1_ENTRY_H

#include "shim/base.h"

struct iommu_domain;
struct iommu_group;
struct page;
struct seq_file;
struct type1;
struct vfio_device;
struct vfio_remap_page;

SHIM_BEGIN

/* Before and after all others: type1.cpp */
int type1_init(void);
void type1_exit(void);

/* Type1, a container's IOMMU: type1.cpp */
int type1_open(u64 extension, struct type1 **made);
void type1_release(struct type1 *type1);
long type1_ioctl(struct type1 *type1, u32 cmd, u64 arg);

/* attach.cpp */
int type1_attach_group(struct type1 *type1, struct iommu_group *group,
		       bool emulated);
void type1_detach_group(struct type1 *type1, struct iommu_group *group);
int type1_group_domain(struct type1 *type1, struct iommu_group *group,
		       struct iommu_domain **domain);
int type1_find_domain(struct type1 *type1, struct iommu_group *group,
		      void **domain);
void type1_cut(void *domain, struct iommu_group *group);
int type1_restore(void *domain, struct iommu_group *group);

/* emulated.cpp */
int type1_dma_rw(struct type1 *type1, u64 iova, void *data, size_t size,
		 bool write);
void type1_register_device(struct type1 *type1, struct vfio_device *device);
void type1_unregister_device(struct type1 *type1, struct vfio_device *device);

/* pin_pages.cpp, unpin_pages.cpp */
int type1_pin_pages(struct type1 *type1, struct iommu_group *group, u64 iova,
		    u32 npages, u32 prot, struct page **pages);
void type1_unpin_pages(struct type1 *type1, u64 iova, u32 npages);

/* remap.cpp */
long type1_remap(struct type1 *type1, const struct vfio_remap_page *pages,
		 u32 count);
void type1_flush_remapped(struct type1 *type1);
void type1_put_users_back(struct type1 *type1);

/* show.cpp */
int type1_show(struct type1 *type1, u32 part, u64 *cursor,
	       struct seq_file *seq);

/* The parameters' values at the time of the call: main.c */
bool type1_param_allow_unsafe_interrupts(void);
bool type1_param_disable_hugepages(void);
u32 type1_param_dma_entry_limit(void);
u32 type1_param_pin_workers(void);

SHIM_END

#endif
