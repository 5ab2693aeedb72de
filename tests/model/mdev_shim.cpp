// SPDX-License-Identifier: GPL-2.0
//
// Points at the shim calls of vfio_mdev, and the files of sysfs: who takes one
// away waits for those who are in it. core_shim.cpp's way.
#include <utility>

#include "mock/mdev.hpp"
#include "races.hpp"
#include "vfio_mdev/shim/vfio_pin.h"
#include "wrap.hpp"

using namespace model;

extern "C" {

// Files: who is in one comes after who made it, and before who takes it away.
WRAP(long, mdev_core_create,
     (mdev_core_parent * parent, mdev_type *type, const char *text, size_t size),
     (parent, type, text, size), (point(), acquire(Order::kNodes)), release(Order::kNodePut))
WRAP(long, mdev_core_remove, (mdev_core_device * mdev, const char *text, size_t size),
     (mdev, text, size), (point(), acquire(Order::kInstall)), release(Order::kNodePut))
WRAP(int, shim_mdev_type_add, (mdev_parent * parent, u32 index), (parent, index),
     (point(), release(Order::kNodes)), )
WRAP(int, shim_mdev_add, (mdev_device * mdev), (mdev), (point(), release(Order::kInstall)), )
WRAP_VOID(shim_mdev_leave_remove_file, (mdev_device * mdev), (mdev), point(), )

void __real_shim_mdev_type_remove(mdev_parent *parent, u32 index);
void __wrap_shim_mdev_type_remove(mdev_parent *parent, u32 index)
{
	mdev_type *type = parent->types.at(index);

	point();
	const std::string directory = std::exchange(type->directory, "");
	wait_for("a type's files", [&] { return type->inside == 0; });
	acquire(Order::kNodePut);
	type->directory = directory;
	__real_shim_mdev_type_remove(parent, index);
}

void __real_shim_mdev_del(mdev_device *mdev);
void __wrap_shim_mdev_del(mdev_device *mdev)
{
	point();
	mdev->has_remove_file = false;
	wait_for("a device's files", [&] { return mdev->inside == 0; });
	acquire(Order::kNodePut);
	__real_shim_mdev_del(mdev);
}

// References.
WRAP_VOID(shim_mdev_put, (mdev_device * mdev), (mdev), (point(), release(Order::kPut)), )
WRAP_VOID(mdev_core_destroy, (mdev_core_device * mdev), (mdev), acquire(Order::kPut), )
WRAP(int, shim_mdev_attach, (mdev_device * mdev), (mdev), point(), )
WRAP(int, shim_mdev_link, (mdev_device * mdev), (mdev), point(), )

// Pinning: others may come in between before and after.
WRAP(int, shim_vfio_pin, (vfio_device * vdev, u64 iova, u32 npages, u32 prot, u64 *pages),
     (vdev, iova, npages, prot, pages), point(), point())
WRAP_VOID(shim_vfio_unpin, (vfio_device * vdev, u64 iova, u32 npages), (vdev, iova, npages),
	  point(), )

} // extern "C"
