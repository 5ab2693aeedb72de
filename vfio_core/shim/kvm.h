/* SPDX-License-Identifier: GPL-2.0 */
/*
 * References to virtual machines of KVM. KVM may be a module: vfio.ko works
 * without it, and keeps it loaded only while it holds such a reference.
 */
#ifndef SHIM_KVM_H
#define SHIM_KVM_H

#include "shim/base.h"

struct kvm;

SHIM_BEGIN

/**
 * shim_kvm_get() - take a reference to a virtual machine, and KVM's module
 * @kvm: the machine; its memory stays until this returns
 *
 * Context: may sleep.
 * Return: false if the machine is being destroyed, or without KVM.
 */
bool shim_kvm_get(struct kvm *kvm);

/**
 * shim_kvm_put() - undo shim_kvm_get()
 * @kvm: the machine; may be gone when this returns
 *
 * Context: may sleep; the last reference destroys the machine, which takes
 * KVM's locks and may come to vfio_file_set_kvm().
 */
void shim_kvm_put(struct kvm *kvm);

SHIM_END

#endif
