// SPDX-License-Identifier: GPL-2.0
//
// Gate: switches a device on and off for a scheduler, a driver in the kernel
// (vfio_cxx/gate.h). A device gets a gate when a scheduler registers for the first time, before
// it is opened, so that all maps of its register windows are made through the gate. The gate
// stays with the device, and outlives it as long as the scheduler or a thread that waits
// refers to it.
//
// Accesses to the device are faults of its maps, and calls: read(), write() and ioctls. Each
// enters the gate, and leaves it when it is over. word_ is the state and the number of accesses
// inside, so that one atomic operation enters: either the state admits the access, and whoever
// changes the state afterwards sees it inside; or it leaves again, and waits.
//
// Blocking: the state becomes VFIO_GATE_BLOCKING, so that no access enters; those inside are
// waited for; what is mapped is taken out of all address spaces; the scheduler's quiesce hook
// runs; the IOMMU group moves to the blocking domain; the device's interrupts are disabled if the
// scheduler holds them back; the state becomes VFIO_GATE_BLOCKED. If an access does not end, all but
// the interrupts is done nevertheless, and the state stays VFIO_GATE_BLOCKING.
//
// Invariants, whenever lock_ is free:
// - in VFIO_GATE_BLOCKED no access is inside, and nothing is mapped;
// - if the device is open and behind an IOMMU: its group is in the container's domain if
//   the state is VFIO_GATE_OPEN or VFIO_GATE_TRAPPED, else in none;
// - in VFIO_GATE_OPEN other devices' DMA reaches the windows where they are mapped for it, in all
//   other states nowhere;
// - while interrupts are held, no SET_IRQS is inside, and the driver has not closed the device: so
//   those that were disabled are those that will be enabled;
// - once retired, the state changes no more.
//
// Locks: lock_ is held for a whole switch, also while hooks run. It is taken inside the locks of
// the device's set and group. Accesses take no lock; maps_lock_ is taken in mmap(), where the lock
// of the address space is held.
#pragma once

#include "device_set.hpp"
#include "entry.h"
#include "gate_event.hpp"
#include "gate_frames.hpp"
#include "iommu_driver.hpp"
#include "vfio_core/shim/device_inode.h"
#include "vfio_core/shim/gate_frames.h"
#include "vfio_core/shim/gate_map.h"
#include "vocab/uaccess.hpp"

// The scheduler's handle for a Gate.
struct vfio_gate {};

namespace vfio {

class Device;

// The operations that maps of a gated device have, in place of one set of the driver's.
class GatedMaps : public ListNode<GatedMaps> {
public:
	using Map = Owned<shim_gate_map *, shim_gate_map_destroy>;

	explicit GatedMaps(Map map) : map(move(map))
	{
	}

	const Map map;
};

class Gate : public vfio_gate, public ListNode<InDeviceSet>, public ListNode<WithFrames> {
public:
	enum class Access {
		kMap,
		kCall,
	};

	// The device has the inode, and no file. Errors: ENOMEM.
	static Result<RefPtr<Gate>> create(vfio_device *device, inode *maps);

	Gate(vfio_device *handle, inode *inode);

	~Gate();

	static Gate &of(vfio_gate *handle)
	{
		return *static_cast<Gate *>(handle);
	}

	RefCount &refs()
	{
		return refs_;
	}

	// The scheduler's side. vfio_cxx/gate.h has the contracts.

	// Errors: EBUSY if there is a scheduler, EOPNOTSUPP if it is to hold interrupts and cannot,
	// ENODEV.
	Result<void> start(const vfio_gate_ops *ops, void *data) __must_not_hold(lock_);
	void stop() __must_not_hold(lock_);
	Result<void> block(u32 deadline_us) __must_not_hold(lock_);
	Result<void> trap(u32 deadline_us) __must_not_hold(lock_);
	Result<void> open() __must_not_hold(lock_);
	static Result<void> switch_over(Gate &from, Gate &to, u32 deadline_us);

	Result<long> remap(const vfio_remap_page *pages, u32 count) __must_not_hold(lock_);
	Result<void> flush() __must_not_hold(lock_);

	u32 state() const
	{
		return word_.load() >> kStateShift;
	}

	void set_limit(u32 ms)
	{
		limit_ms_.store(ms);
	}

	// The device's side.

	// Called with the device's first open and its last close, before the driver's open_device and
	// after its close_device: the group is given to its domain or taken from it. Errors:
	// those of vfio_gate_block().
	Result<void> device_opened(Device &device, const ContainerIommu &iommu)
		__must_not_hold(lock_);
	void device_closed() __must_not_hold(lock_);
	// Called after the driver's open_device has succeeded, and before its close_device. Outside of
	// these two calls no interrupt is held, as the driver requests and frees them.
	void device_ready() __must_not_hold(lock_);
	void device_closing() __must_not_hold(lock_);
	// Called when the device is being taken away from VFIO, and again when nobody uses it
	// any more. Later switches fail, and who waits fails.
	void retire() __must_not_hold(lock_);
	// Called when nobody uses a retired device any more. From now on the gate does not keep other
	// devices' DMA from the windows.
	void forget_frames() __must_not_hold(lock_);

	// VFIO_DEVICE_GATE_INFO and VFIO_DEVICE_GATE_SET.
	Result<void> info(UserVa arg) __must_not_hold(lock_);
	Result<void> set(UserVa arg) __must_not_hold(lock_);

	GateEvent &event()
	{
		return event_;
	}

	// Makes a map that the driver has set up go through the gate. After an error the driver
	// has been told that it is not made. Errors: EOPNOTSUPP if the driver does not map
	// pages by faults, ENOMEM.
	Result<void> add_map(vm_area_struct *vma) __must_not_hold(maps_lock_);

	// Returns whether the access may go on; the caller then leaves.
	bool try_enter(Access access)
	{
		if (admits(word_.add(1) >> kStateShift, access)) [[likely]]
			return true;
		leave();
		return false;
	}

	// Enters for a call, and waits if need be. Errors: EAGAIN if it may not wait, ENODEV if
	// the device is going, ETIMEDOUT; and that of a system call that a signal has ended.
	Result<void> enter(bool may_wait);

	void leave()
	{
		if (word_.add(~u32{0}) == u32{VFIO_GATE_BLOCKING} << kStateShift) [[unlikely]]
			drained_.wake_all();
	}

	// Enters for a fault, and leaves after it.
	bool try_map();
	void leave_map()
	{
		leave();
		end_fault();
	}

	// Returns what to do with a fault, and waits before if it is to be tried again. If it may
	// be served, the caller leaves afterwards.
	shim_gate_fault fault(vm_fault *fault, u32 how);

	// Returns how many of npages frames from first on are in one window of the device, which is
	// blocked or trapped; 0 if it is open. Errors: EFAULT.
	Result<u64> closed_frames(Pfn first, u64 npages) const;

	// Called by GateFrames, with its lock: whether one of the frames is in a window that is shut.
	bool shuts_frames(Range<Pfn> frames) const;
	void set_frames_shut(bool shut)
	{
		frames_shut_ = shut;
	}

	// Returns whether a call would not wait, and lets poll() wait for that.
	bool poll(file *file, poll_table_struct *table);

private:
	static constexpr u32 kStateShift = 28;
	static constexpr u32 kFirstLimitMs = 10000;
	// What faults get to end. They wait for nobody in userspace, but for the processor.
	static constexpr u32 kFaultsUs = 1000000;

	static constexpr bool waits(u32 state)
	{
		return state == VFIO_GATE_BLOCKED || state == VFIO_GATE_BLOCKING;
	}

	// Whether DMA is to be cut off.
	static constexpr bool shut(u32 state)
	{
		return state != VFIO_GATE_OPEN && state != VFIO_GATE_TRAPPED;
	}

	static constexpr bool admits(u32 state, Access access)
	{
		return state == VFIO_GATE_OPEN ||
		       (state == VFIO_GATE_TRAPPED && access == Access::kCall);
	}

	void end_fault()
	{
		if (faults_.add(~u32{0}) == 0 && state() == VFIO_GATE_BLOCKING) [[unlikely]]
			drained_.wake_all();
	}

	void set_state(u32 state) __must_hold(lock_);
	bool drained() const
	{
		return word_.load() << (32 - kStateShift) == 0;
	}

	// Keeps accesses out, waits for those that are inside, or for faults alone, and unmaps. Errors:
	// ETIMEDOUT if one stays.
	Result<void> shut_locked(u32 deadline_us, bool calls_may_stay) __must_hold(lock_);
	Result<void> block_locked(u32 deadline_us) __must_hold(lock_);
	Result<void> open_locked(u32 state) __must_hold(lock_);
	Result<void> check_present() const __must_hold(lock_);

	// Whether there is DMA that the gate is to cut off. Reserves the group for it. Errors: EBUSY
	// if another device in the group is open, EOPNOTSUPP.
	Result<void> reserve_dma() __must_hold(lock_);
	void cut_dma() __must_hold(lock_);
	// The container's IOMMU. Errors: ENODEV, EINVAL if nobody has the device open, EOPNOTSUPP if
	// it has no DMA of its own.
	Result<const ContainerIommu *> container_iommu() const __must_hold(lock_);
	// The pages that the scheduler has had remapped are its own: it may give them back afterwards.
	void end_remapping() __must_hold(lock_);
	// Errors: those of the IOMMU.
	Result<void> restore_dma() __must_hold(lock_);

	// Takes the windows out of the domains of other devices, whose DMA reached them. A device
	// that is trapped stays so.
	void shut_frames() __must_hold(lock_);
	// Errors: those of their IOMMUs; the frames stay shut then.
	Result<void> open_frames() __must_hold(lock_);

	// Both do nothing for interrupts that the scheduler lets through.
	void hold_interrupts() __must_hold(lock_);
	void release_interrupts() __must_hold(lock_);

	// Waits until the state does not make accesses wait, or closes_ has changed. Errors: that
	// of a system call that a signal has ended.
	Result<void> wait(u64 ms, u32 closes, bool interruptible);
	bool user_may_switch() __must_not_hold(lock_);
	// Returns how many milliseconds are left to wait; 0 is for ever. Errors: ETIMEDOUT.
	Result<u64> time_left();

	static LockClass lock_class_;
	static LockClass maps_lock_class_;
	static LockClass waiting_class_;
	static LockClass drained_class_;

	// Valid until retired_.
	vfio_device *const handle_;
	inode *const inode_;

	u32 windows_count_;
	shim_gate_window windows_[SHIM_GATE_WINDOWS];
	// Changes under lock_ and that of GateFrames.
	bool frames_shut_ = false;

	Atomic<u32> word_{u32{VFIO_GATE_OPEN} << kStateShift};
	// Whether a fault was served since the windows were unmapped.
	Atomic<bool> touched_{false};
	// How many faults are inside, or try to enter.
	Atomic<u32> faults_{0};
	// How often the device's last file was closed.
	Atomic<u32> closes_{0};
	Atomic<u32> limit_ms_{kFirstLimitMs};
	// When the device was blocked last; valid while accesses wait.
	Atomic<u64> blocked_at_{0};
	// Whether the log says that accesses have failed since then.
	Atomic<bool> logged_{false};
	Atomic<u32> waiting_threads_{0};
	Atomic<u32> timeouts_{0};
	GateEvent event_;
	WaitQueue waiting_{waiting_class_};
	WaitQueue drained_{drained_class_};

	Mutex lock_{lock_class_};
	// The scheduler's, or nullptr.
	const vfio_gate_ops *ops_ __guarded_by(lock_) = nullptr;
	void *data_ __guarded_by(lock_) = nullptr;
	bool retired_ __guarded_by(lock_) = false;
	// Set while the device is open.
	Device *device_ __guarded_by(lock_) = nullptr;
	const ContainerIommu *iommu_ __guarded_by(lock_) = nullptr;
	// Whether pages may be remapped in the container.
	bool remapped_ __guarded_by(lock_) = false;
	// What ContainerIommu::cut() takes; nullptr if the IOMMU driver has no such thing.
	void *domain_ __guarded_by(lock_) = nullptr;
	// Whether the group is out of the domain.
	bool cut_ __guarded_by(lock_) = false;
	// Whether the driver has opened the device, and is not closing it.
	bool interrupts_settled_ __guarded_by(lock_) = false;
	// Whether the device's interrupts are disabled, with a line of its own if there is one.
	bool interrupts_held_ __guarded_by(lock_) = false;
	u32 line_held_ __guarded_by(lock_) = 0;
	u64 blocks_ __guarded_by(lock_) = 0;
	u64 undrained_ __guarded_by(lock_) = 0;
	u64 blocked_ns_ __guarded_by(lock_) = 0;

	Mutex maps_lock_{maps_lock_class_};
	List<GatedMaps> maps_ __guarded_by(maps_lock_);

	RefCount refs_;
};

} // namespace vfio
