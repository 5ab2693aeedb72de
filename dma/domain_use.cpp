// SPDX-License-Identifier: GPL-2.0
#include "domain_use.hpp"

namespace vfio {

constinit LockClass DomainUse::queue_class_ = {"vfio_domain_use", {}};

// No signal ends the wait, which is for calls of the IOMMU that other threads make.
template <class F> void DomainUse::wait(F done)
{
	constexpr unsigned int kSeconds = 3600;

	while (!queue_.wait_until(done, kSeconds)) {}
}

// Waits until no group is being attached or detached. Each check sets kWaiting again, because the end of a
// change has cleared it, and another change may have begun.
void DomainUse::wait_for_change()
{
	wait([this] { return !(word_.set_bits(kWaiting) & kChanging); });
}

void DomainUse::wake_waiting()
{
	word_.clear_bits(kWaiting);
	queue_.wake_all();
}

void DomainUse::enter_slowly()
{
	do {
		leave();
		wait_for_change();
	} while (word_.add(1) & kChanging);
}

void DomainUse::begin_change_slowly()
{
	for (u32 before = word_.load();
	     (before & kChanging) || !word_.replace(before, before | kChanging);
	     before = word_.load())
		if (before & kChanging)
			wait_for_change();
	wait([this] { return (word_.load() & ~kWaiting) == kChanging; });
}

} // namespace vfio
