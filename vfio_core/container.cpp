// SPDX-License-Identifier: GPL-2.0
#include "container.hpp"

#include "core.hpp"
#include "group.hpp"
#include "shim/cred.h"
#include "shim/module.h"
#include "shim/uapi.h"

namespace vfio {

constinit LockClass Container::groups_lock_class_ = {"vfio_container_groups", {}};
constinit LockClass Container::iommu_lock_class_ = {"vfio_container_iommu", {}};

long Container::ioctl(u32 cmd, u64 arg)
{
	switch (cmd) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return check_extension(arg).negative_or_value();
	case VFIO_SET_IOMMU:
		return set_iommu(arg).negative();
	default:
		return iommu_ioctl(cmd, arg);
	}
}

long Container::iommu_ioctl(u32 cmd, u64 arg)
{
	inside_.add(1);

	const ContainerIommu *iommu = current_.load();
	const long result = iommu ? iommu->ioctl(cmd, arg) : -EINVAL;

	if (inside_.add(-1) == kRetired) [[unlikely]]
		drop_retired();
	return result;
}

// Lets no ioctl find the IOMMU any more. It goes with the last that has.
void Container::retire_iommu()
{
	const Guard guard(iommu_lock_);

	if (!iommu_)
		return;
	current_.store(nullptr);
	iommu_->next_retired = retired_;
	retired_ = iommu_.release();
	inside_.set_bits(kRetired);
}

// What was retired goes, if no ioctl is inside; the last that leaves asks
// again.
[[gnu::noinline]] void Container::drop_retired()
{
	ContainerIommu *retired = nullptr;
	{
		const Guard guard(iommu_lock_);

		if (inside_.replace(kRetired, 0))
			retired = exchange(retired_, nullptr);
	}
	// Without our locks: the driver takes all mappings down.
	while (retired) {
		const auto iommu = RefPtr<ContainerIommu>::adopt(retired);

		retired = iommu->next_retired;
	}
}

const char *Container::module_for(u64 extension)
{
	switch (extension) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
		return "vfio_iommu_type1";
	default:
		return nullptr;
	}
}

// Apart from ioctls that are frequent: they have a small frame.
[[gnu::noinline]] Result<long> Container::check_extension(u64 extension)
{
	const char *module = module_for(extension);

	for (;;) {
		{
			ReadGuard guard(groups_lock_);
			const RefPtr<ContainerIommu> iommu = this->iommu();

			if (iommu)
				return result_of(iommu->ioctl(VFIO_CHECK_EXTENSION, extension));

			Result<long> answer = ask_drivers(extension);
			const bool yes = answer.ok() && answer.value() > 0;

			if (yes || !module || (noiommu_ && !groups_.empty()))
				return answer;
		}
		shim_module_load(exchange(module, nullptr));
	}
}

Result<long> Container::ask_drivers(u64 extension)
{
	IommuDriverRegistry &registry = core().iommu_drivers;
	long answer = 0;
	Guard guard(registry.lock());

	for (const IommuDriver &driver : registry.drivers()) {
		// An empty container may yet become either.
		if (!groups_.empty() && driver.noiommu() != noiommu_)
			continue;

		const IommuDriverRef ref = IommuDriverRef::try_get(driver);

		if (!ref)
			continue;

		const Result<long> said = ref.check_extension(extension);

		answer = said.negative_or_value();
		if (answer > 0)
			break;
	}
	return result_of(answer);
}

[[gnu::noinline]] Result<void> Container::set_iommu(u64 extension)
{
	const char *module = module_for(extension);
	bool known = false;
	Result<void> done = try_set_iommu(extension, &known);

	if (done.ok() || known || !module)
		return done;
	shim_module_load(module);
	return try_set_iommu(extension, &known);
}

Result<void> Container::try_set_iommu(u64 extension, bool *known)
{
	IommuDriverRegistry &registry = core().iommu_drivers;
	WriteGuard groups_guard(groups_lock_);

	*known = true;
	if (groups_.empty() || iommu())
		return Error(EINVAL);

	Error error(ENODEV);
	Guard registry_guard(registry.lock());

	// No module would change anything for a no-IOMMU container.
	*known = noiommu_;
	for (const IommuDriver &driver : registry.drivers()) {
		if (driver.noiommu() != noiommu_)
			continue;

		IommuDriverRef ref = IommuDriverRef::try_get(driver);

		if (!ref)
			continue;

		const Result<long> said = ref.check_extension(extension);

		if (!said.ok() || said.negative_or_value() == 0)
			continue;
		*known = true;

		Result<RefPtr<ContainerIommu>> opened = ContainerIommu::open(move(ref), extension);

		if (!opened.ok()) {
			error = opened.error();
			continue;
		}

		const Result<void> attached = attach_all(*opened.value());

		if (!attached.ok()) {
			error = attached.error();
			continue;
		}

		Guard iommu_guard(iommu_lock_);

		iommu_ = opened.take();
		current_.store(iommu_.get());
		return {};
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

void Container::close()
{
	const RefPtr<ContainerIommu> iommu = this->iommu();

	if (iommu)
		iommu->container_closed();
}

Result<void> Container::attach(Group &group)
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
	return {};
}

void Container::detach(Group &group)
{
	{
		WriteGuard guard(groups_lock_);
		const RefPtr<ContainerIommu> iommu = this->iommu();

		if (iommu)
			iommu->detach(group.kernel_group());
		group.release_dma();
		groups_.remove(group);
		if (groups_.empty())
			retire_iommu();
	}
	drop_retired();
}

} // namespace vfio
