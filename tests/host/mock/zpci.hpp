// SPDX-License-Identifier: GPL-2.0
//
// What vfio_zpci asks the kernel for beyond the rooms: groups by their files, and eventfds
// that ring doorbells.
#pragma once

#include "vfio_zpci/entry.h"

namespace mock {

// The group whose file has a descriptor, while it exists.
class GroupFile {
public:
	GroupFile(int fd, iommu_group *group);
	~GroupFile();

private:
	const int fd_;
};

// An eventfd of the process.
class Bell {
public:
	explicit Bell(int fd);
	~Bell();

	// As KVM signals it: in the wait queue, with interrupts off.
	void ring();
	// In an interrupt.
	void ring_in_interrupt();

	const int fd;
};

// Runs the works that doorbells have been deferred to. Returns how many these were.
int run_doorbell_works();

} // namespace mock
