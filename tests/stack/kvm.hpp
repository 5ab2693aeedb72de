// SPDX-License-Identifier: GPL-2.0
//
// Virtual machines of KVM, as far as VFIO has to do with them. On s390x, where
// the emulated processor runs none, tests/kmod/kvm_standin.c has /dev/kvm.
#pragma once

#include "harness.hpp"
#include "nested.hpp"

namespace stack {

// /dev/kvm, its module loaded if it was not; holds -errno on failure.
Fd open_kvm();
Fd make_vm(int kvm);
// KVM's VFIO device of a machine.
Fd make_kvm_vfio(int vm);
long kvm_vfio_attr(int device, uint64_t attribute, const void* pointer,
                   unsigned long request);
long kvm_vfio_add(int device, int group);
long kvm_vfio_del(int device, int group);

// /dev/zpci_kvm, with both modules loaded: what is called as KVM would call it.
Fd open_zpci_kvm();
// vfio_zpci_kvm_refresh() for a machine. The result is 0 or what is negative.
ZpciRefreshed zpci_kvm_refresh(int zpci_kvm, int vm, uint32_t fh,
                               uint64_t start, uint64_t length);

// Closes the session's device, and opens it for the machine of a VFIO device.
long reopen_for_kvm(Session& s, int vfio);

}  // namespace stack
