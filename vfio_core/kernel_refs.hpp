// SPDX-License-Identifier: GPL-2.0
//
// References that the core holds to the kernel's objects: to open files, IOMMU groups
// and virtual machines; reserved file descriptors; and folders in debugfs. Each type here is an Owned: its
// destructor drops the reference, and it may be empty.
#pragma once

#include "vfio_core/shim/debugfs.h"
#include "vfio_core/shim/file.h"
#include "vfio_core/shim/iommu_group.h"
#include "vfio_core/shim/kvm.h"
#include "vocab/memory.hpp"

namespace vfio {

// An open file.
using FileRef = Owned<file *, shim_file_put>;

// Errors: EBADF.
inline Result<FileRef> file_of_fd(int fd)
{
	file *file = shim_file_of_fd(fd);

	if (!file)
		return Error(EBADF);
	return FileRef(file);
}

// A descriptor of the calling process that is reserved and has no file yet.
using FdReservation = Owned<int, shim_fd_cancel, -1>;

// Errors: EMFILE, ENOMEM.
inline Result<FdReservation> reserve_fd()
{
	const int fd = shim_fd_reserve();

	if (fd < 0)
		return Error::from_negative(fd);
	return FdReservation(fd);
}

// Lets the descriptor stand for the file, which userspace may close at once.
inline void install(FdReservation fd, FileRef file)
{
	shim_fd_install(fd.release(), file.release());
}

// One of the kernel's IOMMU groups.
using IommuGroupRef = Owned<iommu_group *, shim_iommu_group_put>;

// Makes a group that no IOMMU knows, and that has this name in sysfs. Errors: ENOMEM,
// ENOSPC, those of sysfs.
inline Result<IommuGroupRef> create_iommu_group(const char *name)
{
	iommu_group *group = nullptr;

	TRY(Result<void>::from_negative(shim_iommu_group_create(name, &group)));
	return IommuGroupRef(group);
}

// Returns another reference to the same group, or an empty one if group is empty.
inline IommuGroupRef share(const IommuGroupRef &group)
{
	if (group)
		shim_iommu_group_get(group.get());
	return IommuGroupRef(group.get());
}

// A folder in debugfs; not empty also where there is no debugfs.
using DebugDir = Owned<dentry *, shim_debug_remove>;

// A virtual machine of KVM.
using KvmRef = Owned<kvm *, shim_kvm_put>;

// Returns an empty KvmRef for nullptr and for a machine that is being destroyed.
// The caller ensures that the machine's memory is not freed before this returns.
inline KvmRef try_get_kvm(kvm *kvm)
{
	return KvmRef(kvm && shim_kvm_get(kvm) ? kvm : nullptr);
}

} // namespace vfio
