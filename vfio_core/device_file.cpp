// SPDX-License-Identifier: GPL-2.0
#include "device_file.hpp"

#include "device_feature.hpp"
#include "entry.h"
#include "shim/uapi.h"
#include "vfio_core/shim/task.h"
#include "vocab/info_chain.hpp"
#include "vocab/uaccess.hpp"

namespace vfio {

// Logs who opened a device of a no-IOMMU group.
static void log_noiommu_user(vfio_device *handle)
{
	shim_task task;

	shim_current_task(&task);
	shim_device_warn(handle, "vfio-noiommu device opened by user (%s:%d)", task.name, task.pid);
}

Result<FileRef> DeviceFile::open(DeviceRef device, Group &through)
{
	UniquePtr<DeviceFile> self = TRY(make<DeviceFile>(move(device)));
	Device &opened = self->device();
	Group &group = opened.group();
	file *made = nullptr;

	self->group_use_ = TRY(group.use(through));
	if (!shim_device_module_get(opened.handle()))
		return Error(ENODEV);
	self->module_.reset(opened.handle());
	self->open_ = TRY(opened.open());
	TRY(Result<void>::from_negative(
		shim_file_create_device(opened.shared_inode(), self.get(), &made)));

	self->file_ = made;
	// The file owns the DeviceFile now, and calls vfio_core_device_file_close()
	// when it is closed.
	(void)self.release();
	if (group.type() == SHIM_GROUP_NOIOMMU)
		log_noiommu_user(opened.handle());
	return FileRef(made);
}

CORE_ENTRY void vfio_core_device_file_close(vfio_core_device_file *handle)
{
	destroy(&DeviceFile::of(handle));
}

CORE_ENTRY device *vfio_core_device_file_dev(vfio_core_device_file *handle)
{
	return DeviceFile::of(handle).device().dev();
}

Result<void> DeviceFile::enter_gate() const
{
	return device_->gate()->enter(!shim_file_nonblocking(file_));
}

bool DeviceFile::poll(poll_table_struct *table) const
{
	return !device_->gate() || device_->gate()->poll(file_, table);
}

CORE_ENTRY bool vfio_core_device_file_poll(vfio_core_device_file *handle, poll_table_struct *table)
{
	return DeviceFile::of(handle).poll(table);
}

// Does what the call is, inside the gate of the device.
template <class F> [[gnu::noinline]] static long gated_call(const DeviceFile &file, F call)
{
	const Result<void> entered = file.enter_gate();

	if (!entered.ok())
		return entered.negative();

	const long result = call();

	file.device().gate()->leave();
	return result;
}

CORE_ENTRY long vfio_core_device_file_read(vfio_core_device_file *handle, u64 to, size_t size,
					   s64 *position)
{
	const Device &device = DeviceFile::of(handle).device();

	if (!device.has(SHIM_DEVICE_READ)) [[unlikely]]
		return -EINVAL;
	if (device.gate()) [[unlikely]]
		return gated_call(DeviceFile::of(handle), [&device, to, size, position] {
			return shim_device_read(device.handle(), to, size, position);
		});
	return shim_device_read(device.handle(), to, size, position);
}

CORE_ENTRY long vfio_core_device_file_write(vfio_core_device_file *handle, u64 from, size_t size,
					    s64 *position)
{
	const Device &device = DeviceFile::of(handle).device();

	if (!device.has(SHIM_DEVICE_WRITE)) [[unlikely]]
		return -EINVAL;
	if (device.gate()) [[unlikely]]
		return gated_call(DeviceFile::of(handle), [&device, from, size, position] {
			return shim_device_write(device.handle(), from, size, position);
		});
	return shim_device_write(device.handle(), from, size, position);
}

// VFIO_DEVICE_GET_REGION_INFO, for which the driver describes the region. If its
// capabilities do not fit, userspace is told how much room they need. Errors: EINVAL if the
// driver has no regions or argsz is too small, EFAULT, those of the driver.
static Result<void> region_info(Device &device, UserVa arg)
{
	constexpr size_t kSize = OFFSET_END(vfio_region_info, offset);
	vfio_region_info info = {};
	vfio_info_cap_header *buffer = nullptr;
	size_t size = 0;

	if (!device.has(SHIM_DEVICE_REGION_INFO))
		return Error(EINVAL);
	TRY(copy_in(&info, arg, kSize));
	if (info.argsz < kSize)
		return Error(EINVAL);

	const int described = shim_device_region_info(device.handle(), &info, &buffer, &size);
	InfoChain caps(buffer, size);

	TRY(Result<void>::from_negative(described));
	if (size) {
		info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		TRY(caps.copy_behind(arg, info));
	}
	return copy_out(arg, &info, kSize);
}

// VFIO_DEVICE_PCI_HOT_RESET resets other devices as well, which are in the device's set, or else the
// driver refuses. Fails with EBUSY if one of them is blocked; while the driver resets, those wait
// that block one.
[[gnu::noinline]] static long hot_reset(const Device &device, u64 arg)
{
	EnteredGates entered;
	const Result<void> result = entered.enter(device.set(), device.gate());

	if (!result.ok())
		return result.negative();
	return shim_device_ioctl(device.handle(), VFIO_DEVICE_PCI_HOT_RESET, arg);
}

// Keeps the bus's device awake (runtime power management) during the ioctl.
static long device_ioctl(Device &device, u32 cmd, u64 arg)
{
	Owned<vfio_device *, shim_device_pm_put> awake;

	if (device.has(SHIM_DEVICE_PM)) {
		const int resumed = shim_device_pm_get(device.handle());

		if (resumed < 0) {
			shim_device_info(device.handle(), "vfio: runtime resume failed %d",
					 resumed);
			return -EIO;
		}
		awake.reset(device.handle());
	}

	if (cmd == VFIO_DEVICE_FEATURE)
		return device_feature(device, {arg}).negative_or_value();
	if (cmd == VFIO_DEVICE_GET_REGION_INFO && shim_device_region_info_is_ours())
		return region_info(device, {arg}).negative();
	if (!device.has(SHIM_DEVICE_IOCTL)) [[unlikely]]
		return -EINVAL;
	if (cmd == VFIO_DEVICE_PCI_HOT_RESET) [[unlikely]]
		return hot_reset(device, arg);
	return shim_device_ioctl(device.handle(), cmd, arg);
}

// An ioctl of a device that has a gate. Those that only describe the device do not wait.
[[gnu::noinline]] static long gated_ioctl(const DeviceFile &file, u32 cmd, u64 arg)
{
	Device &device = file.device();
	const auto call = [&] { return device_ioctl(device, cmd, arg); };

	switch (cmd) {
	case VFIO_DEVICE_GATE_INFO:
		return device.gate()->info({arg}).negative();
	case VFIO_DEVICE_GATE_SET:
		return device.gate()->set({arg}).negative();
	case VFIO_DEVICE_GATE_EVENT:
		return device.gate()->event().ioctl({arg}).negative();
	case VFIO_DEVICE_GET_INFO:
	case VFIO_DEVICE_GET_REGION_INFO:
	case VFIO_DEVICE_GET_IRQ_INFO:
		return call();
	case VFIO_DEVICE_IOEVENTFD:
		// With it the kernel would write to the device whenever an eventfd is signaled.
		return -EOPNOTSUPP;
	default:
		return gated_call(file, call);
	}
}

CORE_ENTRY long vfio_core_device_file_ioctl(vfio_core_device_file *handle, u32 cmd, u64 arg)
{
	Device &device = DeviceFile::of(handle).device();

	if (device.gate()) [[unlikely]]
		return gated_ioctl(DeviceFile::of(handle), cmd, arg);
	return device_ioctl(device, cmd, arg);
}

// Maps a region of a device that has a gate.
[[gnu::noinline]] static int gated_mmap(const Device &device, vm_area_struct *vma)
{
	const int mapped = shim_device_mmap(device.handle(), vma);

	if (mapped < 0)
		return mapped;
	return device.gate()->add_map(vma).negative();
}

CORE_ENTRY int vfio_core_device_file_mmap(vfio_core_device_file *handle, vm_area_struct *vma)
{
	const Device &device = DeviceFile::of(handle).device();

	if (!device.has(SHIM_DEVICE_MMAP)) [[unlikely]]
		return -EINVAL;
	if (device.gate()) [[unlikely]]
		return gated_mmap(device, vma);
	return shim_device_mmap(device.handle(), vma);
}

} // namespace vfio
