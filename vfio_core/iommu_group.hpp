// SPDX-License-Identifier: GPL-2.0
//
// IommuGroupRef: a counted reference to one of the kernel's IOMMU groups, or
// nothing.
#pragma once

#include "shim/iommu_group.h"
#include "vocab/result.hpp"

namespace vfio {

class IommuGroupRef {
public:
	IommuGroupRef() = default;

	// The group of a device; nothing if it has none.
	static IommuGroupRef of(device *dev)
	{
		return IommuGroupRef(shim_iommu_group_of(dev));
	}

	// A group that no IOMMU knows, with a name in sysfs.
	static Result<IommuGroupRef> create(const char *name)
	{
		iommu_group *group = nullptr;

		TRY(Result<void>::from_negative(shim_iommu_group_create(name, &group)));
		return IommuGroupRef(group);
	}

	IommuGroupRef share() const
	{
		if (group_)
			shim_iommu_group_get(group_);
		return IommuGroupRef(group_);
	}

	IommuGroupRef(IommuGroupRef &&other) : group_(exchange(other.group_, nullptr))
	{
	}

	IommuGroupRef &operator=(IommuGroupRef &&other)
	{
		if (this != &other) {
			reset();
			group_ = exchange(other.group_, nullptr);
		}
		return *this;
	}

	~IommuGroupRef()
	{
		reset();
	}

	void reset()
	{
		if (group_)
			shim_iommu_group_put(exchange(group_, nullptr));
	}

	// Hands the reference to the caller.
	[[nodiscard]] iommu_group *release()
	{
		return exchange(group_, nullptr);
	}

	iommu_group *get() const
	{
		return group_;
	}

	explicit operator bool() const
	{
		return group_ != nullptr;
	}

private:
	explicit IommuGroupRef(iommu_group *group) : group_(group)
	{
	}

	iommu_group *group_ = nullptr;
};

} // namespace vfio
