// SPDX-License-Identifier: GPL-2.0
//
// IoctlGate: counts the ioctls of a container that are inside its IOMMU driver. The
// gate keeps its IOMMU as long as ioctls are inside, even if the container has lost
// that IOMMU. A gate lives as long as the container, because an ioctl may enter it
// just after it was closed, see that, and leave again. A gate that has no IOMMU any
// more is used again for the container's next one.
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

	// Returns true if no ioctl is inside any more and the gate is closed;
	// the caller then calls take_empty() under the container's iommu_lock_.
	bool leave()
	{
		return inside_.add(-1) == kClosed;
	}

	// The container has lost the IOMMU, and ioctls do not find the gate any
	// more. Those that found it before may still enter.
	void close()
	{
		inside_.set_bits(kClosed);
	}

	// Returns true if the gate is closed and no ioctl is inside. It does so to
	// one caller only, who then takes the IOMMU out.
	bool take_empty()
	{
		return inside_.replace(kClosed, 0);
	}

	// So that an ioctl has to remember the gate alone.
	Container &container;

	// Changes under the container's iommu_lock_: set before ioctls can find
	// the gate, and taken out after take_empty() has returned true.
	RefPtr<ContainerIommu> iommu;

private:
	static constexpr u32 kClosed = u32{1} << 31;

	Atomic<u32> inside_{0};
};

} // namespace vfio
