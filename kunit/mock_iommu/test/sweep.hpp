// SPDX-License-Identifier: GPL-2.0
//
// The failure sweep: a call is made, then again with its 1st, 2nd, ... failure
// point failing, until one run has none left. A point is a slab or page
// allocation, or a copy from or to the caller (/proc/thread-self/fail-nth).
// After each, all is back where it was.
#ifndef SWEEP_HPP
#define SWEEP_HPP

#include <functional>
#include <set>

#include "mock.hpp"

class FailNth {
public:
	FailNth() : fd_(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC))
	{
		if (fd_.get() < 0)
			throw tap::Failure("no fail-nth: not the debug kernel?");
		for (const char *what : {"failslab", "fail_page_alloc"})
			for (const auto &[name, value] :
			     {std::pair{"ignore-gfp-wait", "N"}, std::pair{"verbose", "0"}})
				set(std::string("/sys/kernel/debug/") + what + "/" + name, value);
		set("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
		set("/sys/kernel/debug/fail_page_alloc/min-order", "0");
		set("/sys/kernel/debug/fail_usercopy/verbose", "0");
	}
	void arm(unsigned nth) const
	{
		const std::string text = std::to_string(nth);
		CHECK_EQ(pwrite(fd_.get(), text.data(), text.size(), 0), ssize_t(text.size()));
	}
	/* Whether a point has failed since. Asking and disarming are points as well. */
	bool disarm() const
	{
		char text[16] = {};
		if (pread(fd_.get(), text, sizeof(text) - 1, 0) < 0) {
			CHECK_EQ(errno, EFAULT);
			return false;
		}
		if (pwrite(fd_.get(), "0", 1, 0) < 0) {
			CHECK_EQ(errno, EFAULT);
			CHECK_EQ(pwrite(fd_.get(), "0", 1, 0), 1);
			return false;
		}
		return atoi(text) == 0;
	}

private:
	static void set(const std::string &path, const char *value)
	{
		std::ofstream file(path);
		file << value << std::flush;
		if (!file.good())
			throw tap::Failure("cannot set " + path);
	}
	Fd fd_;
};

/*
 * call gives 0 or an errno, one of errors; undo follows each call that did what
 * it should, clean each that did not, or could not tell. Returns how many
 * points there were.
 */
unsigned sweep(
	const char *name, const std::function<int()> &call, const std::function<void()> &undo,
	const std::function<void()> &clean = [] {},
	const std::set<int> &errors = {ENOMEM, EFAULT, EIO});

inline int result(int ret)
{
	return ret < 0 ? errno : 0;
}

#endif
