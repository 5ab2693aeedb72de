/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What userspace says to zpci_kvm.ko, by /dev/zpci_kvm. It compiles as C and as C++.
 */
#ifndef ZPCI_KVM_H
#define ZPCI_KVM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Calls vfio_zpci_kvm_refresh() for the virtual machine of the file @vm. The ioctl
 * returns 0 when the call was made, and @ret is then what it returned.
 */
struct zpci_kvm_refresh {
	__s32 vm;
	__u32 fh;
	__u64 start;
	__u64 length;
	__s32 ret;
	__u32 status;
};
#define ZPCI_KVM_REFRESH _IOWR(0xB8, 0x01, struct zpci_kvm_refresh)

#endif
