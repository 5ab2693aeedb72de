// SPDX-License-Identifier: GPL-2.0
//
// The fixture of vfio_mdev's tests: the module is initialised, a driver is
// registered, and a device waits to become its parent. At the end nothing may
// be left of anything.
#pragma once

#include <cerrno>

#include "host_test.hpp"
#include "mock/mdev.hpp"

class MdevTest : public HostTest {
protected:
	void SetUp() override;
	void TearDown() override;

	int register_parent()
	{
		return mdev_core_register_parent(&parent, &dev, &driver, type_list, 2);
	}

	void unregister_parent()
	{
		mdev_core_unregister_parent(parent.core);
	}

	static std::string uuid(unsigned number);

	// create; 0 or a negative errno.
	static long create(mdev_type &type, const std::string &uuid)
	{
		const long result = mock::write_create(type, uuid);

		return result == static_cast<long>(uuid.size()) ? 0 : result;
	}

	static long remove(const std::string &uuid)
	{
		const long result = mock::write_remove(uuid);

		return result == 1 ? 0 : result;
	}

	device dev = {"0000:00:02.0", "gpu"};
	mdev_driver driver;
	mdev_type types[2] = {{.name = "small"}, {.name = "big"}};
	mdev_type *type_list[2] = {&types[0], &types[1]};
	mdev_parent parent;
};
