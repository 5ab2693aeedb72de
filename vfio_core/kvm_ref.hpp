// SPDX-License-Identifier: GPL-2.0
//
// KvmRef: a counted reference to a virtual machine of KVM, or nothing.
#pragma once

#include "shim/kvm.h"
#include "vocab/utility.hpp"

namespace vfio {

class KvmRef {
public:
	KvmRef() = default;

	// Returns an empty KvmRef for nullptr and for a machine that is being
	// destroyed. The caller sees to it that the machine's memory is not
	// freed before this returns.
	static KvmRef try_get(kvm *kvm)
	{
		KvmRef ref;

		if (kvm && shim_kvm_get(kvm))
			ref.kvm_ = kvm;
		return ref;
	}

	KvmRef(KvmRef &&other) : kvm_(exchange(other.kvm_, nullptr))
	{
	}

	KvmRef &operator=(KvmRef &&other)
	{
		if (this != &other) {
			reset();
			kvm_ = exchange(other.kvm_, nullptr);
		}
		return *this;
	}

	~KvmRef()
	{
		reset();
	}

	kvm *get() const
	{
		return kvm_;
	}

private:
	void reset()
	{
		if (kvm_)
			shim_kvm_put(exchange(kvm_, nullptr));
	}

	kvm *kvm_ = nullptr;
};

} // namespace vfio
