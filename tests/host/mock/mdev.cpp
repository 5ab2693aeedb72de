// SPDX-License-Identifier: GPL-2.0
#include "mdev.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

namespace mock {

namespace {

std::mutex mutex;
std::condition_variable left;
// Devices on the bus, by name.
std::map<std::string, mdev_device *> bus;
std::vector<std::string> uevents;
std::atomic<u64> mdevs, directories;
// The device whose file `remove` this thread is in.
thread_local mdev_device *in_remove_file;

using Lock = std::unique_lock<std::mutex>;

std::string text_of(const u8 *uuid)
{
	static constexpr int kOrder[] = {3,  2, 1, 0,  -1, 5,  4,  -1, 7,  6,
					 -1, 8, 9, -1, 10, 11, 12, 13, 14, 15};
	std::string text;

	for (const int at : kOrder) {
		if (at < 0) {
			text += '-';
			continue;
		}
		text += "0123456789abcdef"[uuid[at] >> 4];
		text += "0123456789abcdef"[uuid[at] & 15];
	}
	return text;
}

} // namespace

long write_create(mdev_type &type, const std::string &text)
{
	mdev_core_parent *core;
	{
		const Lock lock(mutex);

		if (type.directory.empty())
			return -ENODEV;
		core = type.parent->core;
		type.inside++;
	}
	const long result = mdev_core_create(core, &type, text.c_str(), text.size());
	const Lock lock(mutex);

	type.inside--;
	left.notify_all();
	return result;
}

long read_available(mdev_type &type)
{
	mdev_core_parent *core;
	{
		const Lock lock(mutex);

		if (type.directory.empty())
			return -ENODEV;
		core = type.parent->core;
		type.inside++;
	}
	const long result = mdev_core_available(core, &type);
	const Lock lock(mutex);

	type.inside--;
	left.notify_all();
	return result;
}

long write_remove(const std::string &name, const std::string &text)
{
	{
		const Lock lock(mutex);
		const auto found = bus.find(name);

		if (found == bus.end() || !found->second->has_remove_file)
			return -ENOENT;
		in_remove_file = found->second;
		in_remove_file->inside++;
	}
	const long result = mdev_core_remove(in_remove_file->core, text.c_str(), text.size());
	const Lock lock(mutex);

	// Whoever removed the device has left the file before.
	if (mdev_device *mdev = std::exchange(in_remove_file, nullptr)) {
		mdev->inside--;
		left.notify_all();
	}
	return result;
}

std::vector<std::string> bus_devices()
{
	const Lock lock(mutex);
	std::vector<std::string> names;

	for (const auto &[name, mdev] : bus)
		names.push_back(name);
	return names;
}

mdev_device *bus_device(const std::string &name)
{
	const Lock lock(mutex);
	const auto found = bus.find(name);

	return found == bus.end() ? nullptr : found->second;
}

void get_mdev(mdev_device *mdev)
{
	const Lock lock(mutex);

	mdev->refs++;
}

void put_mdev(mdev_device *mdev)
{
	shim_mdev_put(mdev);
}

u64 live_mdevs()
{
	return mdevs;
}

u64 live_directories()
{
	return directories;
}

std::vector<std::string> take_uevents()
{
	const Lock lock(mutex);

	return std::exchange(uevents, {});
}

} // namespace mock

using namespace mock;

/* Drivers. */

u32 shim_mdev_driver_ops(const mdev_driver *driver)
{
	return (driver->device_api ? SHIM_MDEV_DEVICE_API : 0) |
	       (driver->get_available ? SHIM_MDEV_GET_AVAILABLE : 0);
}

u32 shim_mdev_driver_max_instances(const mdev_driver *driver)
{
	return driver->max_instances;
}

int shim_mdev_driver_register(mdev_driver *driver)
{
	if (plan.hit(Fail::kDriver))
		return -EBUSY;
	driver->registered = true;
	return 0;
}

/* Parents. */

int shim_mdev_parent_create(mdev_parent *parent, mdev_core_parent *core, device *dev,
			    mdev_driver *driver, mdev_type **types, u32 ntypes)
{
	if (plan.hit(Fail::kNode))
		return -ENOMEM;
	directories++;
	*parent = {core, dev, driver, {types, types + ntypes}, false};
	return 0;
}

void shim_mdev_parent_destroy(mdev_parent *parent)
{
	for (const mdev_type *type : parent->types)
		if (!type->directory.empty())
			violation("type %s left in a parent that is destroyed",
				  type->directory.c_str());
	if (parent->linked)
		violation("parent destroyed with its link");
	directories--;
	mdev_core_put_parent(std::exchange(parent->core, nullptr));
}

int shim_mdev_parent_link(mdev_parent *parent)
{
	if (plan.hit(Fail::kFd))
		return -ENOMEM;
	parent->linked = true;
	return 0;
}

void shim_mdev_parent_unlink(mdev_parent *parent)
{
	parent->linked = false;
}

void shim_mdev_parent_uevent(mdev_parent *parent, const char *variable)
{
	const Lock lock(mutex);

	uevents.push_back(parent->dev->name + " " + variable);
}

void shim_mdev_parent_info(const mdev_parent *, const char *)
{
}

void shim_mdev_parent_warn(const mdev_parent *, const char *)
{
}

/* Types. */

u32 shim_mdev_type_available(mdev_type *type)
{
	return type->parent->driver->get_available(type);
}

int shim_mdev_type_add(mdev_parent *parent, u32 index)
{
	mdev_type *type = parent->types.at(index);
	const std::string name = parent->dev->driver + "-" + type->name;

	if (plan.hit(Fail::kGroup))
		return -ENOMEM;
	const Lock lock(mutex);
	for (const mdev_type *other : parent->types)
		if (other->directory == name)
			return -EEXIST;
	type->parent = parent;
	type->directory = name;
	return 0;
}

void shim_mdev_type_remove(mdev_parent *parent, u32 index)
{
	mdev_type *type = parent->types.at(index);
	Lock lock(mutex);

	if (type->directory.empty())
		violation("type removed that is not there");
	if (!type->devices.empty())
		violation("type removed with %zu devices", type->devices.size());
	type->directory.clear();
	left.wait(lock, [&] { return type->inside == 0; });
}

/* Devices. */

int shim_mdev_create(mdev_core_device *core, mdev_parent *parent, mdev_type *type, const u8 *uuid,
		     mdev_device **mdev)
{
	if (plan.hit(Fail::kDevice))
		return -ENOMEM;
	auto *made = new mdev_device;

	made->core = core;
	made->parent = parent;
	made->type = type;
	made->uuid.assign(uuid, uuid + 16);
	made->name = text_of(uuid);
	mdevs++;
	*mdev = made;
	return 0;
}

int shim_mdev_add(mdev_device *mdev)
{
	if (plan.hit(Fail::kDevice))
		return -ENOMEM;
	const Lock lock(mutex);
	if (!bus.emplace(mdev->name, mdev).second)
		violation("two devices %s on the bus", mdev->name.c_str());
	mdev->on_bus = mdev->has_remove_file = true;
	return 0;
}

int shim_mdev_attach(mdev_device *mdev)
{
	mdev_driver *driver = mdev->parent->driver;

	if (!driver->registered)
		violation("device bound to a driver that is not registered");
	if (plan.hit(Fail::kDriver))
		return -EIO;
	const int ret = driver->probe ? driver->probe(mdev) : 0;
	mdev->bound = ret == 0;
	return ret;
}

int shim_mdev_link(mdev_device *mdev)
{
	if (plan.hit(Fail::kFile))
		return -ENOMEM;
	const Lock lock(mutex);
	mdev->type->devices.insert(mdev);
	mdev->linked = true;
	return 0;
}

void shim_mdev_unlink(mdev_device *mdev)
{
	const Lock lock(mutex);

	if (!std::exchange(mdev->linked, false))
		violation("device %s unlinked and not linked", mdev->name.c_str());
	mdev->type->devices.erase(mdev);
}

void shim_mdev_leave_remove_file(mdev_device *mdev)
{
	const Lock lock(mutex);

	if (std::exchange(in_remove_file, nullptr) != mdev)
		violation("file of %s left by one who is not in it", mdev->name.c_str());
	if (!std::exchange(mdev->has_remove_file, false))
		violation("file of %s taken away twice", mdev->name.c_str());
	mdev->inside--;
	left.notify_all();
}

void shim_mdev_del(mdev_device *mdev)
{
	{
		Lock lock(mutex);

		if (!std::exchange(mdev->on_bus, false))
			violation("device %s is not on the bus", mdev->name.c_str());
		if (mdev->linked)
			violation("device %s taken off the bus with its links", mdev->name.c_str());
		bus.erase(mdev->name);
		mdev->has_remove_file = false;
		left.wait(lock, [&] { return mdev->inside == 0; });
	}
	if (std::exchange(mdev->bound, false) && mdev->parent->driver->remove)
		mdev->parent->driver->remove(mdev);
}

void shim_mdev_put(mdev_device *mdev)
{
	{
		const Lock lock(mutex);

		if (mdev->refs <= 0)
			fatal("device %s put too often", mdev->name.c_str());
		if (--mdev->refs > 0)
			return;
		if (mdev->on_bus)
			violation("device %s freed on the bus", mdev->name.c_str());
	}
	mdev_core_destroy(mdev->core);
	delete mdev;
	mdevs--;
}

int shim_parse_uuid(const char *text, u8 *uuid)
{
	static constexpr int kDigits[] = {6,  4,  2,  0,  11, 9,  16, 14,
					  19, 21, 24, 26, 28, 30, 32, 34};

	for (const int at : {8, 13, 18, 23})
		if (text[at] != '-')
			return -EINVAL;
	for (int i = 0; i < 16; i++) {
		const std::string digits(text + kDigits[i], 2);

		if (!isxdigit(digits[0]) || !isxdigit(digits[1]))
			return -EINVAL;
		uuid[i] = static_cast<u8>(std::stoi(digits, nullptr, 16));
	}
	return 0;
}

int shim_parse_number(const char *text, unsigned long *value)
{
	char *end = nullptr;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoul(text, &end, 0);
	if (errno)
		return -errno;
	return *end == '\0' || (*end == '\n' && end[1] == '\0') ? 0 : -EINVAL;
}
