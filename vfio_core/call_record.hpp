// SPDX-License-Identifier: GPL-2.0
//
// CallRecord: what is remembered of a container's ioctls that go to its IOMMU driver: how many have
// failed, by errno, and the longest. A call that succeeds within a tick of the timer does not come
// here. What has succeeded the IOMMU driver counts, under locks that it holds anyway.
#pragma once

#include "vocab/errno_counts.hpp"

namespace vfio {

class CallRecord : Immovable {
public:
	// Called after an ioctl that has failed, or has taken ticks of the timer.
	void note(u32 cmd, long result, u64 ticks);

	// Prints lines: "failed CALL ERRNO COUNT", "longest CALL MILLISECONDS".
	void show(seq_file *seq) const;

private:
	enum Call : u32 { kMap, kUnmap, kDirty, kOther, kCalls };

	static Call call_of(u32 cmd);

	static const char *const kNames[kCalls];

	struct OfCall {
		ErrnoCounts failed;
		Atomic<u64> longest{0};
	};

	OfCall calls_[kCalls];
};

} // namespace vfio
