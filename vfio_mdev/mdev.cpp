// SPDX-License-Identifier: GPL-2.0
#include "mdev.hpp"

namespace vfio {

Result<void> Mdev::create(MdevParent &parent, mdev_type *type, const Uuid &uuid)
{
	const ParentUse inside = TRY(ParentUse::begin(parent));
	UniquePtr<Mdev> made = TRY(make<Mdev>(parent, uuid));

	TRY(Result<void>::from_negative(
		shim_mdev_create(made.get(), parent.handle(), type, uuid.bytes, &made->handle_)));

	// The kernel's references own it now; the last destroys it.
	Mdev &mdev = *made.release();
	mdev_device *handle = mdev.handle_;
	Defer put([handle] { shim_mdev_put(handle); });

	TRY(mdev_list().add(mdev));
	mdev.has_instance_ = TRY(parent.get_instance());
	TRY(Result<void>::from_negative(shim_mdev_add(handle)));

	Defer del([handle] { shim_mdev_del(handle); });

	TRY(Result<void>::from_negative(shim_mdev_attach(handle)));
	TRY(Result<void>::from_negative(shim_mdev_link(handle)));
	del.dismiss();
	put.dismiss();
	// From here on it may be removed at once.
	parent.activate(mdev);
	return {};
}

Mdev::~Mdev()
{
	WARN_ONCE_IF(life_ == Life::kActive, "active mediated device went away");
	mdev_list().remove(*this);
	if (has_instance_)
		parent_->put_instance();
}

Result<void> Mdev::remove()
{
	Result<ParentUse> inside = parent_->begin_removal(*this);

	if (!inside.ok()) {
		if (inside.error() == Error(EALREADY))
			return {};
		return inside.error();
	}
	// Taking the device away would wait for those who are in this file.
	shim_mdev_leave_remove_file(handle_);
	take_away();
	return {};
}

void Mdev::take_away()
{
	mdev_device *handle = handle_;

	shim_mdev_unlink(handle);
	shim_mdev_del(handle);
	shim_mdev_put(handle);
}

} // namespace vfio
