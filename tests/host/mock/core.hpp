// SPDX-License-Identifier: GPL-2.0
//
// The kernel that vfio_core lives in: devices of a bus, IOMMU groups, files
// and descriptors of one process, nodes of groups, drivers of devices and
// IOMMU drivers. Tests are userspace and the drivers: they open and close
// descriptors, register devices, and look at what the core left behind.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>

#include "memory.hpp"
#include "vfio_core/entry.h"
#include "vfio_core/shim/debugfs.h"
#include "vfio_core/shim/device.h"
#include "vfio_core/shim/device_ops.h"
#include "vfio_core/shim/gate_frames.h"
#include "vfio_core/shim/gate_map.h"
#include "vfio_core/shim/group_node.h"
#include "vfio_core/shim/iommu_driver.h"
#include "vfio_core/shim/kvm.h"
#include "vfio_cxx/iommu_extension.h"

struct shim_iommu_data;
struct vfio_device_set;
struct vfio_info_cap_header;
struct vfio_region_info;

struct iommu_group {
	int id = 0;
	s64 refs = 0;
	// Made by the core, which counts alone.
	bool created = false;
	const void *dma_owner = nullptr;
	s64 dma_claims = 0;
	// A driver that is not VFIO's uses one of its devices.
	bool kernel_driver = false;
	// To which it is attached, one at a time.
	std::atomic<shim_iommu_data *> iommu = nullptr;
	// Its DMA is cut off, and what giving it back returns.
	std::atomic<bool> cut = false;
	int restore_error = 0;
};

struct inode {
	bool alive = false;
	// How often maps were taken away.
	std::atomic<u64> zaps = 0;
};

// What a driver has for its maps.
struct vm_operations_struct {
	bool faults = true;
};

struct vm_area_struct {
	inode *of = nullptr;
	const vm_operations_struct *ops = nullptr;
	shim_gate_map *gated = nullptr;
	bool refused = false;
};

struct vm_fault {
	std::atomic<bool> locked = true;
};

// A device of a bus.
struct device {
	std::string name;
	iommu_group *group = nullptr;
	bool can_snoop = true;
	int enforces_coherency = -EOPNOTSUPP;
	// A PCI function, its line, and whether its interrupts are disabled.
	bool pci = false;
	u32 line = 0;
	bool irqs_disabled = false;
	// Where its register windows are.
	std::vector<shim_gate_window> windows = {};
};

// A virtual machine of KVM; who made it owns the first reference.
struct kvm {
	std::atomic<s64> refs = 1;
};

struct file {
	enum Kind { kOther, kContainer, kGroup, kDevice } kind = kOther;
	vfio_container *container = nullptr;
	shim_group_node *node = nullptr;
	vfio_core_device_file *device_file = nullptr;
	bool nonblocking = false;
	std::atomic<s64> refs = 1;
};

struct shim_group_node {
	vfio_group *group;
	std::string name;
	std::atomic<s64> refs = 1;
	bool visible = false;
};

struct vfio_device_ops {
	u32 has = 0;
	std::function<int(vfio_device *)> init;
	std::function<int(vfio_device *)> open;
	std::function<void(vfio_device *)> close;
	std::function<long(u32 cmd, u64 arg)> ioctl;
	std::function<long(bool write, u64 user, size_t size, s64 *position)> rw;
	std::function<void(u32 count)> request;
	std::function<int(vm_area_struct *vma)> mmap;
	std::function<int(char *name)> match;
	std::function<int(u32 flags, u64 data, size_t size)> feature;
	std::function<int(u32 *state)> get_state;
	std::function<int(u32 state, file **made)> set_state;
	std::function<int(const std::vector<shim_log_range> &ranges, u64 *page_size)> log_start;
	std::function<int(u64 *size)> data_size;
	std::function<int(vfio_region_info *info, vfio_info_cap_header **caps, size_t *size)>
		region_info;
	std::function<int()> log_stop;
	std::function<int(u64 iova, u64 size, iova_bitmap *bitmap)> log_read;
};

struct vfio_device {
	device *dev = nullptr;
	const vfio_device_ops *ops = nullptr;
	vfio_core_device *core = nullptr;
	vfio_device_set *set = nullptr;
	vfio_group *group = nullptr;
	kvm *kvm_set = nullptr;
	u32 open_count = 0;
	int index = -1;
	u32 migration_flags = 0;
	bool shown = false;
	bool heap = false;
	std::atomic<s64> refs = 0;
	std::atomic<s64> module_refs = 0;
	s64 awake = 0;
	inode maps;
	bool precopy_info_v2 = false;
	bool released = false;

	std::mutex mutex;
	std::condition_variable condition;
	u32 completions = 0;
};

struct shim_iommu_data {
	shim_iommu_data(const vfio_iommu_driver_ops *driver, u64 extension)
		: driver(driver), extension(extension)
	{
	}

	std::mutex mutex;
	const vfio_iommu_driver_ops *const driver;
	const u64 extension;
	std::set<iommu_group *> groups;
	std::set<vfio_device *> devices;
	// Ioctls that have not returned.
	std::atomic<s64> inside = 0;
};

// An IOMMU driver that remembers; behaviour by its members.
struct vfio_iommu_driver_ops {
	u32 has = 0x1f;
	std::set<u64> extensions = {1, 3};
	long dma_cc = 1;
	int open_error = 0;
	std::function<int(iommu_group *)> attach;
	std::function<long(u32 cmd, u64 arg)> ioctl;
	bool unloading = false;
	bool noiommu = false;
	// How many ticks of the timer an ioctl seems to take.
	u64 ticks = 0;

	mutable std::atomic<s64> module_refs = 0;
	mutable std::atomic<s64> opens = 0;
	mutable std::atomic<u64> closed = 0;
	mutable std::atomic<shim_iommu_data *> latest = nullptr;
};

namespace mock {

// debugfs: a folder by the name of its device, or the number of its container. file is an
// enum shim_device_file or shim_debug_file. Returns what the show function returns, or -ENOENT.
int read_debug(const std::string &name, u32 file, std::string &text);
std::string latest_container();
size_t debug_folders();

// The process's descriptors. All give a descriptor or a negative errno, and
// run what the kernel would do before it returns to userspace.
int open_container();
int open_group(const std::string &name);
int open_other();
long ioctl(int fd, u32 cmd, u64 arg);
long ioctl(int fd, u32 cmd, const void *arg, size_t size);
int close(int fd);
file *file_of(int fd);
// Closes that the kernel put off until our locks are free.
void run_deferred();
u64 open_descriptors();

// Whether /dev/vfio/NAME is there.
bool group_visible(const std::string &name);
u64 live_nodes();
u64 live_files();
u64 live_iommu_groups();
u64 live_device_sets();
u64 taken_indexes();

// The registration's reference to a device.
void put_device(vfio_device *device);

// The references to eventfds of gates, and how often number 1000 was signaled.
struct Events {
	std::atomic<s64> refs = 0;
	std::atomic<u64> signals = 0;
};

extern Events gate_events;

// What IOMMU drivers do beyond their operations, by the members of the groups. Shows nothing, and remaps
// nothing.
extern const vfio_iommu_extension kIommuExtension;

extern std::atomic<bool> noiommu_allowed;
extern std::atomic<u64> taints;
// What later kernels do otherwise: whether the core answers VFIO_DEVICE_GET_REGION_INFO, and
// whether iova_bitmap_set() works.
extern std::atomic<bool> core_answers_region_info;
extern std::atomic<bool> logging_works;
// What vfio_core_init() is told of modules.
extern const shim_iommu_module kIommuModules[];
// Called instead of loading a module.
extern std::function<void(const std::string &name)> on_module_load;
extern std::atomic<bool> signal_pending;

} // namespace mock

// kIommuExtension's.
extern "C" void mock_iommu_cut(void *domain, iommu_group *group);
extern "C" int mock_iommu_restore(void *domain, iommu_group *group);
