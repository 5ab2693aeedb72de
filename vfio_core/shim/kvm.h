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
 * @kvm: the machine, whose memory the caller keeps from being freed
 *
 * Context: may sleep.
 * Return: false if the machine is being destroyed, or if KVM is not loaded.
 */
bool shim_kvm_get(struct kvm *kvm);

/**
 * shim_kvm_put() - undo shim_kvm_get()
 * @kvm: the machine; may be freed before this returns to its caller
 *
 * Context: may sleep. Dropping the last reference destroys the machine, which takes
 * KVM's locks and may call vfio_file_set_kvm().
 */
void shim_kvm_put(struct kvm *kvm);

SHIM_END

#endif
