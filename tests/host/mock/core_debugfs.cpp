// SPDX-License-Identifier: GPL-2.0
//
// debugfs: folders of containers and devices, which tests read.
#include <cerrno>
#include <map>
#include <mutex>
#include <string>

#include "core.hpp"
#include "vfio_core/shim/debugfs.h"

struct dentry {
	std::string name;
	vfio_container *container = nullptr;
	vfio_core_device *device = nullptr;
	bool migrates = false;
};

namespace mock {

namespace {

// Held while a file is read, so that a folder is removed before or after.
std::mutex mutex;
std::map<std::string, dentry *> folders;

dentry *make(dentry made)
{
	const std::lock_guard guard(mutex);

	if (!folders.emplace(made.name, nullptr).second)
		violation("folder %s made twice in debugfs", made.name.c_str());
	return folders[made.name] = new dentry(made);
}

} // namespace

size_t debug_folders()
{
	const std::lock_guard guard(mutex);

	return folders.size();
}

std::string latest_container()
{
	const std::lock_guard guard(mutex);
	u64 latest = 0;

	for (const auto &[name, folder] : folders)
		if (folder->container)
			latest = std::max<u64>(latest, std::stoull(name));
	return std::to_string(latest);
}

int read_debug(const std::string &name, u32 file, std::string &text)
{
	const std::lock_guard guard(mutex);
	const auto at = folders.find(name);

	if (at == folders.end())
		return -ENOENT;

	const dentry &folder = *at->second;
	seq_file *seq = new_seq();
	u64 cursor = 0;
	int ret = 1;

	if (folder.container)
		while (ret == 1)
			ret = vfio_core_container_show(folder.container, file, &cursor, seq);
	else
		ret = file == SHIM_DEVICE_USER || folder.migrates ?
			      vfio_core_device_show(folder.device, file, seq) :
			      -ENOENT;
	text = take_seq(seq);
	return ret;
}

} // namespace mock

using namespace mock;

dentry *shim_debug_container(vfio_container *container, u64 number)
{
	return make({.name = std::to_string(number), .container = container});
}

dentry *shim_debug_device(vfio_device *device, vfio_core_device *core, bool migrates)
{
	return make({.name = device->dev->name, .device = core, .migrates = migrates});
}

void shim_debug_remove(dentry *dir)
{
	const std::lock_guard guard(mutex);

	if (!folders.erase(dir->name))
		violation("folder removed from debugfs that is not there");
	delete dir;
}
