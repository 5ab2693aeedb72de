// SPDX-License-Identifier: GPL-2.0
//
// Mdev: a mediated device on the mdev bus. The kernel's struct device counts
// the references to it. create() takes the first, which the thread that removes
// the device puts.
//
// A device is active while it is on its parent's list: from the end of its creation
// until a thread begins to remove it. Its UUID and its instance are free again when
// the last reference has gone.
#pragma once

#include "mdev_list.hpp"
#include "parent.hpp"
#include "vfio_mdev/shim/mdev.h"

// The device, as the C side names it.
struct mdev_core_device {};

namespace vfio {

// Names a mediated device. Its bytes are in the order of the kernel's guid_t.
struct Uuid {
	static constexpr size_t kTextSize = 36;

	u8 bytes[16];

	// Parses what was written to a file: the text, and at most one more
	// character, which is ignored because it is the newline of a shell's
	// echo. Errors: EINVAL.
	static Result<Uuid> parse(const char *text, size_t size);

	friend constexpr bool operator==(const Uuid &, const Uuid &) = default;
};

class Mdev : public mdev_core_device, public ListNode<InMdevList>, public ListNode<InParent> {
public:
	// Creates a device, whose UUID the text is, and binds it to the parent's
	// driver. Errors: EINVAL if the text is no UUID, EEXIST if
	// there is a device of that UUID, EUSERS if no instance is left, ENODEV
	// if the parent is not registered, ENOMEM, errors of the driver.
	static Result<void> create(MdevParent &parent, mdev_type *type, const char *text,
				   size_t size);

	Mdev(MdevParent &parent, const Uuid &uuid)
		: parent_(RefPtr<MdevParent>::share(parent)), uuid_(uuid)
	{
	}

	~Mdev();

	static Mdev &of(mdev_core_device *handle)
	{
		return *static_cast<Mdev *>(handle);
	}

	const Uuid &uuid() const
	{
		return uuid_;
	}

	// Removes the device, for a caller that is in the device's file `remove`.
	// Waits for as long as the device is open. Does nothing if another
	// caller is removing it. Errors: ENODEV if the parent is being
	// unregistered and will remove it, EAGAIN if create() is not done.
	Result<void> remove();

	// Takes the device off the bus, which waits for as long as it is open,
	// and puts the reference that create() took. The caller has taken the
	// device off its parent's list.
	void take_away();

private:
	friend class MdevParent;

	const RefPtr<MdevParent> parent_;
	const Uuid uuid_;
	mdev_device *handle_ = nullptr;
	bool has_instance_ = false;
	// Whether the device was ever active; guarded by the lock of its parent.
	bool created_ = false;
};

} // namespace vfio
