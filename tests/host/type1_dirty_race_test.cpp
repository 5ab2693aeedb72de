// SPDX-License-Identifier: GPL-2.0
//
// Dirty reports, and what others do to the container between two pieces of
// one: the mock stops the report before it copies a piece out.
#include <functional>
#include <memory>
#include <utility>

#include "type1_container.hpp"

namespace {

using Bitmap = std::vector<u64>;

class Type1DirtyRace : public Type1Groups {
protected:
	void SetUp() override
	{
		Type1Groups::SetUp();
		attach_emulated();
	}

	// body() runs, as another thread of the process, before the nth copy to
	// userspace from now on.
	void before_copy(u64 nth, const std::function<void()> &body)
	{
		mock::before_copy_out(nth, [this, body] {
			const mock::As as_process(&process);

			body();
		});
	}

	// A page that was written.
	void dirty(u64 page)
	{
		ASSERT_EQ(c.pin(emulated, page * kPage, 1), 1);
		c.unpin(page * kPage, 1);
	}

	void map(u64 page, u64 npages)
	{
		ASSERT_EQ(c.map(page * kPage, uva(page), npages * kPage), 0);
	}

	void unmap(u64 page, u64 npages)
	{
		ASSERT_EQ(c.unmap(page * kPage, npages * kPage), static_cast<s64>(npages * kPage));
	}
};

TEST_F(Type1DirtyRace, LongerMappingInTheLastOnesPlace)
{
	for (const bool all : {false, true}) {
		if (all) {
			ASSERT_EQ(c.attach(group), 0);
		}
		for (u64 npages : {1u, 63u, 64u, 65u, 1024u, 1025u, 2000u}) {
			Bitmap bitmap(3, 0);

			map(0, 1);
			map(128, 1);
			ASSERT_EQ(c.start_dirty(), 0);
			dirty(0);
			before_copy(1, [&] {
				unmap(128, 1);
				map(128, npages);
				for (u64 page = 0; page < npages; page++)
					dirty(128 + page);
			});
			ASSERT_EQ(c.get_dirty(0, 192 * kPage, bitmap), 0) << npages;
			EXPECT_EQ(bitmap[0], 1u);
			EXPECT_EQ(bitmap[2], npages < 64 ? (u64{1} << npages) - 1 : ~u64{0});
			unmap(0, 1);
			unmap(128, npages);
		}
	}
}

TEST_F(Type1DirtyRace, NeighboursInTheLastOnesPlace)
{
	constexpr u64 kBits = 2048;
	Bitmap bitmap((128 + kBits) / 64, 0);

	ASSERT_EQ(c.attach(group), 0);
	map(0, 1);
	map(128, 1);
	ASSERT_EQ(c.start_dirty(), 0);
	before_copy(1, [&] {
		unmap(128, 1);
		for (u64 i = 0; i < 12; i++)
			map(128 + i * 200, 200);
	});
	ASSERT_EQ(c.get_dirty(0, (128 + kBits) * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], 1u);
	EXPECT_EQ(bitmap[1], 0u);
	for (u64 i = 2; i < bitmap.size(); i++)
		EXPECT_EQ(bitmap[i], ~u64{0}) << i;
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(2401 * kPage));
}

// The new mapping begins before the part still to be reported, and ends behind
// it. Its other pages are reported the next time.
TEST_F(Type1DirtyRace, BisectedMappingIsToldOfTheRestAlone)
{
	Bitmap bitmap(3, 0), whole(5, 0);

	map(0, 1);
	map(128, 1);
	ASSERT_EQ(c.start_dirty(), 0);
	before_copy(1, [&] {
		unmap(128, 1);
		map(64, 256);
		for (u64 page : {64u, 127u, 128u, 191u, 192u, 319u})
			dirty(page);
	});
	ASSERT_EQ(c.get_dirty(0, 192 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap, (Bitmap{0, 0, 1 | u64{1} << 63}));
	ASSERT_EQ(c.get_dirty(0, 320 * kPage, whole), 0);
	EXPECT_EQ(whole, (Bitmap{0, 1 | u64{1} << 63, 0, 1, u64{1} << 63}));
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(257 * kPage));
}

TEST_F(Type1DirtyRace, LastMappingGoes)
{
	Bitmap bitmap(3, 0);

	map(0, 1);
	map(128, 64);
	ASSERT_EQ(c.start_dirty(), 0);
	dirty(0);
	dirty(130);
	before_copy(1, [&] { unmap(128, 64); });
	ASSERT_EQ(c.get_dirty(0, 192 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap, (Bitmap{1, 0, 0}));
}

TEST_F(Type1DirtyRace, TrackingStops)
{
	Bitmap bitmap(3, 0);

	map(0, 1);
	map(128, 64);
	ASSERT_EQ(c.start_dirty(), 0);
	dirty(130);
	before_copy(1, [&] { ASSERT_EQ(c.stop_dirty(), 0); });
	EXPECT_EQ(c.get_dirty(0, 192 * kPage, bitmap), -EINVAL) << "the rest is not known";

	ASSERT_EQ(c.start_dirty(), 0);
	dirty(0);
	dirty(130);
	before_copy(1, [&] { ASSERT_EQ(c.stop_dirty(), 0); });
	EXPECT_EQ(c.unmap_dirty(0, 192 * kPage, bitmap), -EINVAL);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(65 * kPage)) << "nothing was unmapped";
}

// Two reports of one mapping. One fails after it has cleared the bits of the first
// piece; the other must clear no bits that it does not report.
TEST_F(Type1DirtyRace, ReportThatFailsBesideAnother)
{
	constexpr u64 kPiece = 8 * kPage; // bits in a page
	constexpr u64 kMany = 2 * kPiece;
	Bitmap bitmap(kMany / 64, 0), other(kMany / 64, 0);

	process.mm.map(uva(0), kMany, kPfn);
	map(0, kMany);
	ASSERT_EQ(c.start_dirty(), 0);
	dirty(5);
	before_copy(1, [&] {
		// The first piece of the one is on its way, its second is not told.
		mock::plan.fail(mock::Fail::kCopyOut);
		EXPECT_EQ(c.get_dirty(0, kMany * kPage, other), -EFAULT);
	});
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	bitmap.assign(bitmap.size(), 0);
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	for (u64 i = 0; i < bitmap.size(); i++)
		ASSERT_EQ(bitmap[i], i < kPiece / 64 ? ~u64{0} : 0) << i;
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	EXPECT_EQ(bitmap, Bitmap(bitmap.size(), 0)) << "once is enough";
}

// Memory for the bits runs out between two pieces: all is dirty then, and what
// was told before is told again.
TEST_F(Type1DirtyRace, NoMemoryForBitsInAReport)
{
	constexpr u64 kPiece = 8 * kPage;
	constexpr u64 kMany = 2 * kPiece;
	Bitmap bitmap(kMany / 64, 0);

	process.mm.map(uva(0), kMany, kPfn);
	map(0, kMany);
	ASSERT_EQ(c.start_dirty(), 0);
	before_copy(1, [&] {
		ASSERT_EQ(c.pin(emulated, 7 * kPage, 1), 1);
		mock::plan.fail(mock::Fail::kVAlloc);
		c.unpin(7 * kPage, 1);
	});
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0] & 0x80, 0x80u) << "page 7 was written behind the report's back";
}

// A device is asked to unpin what is being unmapped, with no lock held that would
// keep the mappings as they are. Afterwards the unmap looks at them anew.
class Type1AskedAgain : public Type1DirtyRace {
protected:
	void SetUp() override
	{
		Type1DirtyRace::SetUp();
		map(0, 64);
		map(128, 1);
		ASSERT_EQ(c.start_dirty(), 0);
		ASSERT_EQ(device->pin(5 * kPage, 1), 1);
		device->device.dma_unmap = [this, unpin = device->device.dma_unmap](u64 iova,
										    u64 size) {
			unpin(iova, size);
			if (replace)
				std::exchange(replace, nullptr)();
		};
	}

	std::function<void()> replace;
	Bitmap bitmap = Bitmap(3, 0);
};

TEST_F(Type1AskedAgain, LongerMappingIsNotSplit)
{
	for (const bool report : {false, true}) {
		replace = [this] {
			unmap(0, 64);
			map(0, 100);
		};
		EXPECT_EQ(report ? c.unmap_dirty(0, 64 * kPage, bitmap) : c.unmap(0, 64 * kPage),
			  -EINVAL);
		EXPECT_EQ(bitmap, Bitmap(3, 0)) << "nothing is told of what stays";
		ASSERT_EQ(device->pin(5 * kPage, 1), 1) << "it takes pins";
		device->unpin_all();
		unmap(0, 100);
		map(0, 64);
		ASSERT_EQ(device->pin(5 * kPage, 1), 1);
	}
}

TEST_F(Type1AskedAgain, LongerMappingAtTheEndIsNotSplit)
{
	replace = [this] {
		unmap(128, 1);
		map(128, 65);
	};
	EXPECT_EQ(c.unmap_dirty(0, 192 * kPage, bitmap), -EINVAL);
	ASSERT_EQ(device->pin(5 * kPage, 1), 1) << "the first one stays, and takes pins";
	ASSERT_EQ(c.get_dirty(0, 64 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], 0x20u);
}

TEST_F(Type1AskedAgain, OtherMappingsGoInItsPlace)
{
	replace = [this] {
		unmap(0, 64);
		map(2, 3);
		map(60, 100);
		dirty(3);
		dirty(159);
	};
	ASSERT_EQ(c.unmap(128 * kPage, kPage), static_cast<s64>(kPage));
	EXPECT_EQ(c.unmap_dirty(0, 192 * kPage, bitmap), static_cast<s64>(103 * kPage));
	EXPECT_EQ(bitmap, (Bitmap{8, 0, u64{1} << 31}));
}

TEST_F(Type1AskedAgain, NothingIsLeft)
{
	replace = [this] {
		unmap(0, 64);
		unmap(128, 1);
	};
	EXPECT_EQ(c.unmap_dirty(0, 192 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap, Bitmap(3, 0));
}

// The new mapping is pinned, too, and the device is asked again.
TEST_F(Type1AskedAgain, WhatComesIsPinned)
{
	replace = [this] {
		unmap(0, 64);
		map(10, 2);
		ASSERT_EQ(device->pin(11 * kPage, 1), 1);
	};
	EXPECT_EQ(c.unmap_dirty(0, 192 * kPage, bitmap), static_cast<s64>(3 * kPage));
	EXPECT_EQ(bitmap, (Bitmap{u64{1} << 11, 0, 0}));
	EXPECT_TRUE(device->pinned.empty());
}

} // namespace
