// SPDX-License-Identifier: GPL-2.0
//
// The kernel that mdev.ko lives in: drivers, parents and their types, devices
// on the bus, and the files in sysfs. As in the kernel a file that is taken
// away waits for those who are in it, but for the one who leaves it first.
#pragma once

#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "report.hpp"
#include "vfio_mdev/entry.h"
#include "vfio_mdev/shim/driver.h"
#include "vfio_mdev/shim/mdev.h"
#include "vfio_mdev/shim/parent.h"

struct device {
	std::string name;
	std::string driver;
};

struct mdev_driver {
	bool device_api = true;
	u32 max_instances = 0;
	bool registered = false;
	std::function<u32(mdev_type *type)> get_available;
	std::function<int(mdev_device *mdev)> probe;
	std::function<void(mdev_device *mdev)> remove;
};

struct mdev_type {
	std::string name;

	mdev_parent *parent = nullptr;
	// Of its directory; empty if there is none.
	std::string directory = {};
	u32 inside = 0;
	std::set<mdev_device *> devices = {};
};

struct mdev_parent {
	mdev_core_parent *core = nullptr;
	device *dev = nullptr;
	mdev_driver *driver = nullptr;
	std::vector<mdev_type *> types;
	bool linked = false;
};

struct mdev_device {
	mdev_core_device *core = nullptr;
	mdev_parent *parent = nullptr;
	mdev_type *type = nullptr;
	std::string name;
	std::vector<u8> uuid;
	s64 refs = 1;
	bool on_bus = false;
	bool bound = false;
	bool linked = false;
	bool has_remove_file = false;
	u32 inside = 0;
};

namespace mock {

// What userspace does; results as of a write().
long write_create(mdev_type &type, const std::string &text);
long write_remove(const std::string &name, const std::string &text = "1");
// -ENODEV if there is no directory.
long read_available(mdev_type &type);

// Names of the devices on the bus, in order.
std::vector<std::string> bus_devices();
// One of them, or nullptr; for tests of a single thread.
mdev_device *bus_device(const std::string &name);
// References of a test's own to a device.
void get_mdev(mdev_device *mdev);
void put_mdev(mdev_device *mdev);

u64 live_mdevs();
u64 live_directories();
// "name VARIABLE" of all since the last call.
std::vector<std::string> take_uevents();

} // namespace mock
