// SPDX-License-Identifier: GPL-2.0
//
// What vfio_zpci asks the kernel for, in the explored threads: an eventfd, whose wait queue is
// locked while it is signaled, and a thread that serves what doorbells leave to it.
#pragma once

#include "dma/shim/iommu.h"
#include "explore.hpp"
#include "shim/lock.h"
#include "vfio_zpci/shim/doorbell.h"

struct kvm;

namespace model {

struct Eventfd {
	static constexpr int kFd = 9;

	Eventfd();
	~Eventfd();

	// As KVM signals it, in a thread with interrupts off.
	void signal();
	// The kernel's thread: serves one request that is left to it. Does nothing if
	// nobody signals any more.
	void work();

	shim_mutex wait_queue;
	shim_doorbell *bound = nullptr;
	bool pending = false;
	bool running = false;
	// How many threads may still signal it.
	int signalers = 0;
};

// The group of all devices' files, and the virtual machine that they are opened for.
extern iommu_group *device_group;
kvm *machine();

} // namespace model
