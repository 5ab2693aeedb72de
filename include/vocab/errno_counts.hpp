// SPDX-License-Identifier: GPL-2.0
//
// ErrnoCounts: how many calls have failed, by errno. Counting takes no lock, because a call that
// fails is seldom.
#pragma once

#include "shim/errno.h"
#include "shim/seq.h"
#include "vocab/atomic.hpp"

namespace vfio {

class ErrnoCounts : Immovable {
public:
	// error is positive.
	void note(int error)
	{
		for (u32 i = 0; i < kKnown; ++i) {
			if (kNames[i].error == error) {
				counts_[i].value.add(1);
				return;
			}
		}
		others_.add(1);
	}

	// Prints a line for each errno that has come up: "failed WHAT ERRNO COUNT".
	void show(seq_file *seq, const char *what) const
	{
		for (u32 i = 0; i < kKnown; ++i)
			show(seq, what, kNames[i].name, counts_[i].value.load());
		show(seq, what, "other", others_.load());
	}

private:
	static void show(seq_file *seq, const char *what, const char *name, u64 count)
	{
		if (count)
			shim_seq_printf(seq, "failed %s %s %llu\n", what, name, count);
	}

	struct Name {
		int error;
		const char *name;
	};

	struct Count {
		Atomic<u64> value{0};
	};

	static constexpr Name kNames[] = {
		{EPERM, "EPERM"},   {ENOENT, "ENOENT"},	      {EINTR, "EINTR"},
		{EAGAIN, "EAGAIN"}, {ENOMEM, "ENOMEM"},	      {EACCES, "EACCES"},
		{EFAULT, "EFAULT"}, {EBUSY, "EBUSY"},	      {EEXIST, "EEXIST"},
		{ENODEV, "ENODEV"}, {EINVAL, "EINVAL"},	      {ENOTTY, "ENOTTY"},
		{ENOSPC, "ENOSPC"}, {EOVERFLOW, "EOVERFLOW"}, {EOPNOTSUPP, "EOPNOTSUPP"},
		{EIO, "EIO"},
	};
	static constexpr u32 kKnown = sizeof(kNames) / sizeof(kNames[0]);

	Count counts_[kKnown];
	Atomic<u64> others_{0};
};

} // namespace vfio
