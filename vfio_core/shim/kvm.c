// SPDX-License-Identifier: GPL-2.0
#include <linux/kvm_types.h>
#include <linux/module.h>

#include "vfio_core/shim/kvm.h"

/*
 * Declared as in <linux/kvm_host.h>, which cannot be included where the kernel
 * has no KVM. Each is called through symbol_get().
 */
bool kvm_get_kvm_safe(struct kvm *kvm);
void kvm_put_kvm(struct kvm *kvm);

bool shim_kvm_get(struct kvm *kvm)
{
	bool (*get)(struct kvm * kvm) = symbol_get(kvm_get_kvm_safe);
	bool got;

	if (!get)
		return false;
	got = get(kvm);
	/* After success the reference to KVM's module is kept until shim_kvm_put(). */
	if (!got)
		symbol_put(kvm_get_kvm_safe);
	return got;
}

void shim_kvm_put(struct kvm *kvm)
{
	void (*put)(struct kvm * kvm) = symbol_get(kvm_put_kvm);

	put(kvm);
	symbol_put(kvm_put_kvm);
	symbol_put(kvm_get_kvm_safe);
}
