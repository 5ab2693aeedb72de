// SPDX-License-Identifier: GPL-2.0
//
// IommuDriver: a registered IOMMU driver, such as vfio_iommu_type1. vfio.ko itself has
// the driver of no-IOMMU mode.
//
// ContainerIommu: an IOMMU driver opened for one container. It lives as long as the
// container has it or an ioctl is inside it, and keeps the driver's module loaded. It knows
// which process has mapped memory last, because drivers do not tell who is charged.
//
// Locks: the registry's lock is held while drivers are asked and opened, so that none
// unregisters meanwhile.
#pragma once

#include "shim/uapi.h"
#include "vfio_core/shim/iommu_driver.h"
#include "vfio_core/shim/task.h"
#include "vfio_cxx/iommu_extension.h"
#include "vocab/atomic.hpp"
#include "vocab/list.hpp"
#include "vocab/lock.hpp"
#include "vocab/memory.hpp"
#include "vocab/units.hpp"

namespace vfio {

// Converts what a driver returned: a value or a negative errno.
Result<long> result_of(long returned);

class IommuDriver : public ListNode<IommuDriver> {
public:
	explicit IommuDriver(const vfio_iommu_driver_ops *ops, bool noiommu)
		: ops_(ops), has_(shim_iommu_driver_ops(ops)), noiommu_(noiommu)
	{
	}

	const vfio_iommu_driver_ops *ops() const
	{
		return ops_;
	}

	bool has(u32 operation) const
	{
		return has_ & operation;
	}

	// Returns whether the driver serves no-IOMMU containers, and only those.
	bool noiommu() const
	{
		return noiommu_;
	}

	// Asks the driver about an extension before it is opened. Returns a value
	// above 0 if the driver supports it. The caller holds a reference.
	Result<long> check_extension(u64 extension) const;

	// What else the driver does, or nullptr if it is not ours.
	const vfio_iommu_extension *extension() const
	{
		return extension_.load();
	}

	void extend(const vfio_iommu_extension *extension)
	{
		extension_.store(extension);
	}

private:
	const vfio_iommu_driver_ops *const ops_;
	const u32 has_;
	const bool noiommu_;
	Atomic<const vfio_iommu_extension *> extension_{nullptr};
};

inline void put_iommu_driver(const IommuDriver *driver)
{
	shim_iommu_driver_put(driver->ops());
}

// A driver whose module is not unloaded as long as this is held.
using IommuDriverRef = Owned<const IommuDriver *, put_iommu_driver>;

// Returns an empty reference if the module is being unloaded. The caller holds the
// registry's lock.
inline IommuDriverRef try_get(const IommuDriver &driver)
{
	return IommuDriverRef(shim_iommu_driver_get(driver.ops()) ? &driver : nullptr);
}

// The registered drivers, and the modules that have others.
class IommuDriverRegistry : Immovable {
public:
	// modules is an array that an entry without a name ends.
	explicit IommuDriverRegistry(const shim_iommu_module *modules) : modules_(modules)
	{
	}

	~IommuDriverRegistry();

	// Errors: EINVAL if the driver is registered or has only one of
	// register_device and unregister_device; ENOMEM.
	Result<void> add(const vfio_iommu_driver_ops *ops, bool noiommu = false);
	void remove(const vfio_iommu_driver_ops *ops);

	// vfio_iommu_driver_extend() (include/vfio_cxx/iommu_extension.h).
	void extend(const vfio_iommu_driver_ops *ops, const vfio_iommu_extension *extension);

	// Has userspace load the modules that serve an extension. Returns false if
	// there is none. The caller holds no lock.
	bool load_modules_for(u64 extension) const;

	// Returns whether only some IOMMUs support an extension
	// (shim_iommu_module::some_iommus).
	bool depends_on_iommu(u64 extension) const;

	Mutex &lock() __returns_lock(lock_)
	{
		return lock_;
	}

	// The driver that registered last comes first.
	const List<IommuDriver> &drivers() const __must_hold(lock_)
	{
		return drivers_;
	}

private:
	static LockClass lock_class_;

	const shim_iommu_module *const modules_;
	Mutex lock_{lock_class_};
	List<IommuDriver> drivers_ __guarded_by(lock_);
};

class ContainerIommu : Immovable {
public:
	// Errors: those of the driver; ENOMEM.
	static Result<RefPtr<ContainerIommu>> open(IommuDriverRef driver, u64 extension);

	explicit ContainerIommu(IommuDriverRef driver) : driver_(move(driver))
	{
	}

	~ContainerIommu();

	RefCount &refs()
	{
		return refs_;
	}

	// Returns a value or a negative errno. *ticks is set as shim_iommu_driver_ioctl() says.
	long ioctl(u32 cmd, u64 arg, u64 *ticks)
	{
		const long result = shim_iommu_driver_ioctl(ops(), data_, cmd, arg, ticks);

		if (cmd == VFIO_IOMMU_MAP_DMA && result == 0)
			note_mapper();
		return result;
	}

	// Returns whether the calling process, or one that shares memory with it, has made the
	// latest mapping. Also true if there was none yet.
	bool last_mapped_by_caller() const
	{
		const mm_struct *mapper = mapper_.load();

		return !mapper || mapper == shim_task_mm();
	}

	Result<void> attach(iommu_group *group, shim_group_type type) const
	{
		return Result<void>::from_negative(
			shim_iommu_driver_attach(ops(), data_, group, type));
	}

	void detach(iommu_group *group) const
	{
		shim_iommu_driver_detach(ops(), data_, group);
	}

	// How an attached group reaches memory, for cut() and restore(), which the caller calls as long
	// as a device of the group is open; nullptr if the driver cannot.
	void *find_domain(iommu_group *group) const;

	// Takes the group out of its domain. Waits for work of the IOMMU alone.
	void cut(void *domain, iommu_group *group) const
	{
		driver_->extension()->cut(domain, group);
	}

	// Undoes cut(). Errors: those of the IOMMU.
	Result<void> restore(void *domain, iommu_group *group) const
	{
		return Result<void>::from_negative(driver_->extension()->restore(domain, group));
	}

	// What VFIO_CHECK_EXTENSION returns.
	long check_extension(u64 extension) const
	{
		u64 ticks = 0;

		return shim_iommu_driver_ioctl(ops(), data_, VFIO_CHECK_EXTENSION, extension,
					       &ticks);
	}

	const char *name() const
	{
		return shim_iommu_driver_name(ops());
	}

	// Prints a record of the driver's, as vfio_iommu_extension says. Returns 0 if the driver shows
	// nothing.
	int show(u32 part, u64 *cursor, seq_file *seq) const;

	// vfio_gate_remap() and vfio_gate_flush(). Errors: EOPNOTSUPP, those of the driver.
	Result<long> remap(const vfio_remap_page *pages, u32 count) const;
	Result<void> flush_remapped() const;
	// Lets devices reach nothing but what users have mapped, if the driver remaps pages.
	void end_remapping() const;

	void device_opened(vfio_device *device) const;
	void device_closed(vfio_device *device) const;
	void container_closed() const;

	// Returns where devices of the group pin. The target's ops are nullptr if the
	// driver cannot pin.
	shim_pin_target pin_target(iommu_group *group) const;

	// Errors: ENOTTY if the driver has no dma_rw; those of the driver.
	Result<void> dma_rw(Iova iova, void *buffer, size_t size, bool write) const;

private:
	const vfio_iommu_driver_ops *ops() const
	{
		return driver_->ops();
	}

	void note_mapper()
	{
		mm_struct *mm = shim_task_mm();

		if (mm != mapper_.load()) [[unlikely]]
			set_mapper(mm);
	}

	// mm is that of the calling task, or nullptr.
	void set_mapper(mm_struct *mm);

	const IommuDriverRef driver_;
	// The address space of the process that made the latest mapping, with a reference.
	// Others only compare the pointer.
	Atomic<mm_struct *> mapper_{nullptr};
	// What the driver's open returned; valid if open_.
	shim_iommu_data *data_ = nullptr;
	bool open_ = false;
	RefCount refs_;
};

} // namespace vfio
