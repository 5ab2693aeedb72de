/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What vfio_zpci.ko offers to KVM: to have a guest's function refreshed while the
 * guest's vCPU is stopped at the instruction that asks for it (Refresh PCI Translations,
 * RPCIT), without an exit to the VMM. Documentation/nesting.md says what KVM does with it.
 *
 * The VMM makes the guest known, before: VFIO_ZPCI_REGISTER with the guest's handle of a
 * function, on a container with VFIO_ZPCI_IOMMU; and KVM_DEV_VFIO_GROUP_ADD before the
 * function's device is opened, by which VFIO is told of the virtual machine.
 */
#ifndef VFIO_CXX_ZPCI_KVM_H
#define VFIO_CXX_ZPCI_KVM_H

#ifdef __cplusplus /* the core of vfio_zpci.ko, which defines it */
#include "shim/base.h"
#else
#include <linux/types.h>
#endif

struct kvm;

/**
 * vfio_zpci_kvm_refresh() - refresh a function of a virtual machine
 * @kvm: the machine, which the caller keeps alive; its memory is not accessed
 * @fh: the guest's handle of the function
 * @start: where the range of IOVAs begins
 * @length: its bytes
 * @status: where the status is put: with condition code 1 one of VFIO_ZPCI_STATUS_*, else 0
 *
 * Does what the ioctl VFIO_ZPCI_REFRESH does, for a function that an open device of this
 * machine has. When this returns with condition code 0, the device reaches in that range
 * what the guest's I/O page table says, and nothing that it said before.
 *
 * A function is found from VFIO_ZPCI_REGISTER on, as long as a device of its IOMMU group is
 * open that was opened for the machine. If that ends while a refresh is under way, by a
 * close or by VFIO_ZPCI_DEREGISTER, the refresh ends in the same way as one that begins
 * afterwards, or is over before; nobody waits for more than a part of it. The error event
 * of condition code 1 with VFIO_ZPCI_STATUS_ERROR is left to the VMM (VFIO_ZPCI_GET_EVENT).
 *
 * Context: a vCPU's thread, or another one that may sleep; a large range may take long. The
 * caller may hold vcpu->mutex, kvm->lock and kvm->srcu, but no lock that is held while
 * memory is mapped or a device is opened, above all not the mmap lock of a process. Several
 * threads may call this at a time, for the same function as well.
 *
 * Return: the condition code, VFIO_ZPCI_CC_*. It is VFIO_ZPCI_CC_INVALID_HANDLE also for a
 * function that is not known here, but may be to the VMM. -EINTR if the thread is being
 * killed: then a part of the range may be refreshed.
 */
int vfio_zpci_kvm_refresh(struct kvm *kvm, u32 fh, u64 start, u64 length,
			  u8 *status);

#endif
