// SPDX-License-Identifier: GPL-2.0
#include "container.hpp"

#include "entry.h"
#include "group.hpp"
#include "registries.hpp"
#include "shim/cred.h"
#include "shim/uapi.h"
#include "uapi/vfio_group_merge.h"
#include "vfio_core/shim/module.h"
#include "vfio_core/shim/trace.h"

namespace vfio {

constinit LockClass Container::groups_lock_class_ = {"vfio_container_groups", {}};
constinit LockClass Container::iommu_lock_class_ = {"vfio_container_iommu", {}};

CORE_ENTRY int vfio_core_container_open(vfio_container **container)
{
	Result<UniquePtr<Container>> made = make<Container>();

	if (!made.ok())
		return made.error().negative();
	*container = made.take().release();
	return 0;
}

// The container's file was closed. Groups may still hold the container.
CORE_ENTRY void vfio_core_container_close(vfio_container *handle)
{
	const RefPtr<Container> container = RefPtr<Container>::adopt(&Container::of(handle));
	const RefPtr<ContainerIommu> iommu = container->iommu();

	if (iommu)
		iommu->container_closed();
}

CORE_ENTRY long vfio_core_container_ioctl(vfio_container *handle, u32 cmd, u64 arg)
{
	Container &container = Container::of(handle);

	switch (cmd) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return container.check_extension(arg).negative_or_value();
	case VFIO_SET_IOMMU:
		return container.set_iommu(arg).negative();
	default:
		return container.iommu_ioctl(cmd, arg);
	}
}

static Atomic<u64> containers_made{0};

Container::Container() : number_(containers_made.add(1))
{
	shim_current_task(&owner_);
	shim_trace_container_open(number_);
}

// Nobody reads a file of the folder when it has been removed.
Container::~Container() __no_lock_analysis
{
	shim_trace_container_close(number_);
	debug_dir_.reset();

	const Guard guard(iommu_lock_);

	while (IoctlGate *gate = gates_.pop_front())
		destroy(gate);
}

long Container::iommu_ioctl(u32 cmd, u64 arg)
{
	IoctlGate *gate = gate_.load();

	if (!gate)
		return -EINVAL;
	gate->enter();
	// The gate may have been closed before this ioctl entered it. If it has been
	// closed and is the container's gate again, its IOMMU is the present one.
	if (gate_.load() != gate) [[unlikely]] {
		gate = enter_another(*gate);
		if (!gate)
			return -EINVAL;
	}

	u64 ticks = 0;
	const long result = gate->iommu->ioctl(cmd, arg, &ticks);

	if (ticks || result < 0) [[unlikely]]
		calls_.note(cmd, result, ticks);
	if (gate->leave()) [[unlikely]]
		return gate->container.drop_if_empty(*gate, result);
	return result;
}

[[gnu::noinline]] IoctlGate *Container::enter_another(IoctlGate &closed)
{
	IoctlGate *gate = &closed;

	do {
		if (gate->leave())
			drop_if_empty(*gate, 0);
		gate = gate_.load();
		if (!gate)
			break;
		gate->enter();
	} while (gate_.load() != gate);
	return gate;
}

Result<IoctlGate *> Container::get_unused_gate()
{
	{
		const Guard guard(iommu_lock_);

		for (IoctlGate &gate : gates_)
			if (!gate.iommu)
				return &gate;
	}

	UniquePtr<IoctlGate> made = TRY(make<IoctlGate>(*this));
	const Guard guard(iommu_lock_);

	gates_.push_front(*made);
	return made.release();
}

IoctlGate *Container::close_gate()
{
	const Guard guard(iommu_lock_);
	IoctlGate *gate = gate_.exchange(nullptr);

	if (gate)
		gate->close();
	return gate;
}

// The IOMMU is dropped after the lock is released: the driver then removes all
// mappings, for which no lock of the core may be held.
[[gnu::noinline]] long Container::drop_if_empty(IoctlGate &gate, long result)
{
	RefPtr<ContainerIommu> leaving;
	const Guard guard(iommu_lock_);

	if (gate.reset_if_empty())
		leaving = move(gate.iommu);
	return result;
}

bool Container::has_group_behind_iommu() const
{
	for (const Group &group : groups_)
		if (group.type() == SHIM_GROUP_IOMMU)
			return true;
	return false;
}

// check_extension() and set_iommu() are not inlined into vfio_core_container_ioctl(),
// so that the frequent ioctls of the IOMMU driver have a small frame.
[[gnu::noinline]] Result<long> Container::check_extension(u64 extension)
{
	if (extension == VFIO_GROUP_MERGE_EXTENSION)
		return 1L;

	bool conclusive = false;
	const Result<long> answer = try_check_extension(extension, &conclusive);

	if (conclusive || !registries().iommu_drivers.load_modules_for(extension))
		return answer;
	return try_check_extension(extension, &conclusive);
}

Result<long> Container::try_check_extension(u64 extension, bool *conclusive)
{
	const bool depends_on_iommu = registries().iommu_drivers.depends_on_iommu(extension);

	*conclusive = true;
	{
		ReadGuard guard(groups_lock_);
		const RefPtr<ContainerIommu> iommu = this->iommu();

		if (iommu)
			return result_of(iommu->check_extension(extension));
		if (depends_on_iommu && !has_group_behind_iommu())
			return 0L;

		const Result<long> answer = ask_drivers(extension);
		const bool yes = answer.negative_or_value() > 0;

		// No module has a driver for no-IOMMU containers.
		*conclusive = yes || (noiommu_ && !groups_.empty());
		if (!yes || !depends_on_iommu)
			return answer;
	}
	return try_type(extension);
}

// Does what SET_IOMMU does, and undoes it: opens an IOMMU of this type, attaches all
// groups, and detaches them.
Result<long> Container::try_type(u64 type)
{
	bool conclusive = false;
	WriteGuard guard(groups_lock_);
	RefPtr<ContainerIommu> iommu = this->iommu();

	if (iommu)
		return result_of(iommu->check_extension(type));
	if (!has_group_behind_iommu())
		return 0L;

	Result<RefPtr<ContainerIommu>> opened = open_iommu(type, &conclusive);

	if (!opened.ok())
		return 0L;
	detach_all(*opened.value());
	return 1L;
}

Result<long> Container::ask_drivers(u64 extension)
{
	IommuDriverRegistry &registry = registries().iommu_drivers;
	long answer = 0;
	Guard guard(registry.lock());

	for (const IommuDriver &driver : registry.drivers()) {
		// Groups of either kind may still join an empty container.
		if (!groups_.empty() && driver.noiommu() != noiommu_)
			continue;

		const IommuDriverRef ref = try_get(driver);

		if (!ref)
			continue;

		answer = ref->check_extension(extension).negative_or_value();
		if (answer > 0)
			break;
	}
	return result_of(answer);
}

[[gnu::noinline]] Result<void> Container::set_iommu(u64 extension)
{
	bool conclusive = false;
	Result<void> done = try_set_iommu(extension, &conclusive);

	if (!done.ok() && !conclusive && registries().iommu_drivers.load_modules_for(extension))
		done = try_set_iommu(extension, &conclusive);
	shim_trace_set_iommu(number_, extension, done.negative());
	return done;
}

Result<void> Container::try_set_iommu(u64 extension, bool *conclusive)
{
	WriteGuard groups_guard(groups_lock_);

	*conclusive = true;
	if (groups_.empty() || iommu())
		return Error(EINVAL);
	if (registries().iommu_drivers.depends_on_iommu(extension) && !has_group_behind_iommu())
		return Error(ENODEV);

	IoctlGate *gate = TRY(get_unused_gate());
	RefPtr<ContainerIommu> opened = TRY(open_iommu(extension, conclusive));
	Guard iommu_guard(iommu_lock_);

	gate->iommu = move(opened);
	gate_.store(gate);
	return {};
}

Result<RefPtr<ContainerIommu>> Container::open_iommu(u64 extension, bool *conclusive)
{
	IommuDriverRegistry &registry = registries().iommu_drivers;
	Error error(ENODEV);
	Guard registry_guard(registry.lock());

	// No module has a driver for no-IOMMU containers.
	*conclusive = noiommu_;
	for (const IommuDriver &driver : registry.drivers()) {
		if (driver.noiommu() != noiommu_)
			continue;

		IommuDriverRef ref = try_get(driver);

		if (!ref)
			continue;

		if (ref->check_extension(extension).negative_or_value() <= 0)
			continue;
		*conclusive = true;

		Result<RefPtr<ContainerIommu>> opened = ContainerIommu::open(move(ref), extension);

		if (!opened.ok()) {
			error = opened.error();
			continue;
		}

		const Result<void> attached = attach_all(*opened.value());

		if (attached.ok())
			return opened;
		error = attached.error();
	}
	return error;
}

Result<void> Container::attach_all(const ContainerIommu &iommu)
{
	for (Group &group : groups_) {
		const Result<void> attached = iommu.attach(group.kernel_group(), group.type());

		if (attached.ok())
			continue;
		for (Group *undo = groups_.prev(group); undo; undo = groups_.prev(*undo))
			iommu.detach(undo->kernel_group());
		return attached;
	}
	return {};
}

void Container::detach_all(const ContainerIommu &iommu)
{
	for (Group &group : groups_)
		iommu.detach(group.kernel_group());
}

Result<void> Container::attach(Group &group)
{
	const Result<void> attached = try_attach(group);

	shim_trace_attach(number_, group.number(), attached.negative());
	return attached;
}

Result<void> Container::try_attach(Group &group)
{
	const bool noiommu = group.type() == SHIM_GROUP_NOIOMMU;

	if (noiommu && !shim_capable_sys_rawio())
		return Error(EPERM);

	WriteGuard guard(groups_lock_);

	if (!groups_.empty() && noiommu_ != noiommu)
		return Error(EPERM);

	TRY(group.claim_dma());

	const RefPtr<ContainerIommu> iommu = this->iommu();

	if (iommu) {
		const Result<void> attached = iommu->attach(group.kernel_group(), group.type());

		if (!attached.ok()) {
			group.release_dma();
			return attached;
		}
	}
	noiommu_ = noiommu;
	groups_.push_front(group);
	if (!debug_dir_)
		make_debug_dir();
	return {};
}

void Container::detach(Group &group)
{
	IoctlGate *closed = nullptr;

	shim_trace_detach(number_, group.number());
	{
		WriteGuard guard(groups_lock_);
		const RefPtr<ContainerIommu> iommu = this->iommu();

		if (iommu)
			iommu->detach(group.kernel_group());
		group.release_dma();
		groups_.remove(group);
		if (groups_.empty())
			closed = close_gate();
	}
	if (closed)
		drop_if_empty(*closed, 0);
}

} // namespace vfio
