/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The functions of the C++ core that the module's C side (main.c) calls, and the
 * module's parameters, which the core reads. A contract stands at the method of Zpci
 * that has the same name, in zpci.hpp, or in the header of the export.
 */
#ifndef VFIO_ZPCI_ENTRY_H
#define VFIO_ZPCI_ENTRY_H

#include "shim/base.h"

struct iommu_domain;
struct iommu_group;
struct seq_file;
struct vfio_device;
struct zpci;
struct zpci_doorbell;

SHIM_BEGIN

/* What KVM calls: kvm_registry.cpp */
#include "vfio_cxx/zpci_kvm.h"

/* Before and after all others: kvm_registry.cpp */
int zpci_init(void);
void zpci_exit(void);

/* Zpci, a guest's IOMMU: zpci.cpp */
int zpci_open(u64 extension, struct zpci **made);
void zpci_release(struct zpci *zpci);
long zpci_ioctl(struct zpci *zpci, u32 cmd, u64 arg);
int zpci_attach_group(struct zpci *zpci, struct iommu_group *group,
		      bool emulated);
void zpci_detach_group(struct zpci *zpci, struct iommu_group *group);
void zpci_register_device(struct zpci *zpci, struct vfio_device *device);
void zpci_unregister_device(struct zpci *zpci, struct vfio_device *device);
int zpci_group_domain(struct zpci *zpci, struct iommu_group *group,
		      struct iommu_domain **domain);
int zpci_find_domain(struct zpci *zpci, struct iommu_group *group,
		     void **domain);
void zpci_cut(void *domain, struct iommu_group *group);
int zpci_restore(void *domain, struct iommu_group *group);

/* show.cpp */
int zpci_show(struct zpci *zpci, u32 part, u64 *cursor, struct seq_file *seq);

/* Doorbell: doorbell.cpp */
void zpci_doorbell_rung(struct zpci_doorbell *doorbell);
void zpci_doorbell_work(struct zpci_doorbell *doorbell);

/* The parameters' values at the time of the call: main.c */
bool zpci_param_allow_unsafe_interrupts(void);
u32 zpci_param_dma_entry_limit(void);
u32 zpci_param_pin_workers(void);

SHIM_END

#endif
