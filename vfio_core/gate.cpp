// SPDX-License-Identifier: GPL-2.0
//
// The scheduler's side of a gate: switches, and the DMA of the device's group.
#include "gate.hpp"

#include "device.hpp"
#include "registries.hpp"
#include "shim/time.h"
#include "vfio_core/shim/gate_irqs.h"
#include "vfio_core/shim/gate_trace.h"

namespace vfio {

constinit LockClass Gate::lock_class_ = {"vfio_gate", {}};
constinit LockClass Gate::maps_lock_class_ = {"vfio_gate_maps", {}};
constinit LockClass Gate::waiting_class_ = {"vfio_gate_waiting", {}};
constinit LockClass Gate::drained_class_ = {"vfio_gate_drained", {}};

Result<RefPtr<Gate>> Gate::create(vfio_device *device, inode *maps)
{
	return RefPtr<Gate>::adopt(TRY(make<Gate>(device, maps)).release());
}

Gate::Gate(vfio_device *handle, inode *inode)
	: handle_(handle), inode_(inode),
	  windows_count_(shim_gate_windows(shim_device_dev(handle), windows_))
{
	if (windows_count_)
		registries().gate_frames.add(*this);
}

Gate::~Gate()
{
	registries().gate_frames.remove(*this);

	// Nobody else refers to the gate; the lock is for the analysis.
	Guard guard(maps_lock_);

	while (GatedMaps *maps = maps_.pop_front())
		destroy(maps);
}

Result<void> Gate::start(const vfio_gate_ops *ops, void *data)
{
	Guard guard(lock_);

	TRY(check_present());
	if (ops_)
		return Error(EBUSY);
	if (ops->hold_interrupts && !shim_gate_irqs_known(shim_device_dev(handle_)))
		return Error(EOPNOTSUPP);
	ops_ = ops;
	data_ = data;
	blocks_ = 0;
	undrained_ = 0;
	blocked_ns_ = 0;
	timeouts_.store(0);
	set_limit(kFirstLimitMs);
	return {};
}

void Gate::stop()
{
	Guard guard(lock_);

	end_remapping();
	ops_ = nullptr;
	if (!retired_ && !open_locked(VFIO_GATE_OPEN).ok()) {
		shim_device_warn(handle_, "its DMA cannot be let loose; accesses fail");
		set_state(VFIO_GATE_GONE);
	}
}

Result<void> Gate::check_present() const
{
	if (retired_)
		return Error(ENODEV);
	return {};
}

void Gate::set_state(u32 state)
{
	const u32 old = this->state();

	if (!waits(old) && waits(state)) {
		blocked_at_.store(shim_now_ns());
		logged_.store(false);
		blocks_++;
	} else if (waits(old) && !waits(state)) {
		blocked_ns_ += shim_now_ns() - blocked_at_.load();
	}
	word_.add((state - old) << kStateShift);
	shim_gate_trace(handle_, old, state);
	if (!waits(state))
		waiting_.wake_all();
	// Also while nobody is to be told: who comes later asks.
	if ((state == VFIO_GATE_OPEN || state == VFIO_GATE_TRAPPED) && event_.announced() != state)
		event_.announce(state);
}

Result<void> Gate::shut_locked(u32 deadline_us, bool calls_may_stay)
{
	set_state(VFIO_GATE_BLOCKING);

	const auto ended = [&] { return calls_may_stay ? faults_.load() == 0 : drained(); };
	bool done = ended() || drained_.wait_until_us(ended, deadline_us);

	// Pages are not to be taken away while a driver fills a map: the kernel's record of the
	// caching of these pages would go wrong.
	if (!done && drained_.wait_until_us([this] { return faults_.load() == 0; }, kFaultsUs))
		done = ended();
	// An access that stays may be a fault.
	if (touched_.exchange(!done) || !done)
		shim_device_inode_zap(inode_);
	shut_frames();
	if (!done)
		return Error(ETIMEDOUT);
	return {};
}

Result<void> Gate::block_locked(u32 deadline_us)
{
	TRY(check_present());
	if (state() == VFIO_GATE_BLOCKED)
		return {};
	TRY(reserve_dma());

	const Result<void> ended = shut_locked(deadline_us, false);

	if (!cut_) {
		if (ops_ && ops_->quiesce && ops_->quiesce(data_, deadline_us) != 0)
			undrained_++;
		cut_dma();
	}
	if (ended.ok()) {
		hold_interrupts();
		set_state(VFIO_GATE_BLOCKED);
	}
	return ended;
}

Result<void> Gate::block(u32 deadline_us)
{
	Guard guard(lock_);

	return block_locked(deadline_us);
}

Result<void> Gate::open_locked(u32 state)
{
	TRY(check_present());

	const bool was_shut = shut(this->state());

	if (was_shut && ops_ && ops_->before_open)
		TRY(Result<void>::from_negative(ops_->before_open(data_)));
	if (state == VFIO_GATE_OPEN)
		TRY(open_frames());
	if (was_shut) {
		const Result<void> restored = restore_dma();

		if (!restored.ok()) {
			shut_frames();
			return restored;
		}
		// Before accesses enter, one of which may change the interrupts.
		release_interrupts();
	}
	if (this->state() != state)
		set_state(state);
	return {};
}

Result<void> Gate::open()
{
	Guard guard(lock_);

	return open_locked(VFIO_GATE_OPEN);
}

Result<void> Gate::trap(u32 deadline_us)
{
	Guard guard(lock_);

	TRY(check_present());
	if (state() != VFIO_GATE_TRAPPED && event_.heard()) {
		// A VMM could not take its memory slots away while a virtual processor waits.
		TRY(open_locked(VFIO_GATE_OPEN));
		event_.announce(VFIO_GATE_TRAPPED);
		event_.await(deadline_us);
	}
	const bool was_open = state() == VFIO_GATE_OPEN;

	if (was_open || state() == VFIO_GATE_BLOCKING) {
		// A trapped device may be entered by calls.
		const Result<void> ended = shut_locked(deadline_us, true);

		// The device was not quiesced, nor its DMA cut off.
		if (was_open && ended.ok()) {
			set_state(VFIO_GATE_TRAPPED);
			return {};
		}
		if (was_open && open_frames().ok())
			set_state(VFIO_GATE_OPEN);
		TRY(ended);
	}
	return open_locked(VFIO_GATE_TRAPPED);
}

Result<void> Gate::switch_over(Gate &from, Gate &to, u32 deadline_us)
{
	if (&from == &to)
		return Error(EINVAL);

	PairGuard guard(from.lock_, to.lock_);
	const u32 before = from.state();
	Result<void> done = to.check_present();

	if (done.ok())
		done = from.block_locked(deadline_us);
	if (done.ok())
		done = to.open_locked(VFIO_GATE_OPEN);
	if (!done.ok() && !shut(before) && shut(from.state()) && !from.open_locked(before).ok())
		shim_device_warn(from.handle_, "it stays blocked after a switch has failed");
	return done;
}

// DMA.

Result<void> Gate::reserve_dma()
{
	// A mediated device's DMA is that of its parent, which its scheduler knows.
	if (!device_ || cut_ || device_->group().type() == SHIM_GROUP_EMULATED)
		return {};
	if (!domain_)
		return Error(EOPNOTSUPP);
	return device_->group().reserve_dma(*device_);
}

void Gate::cut_dma()
{
	if (!device_ || device_->group().type() == SHIM_GROUP_EMULATED)
		return;
	iommu_->cut(domain_, device_->group().kernel_group());
	cut_ = true;
}

Result<void> Gate::restore_dma()
{
	if (!cut_)
		return {};

	Group &group = device_->group();

	TRY(iommu_->restore(domain_, group.kernel_group()));
	group.unreserve_dma();
	cut_ = false;
	return {};
}

// The DMA of others.

void Gate::shut_frames()
{
	if (windows_count_ && !frames_shut_)
		(void)registries().gate_frames.change(*this, true).ok();
}

Result<void> Gate::open_frames()
{
	if (!frames_shut_)
		return {};
	return registries().gate_frames.change(*this, false);
}

bool Gate::shuts_frames(Range<Pfn> frames) const
{
	for (u32 i = 0; frames_shut_ && i < windows_count_; i++)
		if (frames.overlaps({{windows_[i].first_pfn}, {windows_[i].last_pfn}}))
			return true;
	return false;
}

// Interrupts. A device that is opened while it is blocked has none: SET_IRQS waits.

void Gate::hold_interrupts()
{
	if (!interrupts_settled_ || !ops_ || !ops_->hold_interrupts)
		return;

	device *dev = shim_device_dev(handle_);

	line_held_ = shim_gate_irqs_own_line(dev);
	shim_gate_irqs_disable(dev, line_held_);
	interrupts_held_ = true;
}

void Gate::release_interrupts()
{
	if (!interrupts_held_)
		return;
	shim_gate_irqs_enable(shim_device_dev(handle_), line_held_);
	interrupts_held_ = false;
}

// What the device's first open and last close do.

Result<void> Gate::device_opened(Device &device, const ContainerIommu &iommu)
{
	// Asked before, as a container's lock may be held while userspace is waited for.
	void *domain = iommu.find_domain(device.group().kernel_group());
	Guard guard(lock_);

	device_ = &device;
	iommu_ = &iommu;
	domain_ = domain;
	if (!shut(state()))
		return {};

	const Result<void> reserved = reserve_dma();

	if (reserved.ok())
		cut_dma();
	else
		device_ = nullptr;
	return reserved;
}

void Gate::device_ready()
{
	Guard guard(lock_);

	interrupts_settled_ = true;
}

void Gate::device_closing()
{
	Guard guard(lock_);

	release_interrupts();
	interrupts_settled_ = false;
}

void Gate::device_closed()
{
	Guard guard(lock_);

	if (cut_ && !restore_dma().ok()) {
		shim_device_warn(handle_, "its DMA cannot be let loose");
		device_->group().unreserve_dma();
		cut_ = false;
	}
	end_remapping();
	device_ = nullptr;
	iommu_ = nullptr;
	domain_ = nullptr;
	event_.forget();
	// Without a scheduler nobody else would open it again.
	if (!ops_ && !retired_ && shut(state()) && open_frames().ok())
		set_state(VFIO_GATE_OPEN);
	closes_.add(1);
	waiting_.wake_all();
}

void Gate::retire()
{
	Guard guard(lock_);

	if (retired_)
		return;
	if (waits(state()))
		set_state(VFIO_GATE_GONE);
	retired_ = true;
}

void Gate::forget_frames()
{
	registries().gate_frames.remove(*this);
}

// The exports. A scheduler's handle is a reference to the gate.

CORE_ENTRY int vfio_core_gate_register(device *dev, const vfio_gate_ops *ops, void *data,
				       vfio_gate **made)
{
	const DeviceRef device = registries().groups.find_device(dev);

	if (!device)
		return -ENODEV;

	Result<RefPtr<Gate>> gate = device->add_scheduler(ops, data);

	if (!gate.ok())
		return gate.error().negative();
	*made = gate.value().release();
	return 0;
}

CORE_ENTRY void vfio_gate_unregister(vfio_gate *gate)
{
	Gate::of(gate).stop();
	put_reference(&Gate::of(gate));
}

CORE_ENTRY int vfio_gate_block(vfio_gate *gate, unsigned int deadline_us)
{
	return Gate::of(gate).block(deadline_us).negative();
}

CORE_ENTRY int vfio_gate_trap(vfio_gate *gate, unsigned int deadline_us)
{
	return Gate::of(gate).trap(deadline_us).negative();
}

CORE_ENTRY int vfio_gate_open(vfio_gate *gate)
{
	return Gate::of(gate).open().negative();
}

CORE_ENTRY int vfio_gate_switch(vfio_gate *from, vfio_gate *to, unsigned int deadline_us)
{
	return Gate::switch_over(Gate::of(from), Gate::of(to), deadline_us).negative();
}

CORE_ENTRY unsigned int vfio_gate_get_state(const vfio_gate *gate)
{
	return static_cast<const Gate *>(gate)->state();
}

CORE_ENTRY void vfio_gate_set_limit(vfio_gate *gate, unsigned int limit_ms)
{
	Gate::of(gate).set_limit(limit_ms);
}

} // namespace vfio
