// SPDX-License-Identifier: GPL-2.0
//
// IoctlGate: counts the ioctls that are inside one IOMMU of a container. The gate
// keeps the IOMMU as long as ioctls are inside, even if the container has lost that
// IOMMU. A gate lives as long as its container, because an ioctl may enter the gate
// just after it was closed, find it closed, and leave again. A gate whose IOMMU has
// been dropped is used again for another IOMMU of the container.
#pragma once

#include "iommu_driver.hpp"
#include "vocab/atomic.hpp"

namespace vfio {

class Container;

class IoctlGate : public ListNode<IoctlGate> {
public:
	explicit IoctlGate(Container &container) : container(container)
	{
	}

	void enter()
	{
		inside_.add(1);
	}

	// Returns true if the gate is closed and no ioctl is inside any more. The
	// caller then calls Container::drop_if_empty().
	bool leave()
	{
		return inside_.add(-1) == kClosed;
	}

	// Called when the container has lost the IOMMU and ioctls do not find the
	// gate any more. Ioctls that found the gate before may still enter.
	void close()
	{
		inside_.set_bits(kClosed);
	}

	// Makes the gate ready for another IOMMU if it is closed and no ioctl is
	// inside. Returns whether it did; the caller then takes the old IOMMU out.
	bool reset_if_empty()
	{
		return inside_.replace(kClosed, 0);
	}

	// Stored here so that Container::iommu_ioctl() needs only the gate after the
	// driver's call.
	Container &container;

	// Changes under the container's iommu_lock_: it is set before ioctls can find
	// the gate, and taken out after reset_if_empty() has returned true.
	RefPtr<ContainerIommu> iommu;

private:
	static constexpr u32 kClosed = u32{1} << 31;

	Atomic<u32> inside_{0};
};

} // namespace vfio
