// SPDX-License-Identifier: GPL-2.0
//
// The fixture of vfio_core's tests: the module is initialised, two devices
// have IOMMU groups 5 and 6, and an IOMMU driver is registered. At the end
// nothing may be left of anything.
#pragma once

#include <cerrno>
#include <cstring>

#include "host_test.hpp"
#include "mock/core.hpp"
#include "shim/uapi.h"

namespace mock {
u64 taken_indexes();
}

using mock::kPage;

class CoreTest : public HostTest {
protected:
	void SetUp() override;
	void TearDown() override;

	// A device that is registered until the end of the scope.
	class Registered {
	public:
		Registered(::device &dev, const vfio_device_ops &ops, bool emulated = false,
			   u64 set = 0);
		~Registered();

		vfio_device *operator->()
		{
			return &handle;
		}

		void unregister();

		int ret;
		vfio_device handle;
	};

	// A driver that has everything, and remembers.
	void fill_ops();

	int group_fd(const std::string &name);
	// A container with a group and type1v2.
	void open_all(int &container, int &group, const std::string &name);
	static long set_container(int group, int container)
	{
		return mock::ioctl(group, VFIO_GROUP_SET_CONTAINER, &container, sizeof(container));
	}
	static long device_fd(int group, const std::string &name)
	{
		return mock::ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name.c_str(), name.size() + 1);
	}
	static long status(int group);
	// VFIO_DEVICE_FEATURE with data that is read and written.
	static long feature(int fd, u32 flags, std::vector<u8> &data, u32 argsz = ~0u);

	mock::Process process;
	mock::As as{&process};
	iommu_group groups[2];
	device devices[2];
	vfio_iommu_driver_ops noiommu;
	vfio_iommu_driver_ops type1;
	vfio_device_ops ops;
	u64 opened = 0, closed = 0;
	std::vector<u32> requests;
};
