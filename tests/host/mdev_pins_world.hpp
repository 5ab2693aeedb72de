// SPDX-License-Identifier: GPL-2.0
//
// The pins of a mediated device beside a plain map of pages and counts.
#pragma once

#include <cerrno>

#include "host_test.hpp"
#include "mock/vfio_pin.hpp"

class PinsTest : public HostTest {
protected:
	struct Run {
		u64 first;
		u64 npages;
		u64 pfn;
		u64 dma;
		u64 count;

		bool operator==(const Run &) const = default;
	};

	void SetUp() override;
	void TearDown() override;

	// Anew, with a device to map for or without.
	void create(bool with_dma);
	void destroy();

	// All in pages.
	int pin(u64 first, u64 npages, u32 prot = 3)
	{
		return mdev_pins_pin(pins, first << 12, npages, prot);
	}

	u64 unpin(u64 first, u64 npages)
	{
		return mdev_pins_unpin(pins, first << 12, npages);
	}

	u64 drop(u64 first, u64 npages)
	{
		return mdev_pins_drop(pins, first << 12, npages << 12);
	}

	// 0 if it is not pinned.
	u64 count(u64 offset) const;
	// All that for_each tells.
	std::vector<Run> runs(u64 first = 0, u64 last = (u64{1} << 52) - 1) const;

	// What is pinned is what the map says, here and in VFIO.
	void check(const std::map<u64, u64> &counts) const;

	device parent = {"0000:00:02.0", "gpu"};
	vfio_device vdev;
	mdev_pins *pins = nullptr;
	bool with_dma = false;
};
