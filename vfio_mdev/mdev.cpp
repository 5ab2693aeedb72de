// SPDX-License-Identifier: GPL-2.0
#include "mdev.hpp"

#include "entry.h"

namespace vfio {

Result<Uuid> Uuid::parse(const char *text, size_t size)
{
	Uuid uuid = {};

	if (size != kTextSize && size != kTextSize + 1)
		return Error(EINVAL);
	TRY(Result<void>::from_negative(shim_parse_uuid(text, uuid.bytes)));
	return uuid;
}

Result<void> Mdev::create(MdevParent &parent, mdev_type *type, const char *text, size_t size)
{
	const Uuid uuid = TRY(Uuid::parse(text, size));
	const ParentUse inside = TRY(parent.enter());
	UniquePtr<Mdev> made = TRY(make<Mdev>(parent, uuid));

	TRY(Result<void>::from_negative(
		shim_mdev_create(made.get(), parent.handle(), type, uuid.bytes, &made->handle_)));

	// From here on the last shim_mdev_put() destroys the Mdev.
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
	// Another thread may remove the device before this returns.
	parent.activate(mdev);
	return {};
}

CORE_ENTRY long mdev_core_create(mdev_core_parent *parent, mdev_type *type, const char *text,
				 size_t size)
{
	const int error = Mdev::create(MdevParent::of(parent), type, text, size).negative();

	return error ? error : static_cast<long>(size);
}

Mdev::~Mdev()
{
	WARN_ONCE_IF(static_cast<ListNode<InParent> &>(*this).linked(),
		     "active mediated device went away");
	mdev_list().remove(*this);
	if (has_instance_)
		parent_->put_instance();
}

// Called when the last reference to the kernel's struct device has been put.
CORE_ENTRY void mdev_core_destroy(mdev_core_device *mdev)
{
	destroy(&Mdev::of(mdev));
}

Result<void> Mdev::remove()
{
	const Result<ParentUse> inside = parent_->begin_removal(*this);

	if (!inside.ok()) {
		if (inside.error() == Error(EALREADY))
			return {};
		return inside.error();
	}
	// The caller is in the file `remove`: shim_mdev_del() would wait for it.
	shim_mdev_leave_remove_file(handle_);
	take_away();
	return {};
}

// Called when a number is written to `remove`: any but 0 removes the device.
CORE_ENTRY long mdev_core_remove(mdev_core_device *mdev, const char *text, size_t size)
{
	unsigned long value = 0;

	if (shim_parse_number(text, &value) < 0)
		return -EINVAL;

	const int error = value ? Mdev::of(mdev).remove().negative() : 0;

	return error ? error : static_cast<long>(size);
}

void Mdev::take_away()
{
	mdev_device *handle = handle_;

	shim_mdev_unlink(handle);
	shim_mdev_del(handle);
	shim_mdev_put(handle);
}

} // namespace vfio
