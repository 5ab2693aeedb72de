// SPDX-License-Identifier: GPL-2.0
//
// Eventfds and trees of ranges, as core_virqfd.cpp has them.
#pragma once

#include <vector>

#include "core.hpp"
#include "vfio_core/shim/virqfd.h"

struct interval_tree_node {
	u64 first;
	u64 last;
};

struct rb_root_cached {
	std::vector<interval_tree_node *> ranges;
};

namespace mock {

// An eventfd of the process.
class MockEvent {
public:
	MockEvent();
	~MockEvent();

	void signal();
	// Closes the descriptor, which was the last one.
	void close();

	int fd;
	u64 counter = 0;
	s64 refs = 0;
	std::vector<virqfd *> watchers;

private:
	void tell(bool signaled, bool closed);

	const file *file_;
};

u64 live_virqfds();
// Runs the works in which drivers' threads are called.
void run_virqfd_threads();

} // namespace mock
