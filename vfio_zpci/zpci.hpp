// SPDX-License-Identifier: GPL-2.0
//
// Zpci: the IOMMU of one container, which is one guest: its memory, the IOMMU groups of
// its devices, and its functions. The ioctls are described in include/uapi/vfio_zpci.h.
//
// Locks, in this order: doorbells_lock_, a doorbell's, lock_, a function's, a nested domain's,
// that of the guest's memory, the mmap lock of a process. lock_ is held shared to refresh and
// to map and unmap the guest's memory, and exclusively when groups, functions or anchors come
// and go.
#pragma once

#include "doorbell.hpp"
#include "function.hpp"
#include "kvm_registry.hpp"
#include "shim/uapi.h"
#include "vfio_zpci/shim/open_devices.h"
#include "vocab/uaccess.hpp"

// The handle by which C code refers to a Zpci.
struct zpci {};

namespace vfio {

class Zpci : public zpci, public KvmLink {
public:
	// extension: VFIO_ZPCI_IOMMU. Errors: EINVAL for others, ENOMEM.
	static Result<UniquePtr<Zpci>> create(u64 extension);

	static Zpci &of(zpci *handle)
	{
		return *static_cast<Zpci *>(handle);
	}

	Zpci();

	// A container has one reference. Refreshes for KVM have others for a while.
	RefCount &refs()
	{
		return refs_;
	}

	// Called when the container gives up its reference: forgets functions, detaches
	// groups, and gives the memory back. The guest is not found by KVM any more.
	void close();

	// Whether all DMA snoops the CPU's caches: VFIO_DMA_CC_IOMMU.
	bool coherent();

	// An ioctl of the container that vfio.ko does not know, but for CHECK_EXTENSION.
	// Returns what the ioctl returns, -ENOTTY for an unknown one.
	long ioctl(u32 cmd, UserVa arg);

	// Attaches a group that VFIO owns. Errors: EOPNOTSUPP if its devices reach memory
	// only through the CPU (emulated), EINVAL for a group that is attached, those of
	// FunctionGroup::attach().
	Result<void> attach_group(iommu_group *group, bool emulated);

	// Undoes attach_group(): forgets the group's functions. Without any group the
	// guest has no memory any more.
	void detach_group(iommu_group *group);

	// What the guest has of an attached group, until it is detached. Errors: ENODEV.
	Result<FunctionGroup *> attached_group(const iommu_group *group);

	// Called when a device is opened and closed.
	void register_device(vfio_device *device);
	void unregister_device(vfio_device *device);

	// Prints a record for debugfs, as vfio_iommu_extension says (include/vfio_cxx/iommu_extension.h).
	int show(u32 part, u64 *cursor, seq_file *seq) __must_not_hold(lock_);

	// Refreshes a range of a function. machine: the virtual machine that KVM asks for,
	// which finds functions of devices that were opened for it; null for the VMM, which
	// finds all. Errors: EINTR if the caller is killed or stop is set; EAGAIN as
	// Function::refresh().
	Result<Function::Outcome> refresh_range(const kvm *machine, u32 fh, u64 start, u64 length,
						Context context = Context::kSleeps,
						const Atomic<bool> *stop = nullptr)
		__must_not_hold(lock_);

private:
	// show.cpp
	void show_domains(seq_file *seq) __must_hold_shared(lock_);
	void show_statistics(seq_file *seq) __must_hold_shared(lock_);

	void update_machine(const iommu_group *of) __must_hold(lock_);
	void detach(iommu_group *group) __must_not_hold(lock_);

	// guest.cpp
	Result<void> get_info(UserVa arg) __must_not_hold(lock_);
	Result<void> map_dma(UserVa arg) __must_not_hold(lock_);
	Result<void> unmap_dma(UserVa arg) __must_not_hold(lock_);
	Result<void> add_memory(IovaRange gpas, UserVa uva, u32 prot) __must_hold_shared(lock_);
	Result<u64> remove_memory(IovaRange gpas) __must_hold_shared(lock_);
	u64 remove(List<DmaRange> &victims) __must_hold_shared(lock_);
	void remove_all_memory() __must_hold(lock_);

	// functions.cpp
	Result<void> register_function(UserVa arg) __must_not_hold(lock_, doorbells_lock_);
	Result<void> register_function(const vfio_zpci_register &request)
		__must_not_hold(lock_, doorbells_lock_);
	Result<void> deregister(UserVa arg) __must_not_hold(lock_, doorbells_lock_);
	Result<void> deregister(const vfio_zpci_deregister &request)
		__must_not_hold(lock_, doorbells_lock_);
	Result<Function::Outcome> refresh_slices(const kvm *machine, u32 fh, u64 start, u64 length,
						 Context context, const Atomic<bool> *stop)
		__must_not_hold(lock_);
	Result<void> set_state(UserVa arg) __must_not_hold(lock_);
	Result<void> refresh(UserVa arg) __must_not_hold(lock_);
	Result<void> refresh_ranges(UserVa arg) __must_not_hold(lock_);
	Result<void> get_event(UserVa arg) __must_not_hold(lock_);
	Result<void> get_statistics(UserVa arg) __must_not_hold(lock_, doorbells_lock_);
	Result<Function *> find(u32 fh) const __must_hold_shared(lock_);
	Function *find_for(const kvm *machine, u32 fh) const __must_hold_shared(lock_);
	void forget(Function &function) __must_hold(lock_);
	FunctionGroup *find_group(const iommu_group *group) const __must_hold_shared(lock_);

	// doorbell.cpp
	Result<void> set_doorbell(UserVa arg) __must_not_hold(lock_, doorbells_lock_);
	Result<void> bind_doorbell(u32 fh, u64 page, int eventfd) __must_hold(doorbells_lock_)
		__must_not_hold(lock_);
	void drop_doorbells() __must_hold(doorbells_lock_) __must_not_hold(lock_);

	static LockClass doorbells_lock_class_;
	static LockClass lock_class_;

	RefCount refs_;
	// Held while a doorbell is bound and taken away, which waits for it.
	Mutex doorbells_lock_{doorbells_lock_class_};
	RangeTree<Doorbell, FunctionHandle> doorbells_ __guarded_by(doorbells_lock_);
	RwSem lock_{lock_class_};
	GuestMemory memory_;
	// What DomainSet takes for the mappings of a group; there never is one.
	DmaTree no_mappings_{0};
	List<FunctionGroup> groups_ __guarded_by(lock_);
	shim_open_devices open_devices_ __guarded_by(lock_);
	RangeTree<Function, FunctionHandle> functions_ __guarded_by(lock_);
};

// Copies a request in. allowed: the flags that it may have. Errors: EFAULT; EINVAL for
// another flag or an argsz that is too small.
template <class T> Result<void> copy_request(T *request, UserVa arg, u32 allowed)
{
	TRY(copy_struct_in<sizeof(T)>(request, arg));
	if (request->argsz < sizeof(T) || (request->flags & ~allowed))
		return Error(EINVAL);
	return {};
}

} // namespace vfio
