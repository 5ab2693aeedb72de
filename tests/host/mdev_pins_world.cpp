// SPDX-License-Identifier: GPL-2.0
#include "mdev_pins_world.hpp"

void PinsTest::SetUp()
{
	HostTest::SetUp();
	mock::set_dma_direct(false);
	vdev.dma_unmap = [this](u64 iova, u64 size) { mdev_pins_drop(pins, iova, size); };
	create(false);
}

void PinsTest::TearDown()
{
	destroy();
	EXPECT_EQ(vdev.pinned(), 0u);
	EXPECT_EQ(mock::dma_mapped(), 0u);
	HostTest::TearDown();
}

void PinsTest::create(bool dma)
{
	destroy();
	with_dma = dma;
	ASSERT_EQ(mdev_core_pins_create(&vdev, dma ? &parent : nullptr, 0, &pins), 0);
}

void PinsTest::destroy()
{
	mdev_pins_destroy(std::exchange(pins, nullptr));
}

u64 PinsTest::count(u64 offset) const
{
	mdev_pin_run run;

	return mdev_pins_find(pins, offset << 12, &run) ? run.count : 0;
}

std::vector<PinsTest::Run> PinsTest::runs(u64 first, u64 last) const
{
	std::vector<Run> all;

	EXPECT_EQ(mdev_pins_for_each(
			  pins, first << 12, last << 12 | 0xfff,
			  [](const mdev_pin_run *run, void *arg) {
				  static_cast<std::vector<Run> *>(arg)->push_back(
					  {run->iova >> 12, run->npages, run->pfn, run->dma,
					   run->count});
				  return 0;
			  },
			  &all),
		  0);
	return all;
}

void PinsTest::check(const std::map<u64, u64> &counts) const
{
	std::map<u64, u64> seen;

	for (const Run &run : runs())
		for (u64 i = 0; i < run.npages; i++) {
			const u64 offset = run.first + i;

			EXPECT_TRUE(seen.empty() || seen.rbegin()->first < offset);
			seen[offset] = run.count;
			EXPECT_EQ(run.pfn + i, vdev.pfn_at(offset)) << offset;
			EXPECT_EQ(run.dma != 0, with_dma);
			if (with_dma) {
				EXPECT_EQ(mock::dma_pfn(run.dma + (i << 12)), run.pfn + i);
			}
		}
	EXPECT_EQ(seen, counts);
	EXPECT_EQ(mdev_pins_npages(pins), counts.size());
	EXPECT_EQ(vdev.pinned(), counts.size());
	EXPECT_EQ(vdev.pins(), counts.size()) << "VFIO pins each page once";
	EXPECT_EQ(mock::dma_mapped(), with_dma ? counts.size() : 0);
}
