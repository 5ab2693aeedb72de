// SPDX-License-Identifier: GPL-2.0
//
// Descriptors, files, and the nodes of groups.
#include "core.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vfio_core/shim/file.h"

namespace mock {

namespace {

std::recursive_mutex mutex;
std::map<int, file *> descriptors;
std::set<shim_group_node *> nodes;
std::atomic<u64> files;
thread_local std::vector<file *> deferred;

using Lock = std::lock_guard<std::recursive_mutex>;

int free_descriptor()
{
	int fd = 3;

	while (descriptors.contains(fd))
		fd++;
	return fd;
}

int install(file *file)
{
	const Lock guard(mutex);
	const int fd = free_descriptor();

	descriptors[fd] = file;
	return fd;
}

file *make_file(file::Kind kind)
{
	files++;
	auto *made = new file;
	made->kind = kind;
	return made;
}

} // namespace

int open_container()
{
	vfio_container *container = nullptr;
	const int ret = vfio_core_container_open(&container);

	if (ret)
		return ret;
	file *made = make_file(file::kContainer);
	made->container = container;
	return install(made);
}

int open_group(const std::string &name)
{
	shim_group_node *found = nullptr;
	{
		const Lock guard(mutex);

		for (shim_group_node *node : nodes)
			if (node->visible && node->name == name)
				found = node;
		if (!found)
			return -ENOENT;
		found->refs++;
	}
	file *made = make_file(file::kGroup);
	made->node = found;
	const int ret = vfio_core_group_open(found->group);
	if (ret) {
		made->kind = file::kOther;
		shim_group_node_put(found);
		shim_file_put(made);
		run_deferred();
		return ret;
	}
	return install(made);
}

int open_other()
{
	return install(make_file(file::kOther));
}

file *file_of(int fd)
{
	const Lock guard(mutex);
	const auto at = descriptors.find(fd);

	return at == descriptors.end() ? nullptr : at->second;
}

// Another thread may close the descriptor at any time.
static file *get_file(int fd)
{
	const Lock guard(mutex);
	file *file = file_of(fd);

	if (file)
		file->refs++;
	return file;
}

long ioctl(int fd, u32 cmd, u64 arg)
{
	file *file = get_file(fd);
	long ret = -EBADF;

	if (!file)
		return ret;
	if (file->kind == file::kContainer)
		ret = vfio_core_container_ioctl(file->container, cmd, arg);
	else if (file->kind == file::kGroup)
		ret = vfio_core_group_ioctl(file->node->group, cmd, arg);
	else if (file->kind == file::kDevice)
		ret = vfio_core_device_file_ioctl(file->device_file, cmd, arg);
	shim_file_put(file);
	run_deferred();
	return ret;
}

long ioctl(int fd, u32 cmd, const void *arg, size_t size)
{
	const UserWindow window(arg, size);

	return ioctl(fd, cmd, reinterpret_cast<u64>(arg));
}

int close(int fd)
{
	file *file = nullptr;
	{
		const Lock guard(mutex);
		const auto at = descriptors.find(fd);

		if (at == descriptors.end() || !at->second)
			return -EBADF;
		file = at->second;
		descriptors.erase(at);
	}
	shim_file_put(file);
	run_deferred();
	return 0;
}

void run_deferred()
{
	while (!deferred.empty()) {
		file *file = deferred.back();

		deferred.pop_back();
		switch (file->kind) {
		case file::kContainer:
			vfio_core_container_close(file->container);
			break;
		case file::kGroup:
			vfio_core_group_close(file->node->group);
			shim_group_node_put(file->node);
			break;
		case file::kDevice:
			vfio_core_device_file_close(file->device_file);
			break;
		case file::kOther:
			break;
		}
		files--;
		delete file;
	}
}

u64 open_descriptors()
{
	const Lock guard(mutex);

	return descriptors.size();
}

bool group_visible(const std::string &name)
{
	const Lock guard(mutex);

	return std::any_of(nodes.begin(), nodes.end(), [&](const shim_group_node *node) {
		return node->visible && node->name == name;
	});
}

u64 live_nodes()
{
	const Lock guard(mutex);

	return nodes.size();
}

u64 live_files()
{
	return files;
}

void put_device(vfio_device *device)
{
	if (device->refs <= 0)
		violation("device put more often than got");
	if (--device->refs == 0)
		vfio_core_device_release(device->core);
}

} // namespace mock

using namespace mock;

/* Files. */

file *shim_file_of_fd(int fd)
{
	return get_file(fd);
}

void shim_file_put(file *file)
{
	const s64 before = file->refs--;

	if (before <= 0)
		violation("file put more often than got");
	if (before == 1)
		deferred.push_back(file);
}

vfio_container *shim_file_container(file *file)
{
	return file->kind == file::kContainer ? file->container : nullptr;
}

vfio_group *shim_file_group(file *file)
{
	return file->kind == file::kGroup ? file->node->group : nullptr;
}

vfio_core_device_file *shim_file_device(file *file)
{
	return file->kind == file::kDevice ? file->device_file : nullptr;
}

int shim_file_create_device(inode *inode, vfio_core_device_file *core, file **file)
{
	if (!inode)
		violation("file of a device without an inode");
	if (plan.hit(Fail::kFile))
		return -ENFILE;
	*file = make_file(file::kDevice);
	(*file)->device_file = core;
	return 0;
}

bool shim_file_nonblocking(const file *file)
{
	return file->nonblocking;
}

int shim_fd_reserve(void)
{
	if (plan.hit(Fail::kFd))
		return -EMFILE;
	return install(nullptr);
}

void shim_fd_cancel(int fd)
{
	const Lock guard(mutex);
	const auto at = descriptors.find(fd);

	if (at == descriptors.end() || at->second)
		violation("descriptor %d given back and not reserved", fd);
	else
		descriptors.erase(at);
}

void shim_fd_install(int fd, file *file)
{
	const Lock guard(mutex);
	const auto at = descriptors.find(fd);

	if (at == descriptors.end() || at->second)
		violation("descriptor %d installed and not reserved", fd);
	descriptors[fd] = file;
}

/* Nodes of groups. */

int shim_group_node_create(vfio_group *group, const char *prefix, int number,
			   shim_group_node **node)
{
	if (plan.hit(Fail::kNode))
		return -ENOSPC;

	const Lock guard(mutex);
	*node = new shim_group_node{group, prefix + std::to_string(number)};
	nodes.insert(*node);
	return 0;
}

int shim_group_node_add(shim_group_node *node)
{
	if (plan.hit(Fail::kNode))
		return -EEXIST;

	const Lock guard(mutex);
	if (group_visible(node->name))
		violation("two groups named %s", node->name.c_str());
	node->visible = true;
	return 0;
}

void shim_group_node_del(shim_group_node *node)
{
	const Lock guard(mutex);

	node->visible = false;
}

void shim_group_node_get(shim_group_node *node)
{
	if (node->refs++ <= 0)
		violation("reference taken on a dead node");
}

void shim_group_node_put(shim_group_node *node)
{
	if (--node->refs)
		return;
	{
		const Lock guard(mutex);
		nodes.erase(node);
	}
	if (node->visible)
		violation("group's node freed with its file");
	vfio_core_group_destroy(node->group);
	delete node;
}
