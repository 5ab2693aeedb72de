// SPDX-License-Identifier: GPL-2.0
//
// The parts of vfio_core's mock that are drivers': devices and IOMMU drivers.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "core.hpp"
#include "shim/uapi.h"
#include "vfio_core/shim/device_inode.h"

using namespace mock;

namespace {

std::mutex indexes_mutex;
std::set<int> taken;

bool has(const vfio_device *device, u32 operation)
{
	if (!(device->ops->has & operation))
		violation("an operation is called that the driver has not: %#x", operation);
	return true;
}

} // namespace

namespace mock {

std::atomic<bool> core_answers_region_info;
std::atomic<bool> logging_works = true;

u64 taken_indexes()
{
	const std::lock_guard guard(indexes_mutex);

	return taken.size();
}

} // namespace mock

static int find_domain(void *iommu_data, iommu_group *group, void **domain)
{
	auto *data = static_cast<shim_iommu_data *>(iommu_data);
	const std::lock_guard guard(data->mutex);

	*domain = data;
	return data->groups.contains(group) ? 0 : -ENODEV;
}

const vfio_iommu_extension mock::kIommuExtension = {
	.show = [](void *, u32, u64 *, seq_file *) { return 0; },
	.find_domain = find_domain,
	.cut = mock_iommu_cut,
	.restore = mock_iommu_restore,
	.remap = nullptr,
	.flush_remapped = nullptr,
	.end_remapping = nullptr,
};

size_t shim_device_min_size(void)
{
	return sizeof(vfio_device);
}

vfio_device *shim_device_alloc(size_t size)
{
	if (size < sizeof(vfio_device))
		violation("device allocated too small");
	if (plan.hit(Fail::kDevice))
		return nullptr;
	auto *device = new vfio_device;
	device->heap = true;
	return device;
}

void shim_device_free(vfio_device *device)
{
	delete device;
}

int shim_device_index_alloc(void)
{
	const std::lock_guard guard(indexes_mutex);

	if (plan.hit(Fail::kIndex))
		return -ENOSPC;
	int index = 0;
	while (!taken.insert(index).second)
		index++;
	return index;
}

void shim_device_index_free(int index)
{
	const std::lock_guard guard(indexes_mutex);

	if (!taken.erase(index))
		violation("number %d given back twice", index);
}

void shim_device_setup(vfio_device *device, ::device *dev, const vfio_device_ops *ops, int index,
		       vfio_core_device *core)
{
	device->dev = dev;
	device->ops = ops;
	device->index = index;
	device->core = core;
}

void shim_device_initialize(vfio_device *device)
{
	device->refs = 1;
}

int shim_device_add(vfio_device *device)
{
	if (plan.hit(Fail::kDevice))
		return -ENOMEM;
	device->shown = true;
	device->refs++;
	return 0;
}

void shim_device_del(vfio_device *device)
{
	if (!std::exchange(device->shown, false))
		violation("device hidden that was not shown");
	device->refs--;
}

void shim_device_complete(vfio_device *device)
{
	const std::lock_guard guard(device->mutex);

	device->completions++;
	device->condition.notify_all();
}

bool shim_device_try_wait(vfio_device *device)
{
	const std::lock_guard guard(device->mutex);

	return device->completions && device->completions--;
}

// Seconds are milliseconds here.
int shim_device_wait(vfio_device *device, unsigned int seconds, bool interruptible)
{
	std::unique_lock guard(device->mutex);

	if (interruptible && signal_pending)
		return -EINTR;
	if (!device->condition.wait_for(guard, std::chrono::milliseconds(seconds),
					[&] { return device->completions != 0; }))
		return 0;
	device->completions--;
	return 1;
}

device *shim_device_dev(const vfio_device *device)
{
	return device->dev;
}

const char *shim_device_name(const vfio_device *device)
{
	return device->dev->name.c_str();
}

const char *shim_device_driver_name(const vfio_device *)
{
	return "mock-pci";
}

void shim_device_set_group(vfio_device *device, vfio_group *group)
{
	device->group = group;
}

void shim_device_set_kvm(vfio_device *device, kvm *kvm)
{
	device->kvm_set = kvm;
}

void shim_device_set_open_count(vfio_device *device, u32 count)
{
	device->open_count = count;
}

u32 shim_device_migration_flags(const vfio_device *device)
{
	return device->migration_flags;
}

u32 shim_device_ops(const vfio_device *device)
{
	return device->ops->has;
}

bool shim_device_module_get(vfio_device *device)
{
	if (plan.hit(Fail::kModule))
		return false;
	device->module_refs++;
	return true;
}

void shim_device_module_put(vfio_device *device)
{
	if (device->module_refs-- <= 0)
		violation("driver's module put more often than got");
}

int shim_device_pm_get(vfio_device *device)
{
	has(device, SHIM_DEVICE_PM);
	if (plan.hit(Fail::kDevice))
		return -EACCES;
	device->awake++;
	return 0;
}

void shim_device_pm_put(vfio_device *device)
{
	if (device->awake-- <= 0)
		violation("device put to sleep more often than woken");
}

void shim_device_warn(const vfio_device *, const char *, ...)
{
}

void shim_device_info(const vfio_device *, const char *, ...)
{
}

int shim_device_driver_init(vfio_device *device)
{
	has(device, SHIM_DEVICE_INIT);
	return device->ops->init(device);
}

void shim_device_driver_release(vfio_device *device)
{
	if (device->maps.alive)
		violation("device freed with its inode");
	device->released = true;
	if (device->heap)
		delete device;
}

int shim_device_open(vfio_device *device)
{
	has(device, SHIM_DEVICE_OPEN);
	return plan.hit(Fail::kDriver) ? -EIO : device->ops->open(device);
}

void shim_device_close(vfio_device *device)
{
	has(device, SHIM_DEVICE_CLOSE);
	device->ops->close(device);
}

long shim_device_read(vfio_device *device, u64 to, size_t size, s64 *position)
{
	has(device, SHIM_DEVICE_READ);
	return device->ops->rw(false, to, size, position);
}

long shim_device_write(vfio_device *device, u64 from, size_t size, s64 *position)
{
	has(device, SHIM_DEVICE_WRITE);
	return device->ops->rw(true, from, size, position);
}

long shim_device_ioctl(vfio_device *device, u32 cmd, u64 arg)
{
	has(device, SHIM_DEVICE_IOCTL);
	return device->ops->ioctl(cmd, arg);
}

int shim_device_mmap(vfio_device *device, vm_area_struct *vma)
{
	has(device, SHIM_DEVICE_MMAP);
	return device->ops->mmap(vma);
}

void shim_device_request(vfio_device *device, u32 count)
{
	has(device, SHIM_DEVICE_REQUEST);
	device->ops->request(count);
}

int shim_device_match(vfio_device *device, char *name)
{
	has(device, SHIM_DEVICE_MATCH);
	return device->ops->match(name);
}

int shim_device_feature(vfio_device *device, u32 flags, u64 data, size_t size)
{
	has(device, SHIM_DEVICE_FEATURE);
	return device->ops->feature(flags, data, size);
}

int shim_device_migration_get(vfio_device *device, u32 *state)
{
	has(device, SHIM_DEVICE_MIGRATION);
	return device->ops->get_state(state);
}

int shim_device_migration_set(vfio_device *device, u32 state, file **file)
{
	has(device, SHIM_DEVICE_MIGRATION);
	return device->ops->set_state(state, file);
}

int shim_device_migration_size(vfio_device *device, u64 *size)
{
	has(device, SHIM_DEVICE_MIGRATION_SIZE);
	return device->ops->data_size(size);
}

void shim_device_set_precopy_info_v2(vfio_device *device, bool wanted)
{
	device->precopy_info_v2 = wanted;
}

bool shim_device_region_info_is_ours(void)
{
	return core_answers_region_info;
}

int shim_device_region_info(vfio_device *device, vfio_region_info *info,
			    vfio_info_cap_header **caps, size_t *size)
{
	has(device, SHIM_DEVICE_REGION_INFO);
	return device->ops->region_info(info, caps, size);
}

bool shim_device_log_works(void)
{
	return logging_works;
}

int shim_device_inode_create(vfio_device *device, inode **made)
{
	if (plan.hit(Fail::kDevice))
		return -ENFILE;
	if (std::exchange(device->maps.alive, true))
		violation("device has an inode already");
	*made = &device->maps;
	return 0;
}

void shim_device_inode_drop(inode *inode)
{
	if (!std::exchange(inode->alive, false))
		violation("device has no inode to drop");
}

void shim_device_inode_zap(inode *inode)
{
	if (!inode->alive)
		violation("maps of a device that has gone are taken away");
	inode->zaps++;
}

int shim_device_log_start(vfio_device *device, const shim_log_range *ranges, u32 nranges,
			  u64 *page_size)
{
	has(device, SHIM_DEVICE_LOGGING);
	return device->ops->log_start({ranges, ranges + nranges}, page_size);
}

int shim_device_log_stop(vfio_device *device)
{
	has(device, SHIM_DEVICE_LOGGING);
	return device->ops->log_stop();
}

int shim_device_log_read(vfio_device *device, u64 iova, u64 size, iova_bitmap *bitmap)
{
	has(device, SHIM_DEVICE_LOGGING);
	return device->ops->log_read(iova, size, bitmap);
}

/* IOMMU drivers. */

u32 shim_iommu_driver_ops(const vfio_iommu_driver_ops *ops)
{
	return ops->has;
}

bool shim_iommu_driver_get(const vfio_iommu_driver_ops *ops)
{
	if (ops->unloading || plan.hit(Fail::kModule))
		return false;
	ops->module_refs++;
	return true;
}

void shim_iommu_driver_put(const vfio_iommu_driver_ops *ops)
{
	if (ops->module_refs-- <= 0)
		violation("IOMMU driver's module put more often than got");
}

int shim_iommu_driver_open(const vfio_iommu_driver_ops *ops, u64 extension, shim_iommu_data **data)
{
	if (ops->module_refs <= 0)
		violation("IOMMU driver opened that may be unloaded");
	if (ops->noiommu)
		return vfio_core_noiommu_open(extension);
	if (ops->open_error || plan.hit(Fail::kDriver))
		return ops->open_error ? ops->open_error : -ENOMEM;
	*data = new shim_iommu_data(ops, extension);
	ops->latest = *data;
	ops->opens++;
	return 0;
}

void shim_iommu_driver_release(const vfio_iommu_driver_ops *ops, shim_iommu_data *data)
{
	if (ops->noiommu)
		return;
	if (!data->groups.empty() || !data->devices.empty())
		violation("IOMMU driver released with %zu groups, %zu devices", data->groups.size(),
			  data->devices.size());
	if (data->inside)
		violation("IOMMU driver released with an ioctl inside");
	ops->opens--;
	ops->latest = nullptr;
	delete data;
}

const char *shim_iommu_driver_name(const vfio_iommu_driver_ops *)
{
	return "mock";
}

long shim_iommu_driver_ioctl(const vfio_iommu_driver_ops *ops, shim_iommu_data *data, u32 cmd,
			     u64 arg, u64 *ticks)
{
	*ticks = ops->ticks;
	if (ops->noiommu)
		return vfio_core_noiommu_ioctl(cmd, arg);
	if (cmd == VFIO_CHECK_EXTENSION) {
		if (arg == VFIO_DMA_CC_IOMMU)
			return data ? ops->dma_cc : 0;
		return ops->extensions.contains(arg);
	}
	if (!data)
		violation("ioctl of an IOMMU that is not open");

	data->inside++;
	const long result = ops->ioctl ? ops->ioctl(cmd, arg) : -ENOTTY;
	data->inside--;
	return result;
}

int shim_iommu_driver_attach(const vfio_iommu_driver_ops *ops, shim_iommu_data *data,
			     iommu_group *group, shim_group_type type)
{
	if (ops->noiommu)
		return 0;
	if (type == SHIM_GROUP_IOMMU && !group->dma_owner)
		violation("group attached whose DMA nobody owns");
	if (const int ret = ops->attach ? ops->attach(group) : 0)
		return ret;
	if (plan.hit(Fail::kDriver))
		return -ENOMEM;
	const std::lock_guard guard(data->mutex);
	if (!data->groups.insert(group).second || group->iommu.exchange(data))
		violation("group attached twice");
	return 0;
}

void shim_iommu_driver_detach(const vfio_iommu_driver_ops *ops, shim_iommu_data *data,
			      iommu_group *group)
{
	if (ops->noiommu)
		return;

	if (group->cut)
		violation("group detached while its DMA is cut off");
	const std::lock_guard guard(data->mutex);
	if (!data->groups.erase(group) || group->iommu.exchange(nullptr) != data)
		violation("group detached that is not attached");
}

void shim_iommu_driver_register(const vfio_iommu_driver_ops *, shim_iommu_data *data,
				vfio_device *device)
{
	const std::lock_guard guard(data->mutex);
	if (!data->devices.insert(device).second)
		violation("device told to the IOMMU driver twice");
}

void shim_iommu_driver_unregister(const vfio_iommu_driver_ops *, shim_iommu_data *data,
				  vfio_device *device)
{
	const std::lock_guard guard(data->mutex);
	if (!data->devices.erase(device))
		violation("device taken from the IOMMU driver that it has not");
}

int shim_iommu_driver_pin(const shim_pin_target *target, u64 iova, int npages, int, page **pages)
{
	if (!target->data->groups.contains(target->group))
		violation("pin by a group that is not attached");
	for (int i = 0; i < npages; i++)
		pages[i] = page_of(iova / kPage + static_cast<u64>(i));
	return npages;
}

void shim_iommu_driver_unpin(const shim_pin_target *, u64, int)
{
}

int shim_iommu_driver_dma_rw(const vfio_iommu_driver_ops *, shim_iommu_data *, u64 iova, void *,
			     size_t, bool)
{
	return iova == 0 ? -EFAULT : 0;
}

void shim_iommu_driver_closed(const vfio_iommu_driver_ops *ops, shim_iommu_data *)
{
	ops->closed++;
}
