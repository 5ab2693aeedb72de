// SPDX-License-Identifier: GPL-2.0
//
// KvmRegistry: which guests (Zpci) belong to which virtual machine of KVM, so that KVM can
// have a function refreshed that it knows by the guest's handle. A guest belongs to the
// machine of which vfio.ko was told before its devices were opened. Several guests may
// belong to the same machine.
//
// A struct kvm is only compared, never used: whoever asks keeps its own alive.
//
// Lock: lock_ guards the list and all links; no other lock is taken while it is held. Each
// refresh for KVM takes it shared to find the guest, and releases it before it refreshes: a
// reference keeps the guest.
#pragma once

#include "vocab/list.hpp"
#include "vocab/lock.hpp"
#include "vocab/memory.hpp"

struct kvm;

namespace vfio {

class Zpci;

// The base by which a guest is listed. It is on the list if machine_ is not null.
class KvmLink : public ListNode<KvmLink> {
	friend class KvmRegistry;

	const kvm *machine_ = nullptr;
	// Links are on the list in the order of their numbers.
	u64 number_ = 0;
};

class KvmRegistry : Immovable {
public:
	// Says which machine a guest belongs to; null if to none. After that no caller of
	// next() finds it for another one.
	void set_machine(Zpci &guest, const kvm *machine) __must_not_hold(lock_);

	// Returns the first guest of a machine whose number is larger than number, and
	// stores its number; null if there is none. So all guests of a machine are found
	// one after the other, whichever are added and removed meanwhile.
	RefPtr<Zpci> next(const kvm *machine, u64 &number) __must_not_hold(lock_);

private:
	static LockClass lock_class_;

	RwSem lock_{lock_class_};
	List<KvmLink> links_ __guarded_by(lock_);
	u64 last_number_ __guarded_by(lock_) = 0;
};

// Valid from zpci_init() to zpci_exit().
KvmRegistry &kvm_registry();

} // namespace vfio
