// SPDX-License-Identifier: GPL-2.0
//
// Refreshes that KVM asks for: include/vfio_cxx/zpci_kvm.h.
#include "kvm_registry.hpp"

#include "entry.h"
#include "zpci.hpp"

namespace vfio {

constinit LockClass KvmRegistry::lock_class_ = {"zpci_kvm_registry", {}};

// A pointer, because nothing calls static constructors of the core.
static constinit KvmRegistry *the_registry;

KvmRegistry &kvm_registry()
{
	return *the_registry;
}

void KvmRegistry::set_machine(Zpci &guest, const kvm *machine)
{
	const WriteGuard guard(lock_);
	KvmLink &link = guest;

	if (link.machine_ == machine)
		return;
	if (link.machine_)
		links_.remove(link);
	link.machine_ = machine;
	if (!machine)
		return;
	link.number_ = ++last_number_;
	links_.push_back(link);
}

RefPtr<Zpci> KvmRegistry::next(const kvm *machine, u64 &number)
{
	const ReadGuard guard(lock_);

	for (KvmLink &link : links_) {
		if (link.machine_ != machine || link.number_ <= number)
			continue;
		number = link.number_;
		return RefPtr<Zpci>::share(static_cast<Zpci &>(link));
	}
	return {};
}

// Of all guests of the machine, the first that knows the function refreshes it. Errors: EINTR.
static Result<Function::Outcome> refresh_for_kvm(const kvm *machine, u32 fh, u64 start, u64 length)
{
	Function::Outcome outcome = {VFIO_ZPCI_CC_INVALID_HANDLE, 0};
	u64 number = 0;

	while (outcome.cc == VFIO_ZPCI_CC_INVALID_HANDLE) {
		const RefPtr<Zpci> guest = kvm_registry().next(machine, number);

		if (!guest)
			break;
		outcome = TRY(guest->refresh_range(machine, fh, start, length));
	}
	return outcome;
}

} // namespace vfio

using namespace vfio;

// Errors: ENOMEM.
CORE_ENTRY int zpci_init(void)
{
	Result<UniquePtr<KvmRegistry>> made = make<KvmRegistry>();

	if (!made.ok())
		return made.error().negative();
	if (!shim_slab_create(&DmaRange::slab, "vfio_zpci_mapping"))
		return -ENOMEM;
	the_registry = made.take().release();
	return 0;
}

// Called when no container uses the module any more, and no function of it is called.
CORE_ENTRY void zpci_exit(void)
{
	destroy(exchange(the_registry, nullptr));
	shim_slab_remove(&DmaRange::slab);
}

CORE_ENTRY int vfio_zpci_kvm_refresh(kvm *machine, u32 fh, u64 start, u64 length, u8 *status)
{
	Result<Function::Outcome> refreshed = refresh_for_kvm(machine, fh, start, length);

	if (!refreshed.ok())
		return refreshed.error().negative();

	const Function::Outcome outcome = refreshed.value();
	*status = static_cast<u8>(outcome.status);
	return static_cast<int>(outcome.cc);
}
