// SPDX-License-Identifier: GPL-2.0
//
// IoctlGate: where ioctls of a container go in to its IOMMU. A gate counts
// those inside, and so keeps its IOMMU for them when the container has lost
// it. The gate outlives its IOMMU, as long as the container, so that an ioctl
// may count itself in at a gate that has just closed, see that, and turn back.
//
// A gate without an IOMMU is free for the next that the container gets.
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

	// True if that was the last inside a closed gate; the caller then asks
	// whether it is empty.
	bool leave()
	{
		return inside_.add(-1) == kClosed;
	}

	// The container has lost the IOMMU; nobody finds the gate any more.
	void close()
	{
		inside_.set_bits(kClosed);
	}

	// Whether it is closed and nobody is inside. Says so to one caller only,
	// who then takes the IOMMU out.
	bool take_empty()
	{
		return inside_.replace(kClosed, 0);
	}

	// So that an ioctl has the gate alone to remember.
	Container &container;

	// Changes under the container's iommu_lock_: it is put in before ioctls
	// find the gate, and taken out when take_empty() says so.
	RefPtr<ContainerIommu> iommu;

private:
	static constexpr u32 kClosed = u32{1} << 31;

	Atomic<u32> inside_{0};
};

} // namespace vfio
