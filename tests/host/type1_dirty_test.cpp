// SPDX-License-Identifier: GPL-2.0
//
// Dirty tracking: requests good and bad, who makes what dirty, bits at the
// edges of words. The random test compares bitmaps at large.
#include <memory>

#include "type1_container.hpp"
#include "vfio_type1/type1.hpp"

namespace {

using Bitmap = std::vector<u64>;

class Type1Dirty : public Type1Groups {};

TEST_F(Type1Dirty, Control)
{
	EXPECT_EQ(c.dirty(0), -EINVAL);
	EXPECT_EQ(c.dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START | VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP),
		  -EINVAL);
	EXPECT_EQ(c.dirty(8), -EINVAL);
	EXPECT_EQ(c.dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP), -EINVAL) << "argsz too short";
	EXPECT_EQ(c.stop_dirty(), 0) << "not started";
	EXPECT_EQ(c.start_dirty(), 0);
	EXPECT_EQ(c.start_dirty(), 0) << "started";
	EXPECT_EQ(c.stop_dirty(), 0);

	u32 words[2] = {7, VFIO_IOMMU_DIRTY_PAGES_FLAG_START};
	EXPECT_EQ(c.ioctl(VFIO_IOMMU_DIRTY_PAGES, words, sizeof(words)), -EINVAL);
	words[0] = 8;
	EXPECT_EQ(c.ioctl(VFIO_IOMMU_DIRTY_PAGES, words, 7), -EFAULT);
	Container v1(VFIO_TYPE1_IOMMU);
	EXPECT_EQ(v1.start_dirty(), -EACCES);
}

TEST_F(Type1Dirty, BadBitmaps)
{
	Bitmap bitmap(1);

	ASSERT_EQ(c.map(0, uva(0), 64 * kPage), 0);
	ASSERT_EQ(c.map(0x100000, uva(64), 65 * kPage), 0);
	EXPECT_EQ(c.get_dirty(0, 64 * kPage, bitmap), -EINVAL) << "not started";
	EXPECT_EQ(c.unmap_dirty(0, 64 * kPage, bitmap), -EINVAL);
	ASSERT_EQ(c.start_dirty(), 0);
	EXPECT_EQ(c.get_dirty(0, 64 * kPage, bitmap), 0);
	for (u64 pgsize : {u64{0}, u64{1}, kPage / 2, 2 * kPage, u64{1} << 63})
		EXPECT_EQ(c.get_dirty(0, 64 * kPage, bitmap, pgsize), -EINVAL) << pgsize;
	EXPECT_EQ(c.get_dirty(0x100000, 65 * kPage, bitmap), -EINVAL) << "too small";
	EXPECT_EQ(c.unmap_dirty(0x100000, 65 * kPage, bitmap), -EINVAL);
	EXPECT_EQ(c.get_dirty(0, 0, bitmap), -EINVAL);
	EXPECT_EQ(c.get_dirty(0, 63 * kPage, bitmap), -EINVAL) << "splits";
	EXPECT_EQ(c.get_dirty(kPage, 63 * kPage, bitmap), -EINVAL);
	EXPECT_EQ(c.get_dirty(1, 64 * kPage, bitmap), -EINVAL);
	EXPECT_EQ(c.get_dirty(0, 64 * kPage - 1, bitmap), -EINVAL);
	EXPECT_EQ(c.get_dirty(~u64{0} - kPage + 1, 2 * kPage, bitmap), -EOVERFLOW);
	EXPECT_EQ(c.get_dirty(0x80000, 64 * kPage, bitmap), 0) << "nothing is there";

	// A bitmap that is no user memory, and one that is not mapped.
	const auto get = [&](u64 data, u64 size) {
		struct {
			u32 argsz, flags;
			u64 iova, size, pgsize, bytes, data;
		} arg = {sizeof(arg), VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
			 0,	      64 * kPage,
			 kPage,	      size,
			 data};
		static_assert(sizeof(arg) == 8 + sizeof(vfio_iommu_type1_dirty_bitmap_get));
		return c.ioctl(VFIO_IOMMU_DIRTY_PAGES, &arg, sizeof(arg));
	};
	EXPECT_EQ(get(~u64{0} - 8, 8), -EINVAL);
	EXPECT_EQ(get(u64{1} << 63, 8), -EINVAL);
	EXPECT_EQ(get(0x1000, 8), -EFAULT);
	EXPECT_EQ(get(0x1000, (u64{1} << 28) + 1), -EINVAL) << "over the limit";
	EXPECT_EQ(get(0x1000, 0), -EINVAL);
}

TEST_F(Type1Dirty, HardwareDirtiesAll)
{
	Bitmap bitmap = {0, ~u64{0}};

	ASSERT_EQ(c.attach(group), 0);
	ASSERT_EQ(c.map(0, uva(0), 70 * kPage), 0);
	ASSERT_EQ(c.start_dirty(), 0);
	ASSERT_EQ(c.get_dirty(0, 70 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap, (Bitmap{~u64{0}, 0x3f}));
	bitmap = {0, 0};
	ASSERT_EQ(c.get_dirty(0, 70 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap, (Bitmap{~u64{0}, 0x3f})) << "and again";
}

TEST_F(Type1Dirty, PinnedPagesAreDirtyUntilTheReportAfterTheUnpin)
{
	Bitmap bitmap(1);

	attach_emulated();
	ASSERT_EQ(c.map(0, uva(0), 16 * kPage), 0);
	ASSERT_EQ(device->pin(2 * kPage, 1), 1);
	ASSERT_EQ(c.start_dirty(), 0);
	ASSERT_EQ(device->pin(5 * kPage, 2), 2);
	device->unpin(5 * kPage, 1);
	ASSERT_EQ(c.get_dirty(0, 16 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], 0x64u);
	ASSERT_EQ(c.get_dirty(0, 16 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], 0x44u) << "what is pinned";
	device->unpin_all();
	ASSERT_EQ(c.get_dirty(0, 16 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], 0x44u) << "what was since";
	ASSERT_EQ(c.get_dirty(0, 16 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], 0u);
	u8 bytes[2] = {};
	ASSERT_EQ(c.rw(8 * kPage - 1, bytes, 2, true), 0);
	ASSERT_EQ(c.rw(0, bytes, 2, false), 0);
	ASSERT_EQ(c.get_dirty(0, 16 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], 0x180u) << "a write touches two pages, a read none";
}

TEST_F(Type1Dirty, ScopeOfGroups)
{
	Bitmap bitmap(1);

	attach_emulated();
	ASSERT_EQ(c.map(0, uva(0), 16 * kPage), 0);
	ASSERT_EQ(c.start_dirty(), 0);
	ASSERT_EQ(c.attach(group), 0);
	ASSERT_EQ(c.get_dirty(0, 16 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], 0xffffu);
	// A group that pins says by it that it only pins.
	ASSERT_EQ(c.pin(group, 3 * kPage, 1), 1);
	bitmap[0] = 0;
	ASSERT_EQ(c.get_dirty(0, 16 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], 8u);
	c.unpin(3 * kPage, 1);
	c.detach(group);
	ASSERT_EQ(c.attach(group), 0);
	c.detach(group);
	ASSERT_EQ(c.get_dirty(0, 16 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], 0xffffu) << "who knows what it wrote";
	ASSERT_EQ(c.get_dirty(0, 16 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], 0u);
}

TEST_F(Type1Dirty, MappingsInsideAWord)
{
	Bitmap bitmap = {~u64{0}, ~u64{0}, ~u64{0}};

	attach_emulated();
	ASSERT_EQ(c.map(3 * kPage, uva(0), 2 * kPage), 0);
	ASSERT_EQ(c.map(10 * kPage, uva(2), 60 * kPage), 0);
	ASSERT_EQ(c.map(127 * kPage, uva(100), kPage), 0);
	ASSERT_EQ(c.start_dirty(), 0);
	ASSERT_EQ(device->pin(4 * kPage, 1), 1);
	ASSERT_EQ(device->pin(63 * kPage, 2), 2);
	ASSERT_EQ(device->pin(127 * kPage, 1), 1);
	ASSERT_EQ(c.get_dirty(0, 128 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], u64{7} | u64{1} << 4 | u64{1} << 63)
		<< "below the first mapping the word stays, above the last report it is cleared";
	EXPECT_EQ(bitmap[1], (u64{1}) | u64{1} << 63);
	EXPECT_EQ(bitmap[2], ~u64{0}) << "past the range";
}

TEST_F(Type1Dirty, LastAddress)
{
	constexpr u64 kAt = ~u64{0} - 64 * kPage + 1;
	Bitmap bitmap(1);

	attach_emulated();
	ASSERT_EQ(c.map(kAt, uva(0), 64 * kPage), 0);
	ASSERT_EQ(c.start_dirty(), 0);
	ASSERT_EQ(device->pin(~u64{0} - kPage + 1, 1), 1);
	ASSERT_EQ(c.get_dirty(kAt, 64 * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], u64{1} << 63);
	EXPECT_EQ(c.unmap_dirty(kAt, 64 * kPage, bitmap), static_cast<s64>(64 * kPage));
	EXPECT_EQ(bitmap[0], u64{1} << 63);
}

TEST_F(Type1Dirty, LargeBitmapInPieces)
{
	constexpr u64 kMany = 4096;
	Bitmap bitmap(kMany / 64), expected(kMany / 64);

	attach_emulated();
	ASSERT_EQ(c.map(0, uva(0), kMany * kPage), 0);
	ASSERT_EQ(c.start_dirty(), 0);
	for (u64 page = 0; page < kMany; page += 37) {
		ASSERT_EQ(device->pin(page * kPage, 1), 1);
		expected[page / 64] |= u64{1} << page % 64;
	}
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	EXPECT_EQ(bitmap, expected);
	for (u64 page = 0; page < kMany; page += 37)
		device->unpin(page * kPage, 1);
	mock::plan.fail(mock::Fail::kCopyOut, 1);
	EXPECT_EQ(c.get_dirty(0, kMany * kPage, bitmap), -EFAULT);
	bitmap.assign(kMany / 64, 0);
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	for (u64 word = 0; word < kMany / 64; word++)
		EXPECT_EQ(bitmap[word] & expected[word], expected[word])
			<< "a report that failed forgot nothing";
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	EXPECT_EQ(bitmap, Bitmap(kMany / 64)) << "once is enough";
}

TEST_F(Type1Dirty, MorePiecesThanOne)
{
	// A piece has a page of bits.
	constexpr u64 kPiece = 8 * kPage;
	constexpr u64 kMany = 3 * kPiece + 100;
	const u64 pages[] = {0, kPiece - 1, kPiece, 2 * kPiece + 5, kMany - 1};
	Bitmap bitmap(kMany / 64 + 1, 0), expected(kMany / 64 + 1, 0);

	process.mm.map(uva(0), kMany, kPfn);
	attach_emulated();
	ASSERT_EQ(c.map(0, uva(0), kMany * kPage), 0);
	ASSERT_EQ(c.start_dirty(), 0);
	for (u64 page : pages) {
		ASSERT_EQ(device->pin(page * kPage, 1), 1);
		expected[page / 64] |= u64{1} << page % 64;
	}
	device->unpin_all();
	mock::plan.fail(mock::Fail::kCopyOut, 2);
	EXPECT_EQ(c.get_dirty(0, kMany * kPage, bitmap), -EFAULT);
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	for (u64 word = 0; word < bitmap.size(); word++)
		EXPECT_EQ(bitmap[word] & expected[word], expected[word]) << word;
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	EXPECT_EQ(bitmap, Bitmap(bitmap.size(), 0));

	// All dirty by a group that writes as it likes, and not a bit more.
	ASSERT_EQ(c.attach(group), 0);
	bitmap.assign(bitmap.size(), 0);
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	expected.assign(bitmap.size(), ~u64{0});
	expected.back() = (u64{1} << kMany % 64) - 1;
	EXPECT_EQ(bitmap, expected);
}

TEST_F(Type1Dirty, NeighboursAreToldTogether)
{
	constexpr u64 kSize = 5;
	constexpr u64 kMappings = 400, kHole = 123, kMarked = 200;
	constexpr u64 kMany = kSize * kMappings;
	Bitmap bitmap(kMany / 64 + 1, 0), expected(kMany / 64 + 1, 0);

	attach_emulated();
	ASSERT_EQ(c.attach(group), 0);
	ASSERT_EQ(c.start_dirty(), 0);
	for (u64 i = 0; i < kMappings; i++) {
		if (i == kHole)
			continue;
		ASSERT_EQ(c.map(i * kSize * kPage, uva(i * kSize), kSize * kPage), 0);
		for (u64 page = i * kSize; page < (i + 1) * kSize; page++)
			expected[page / 64] |= u64{1} << page % 64;
	}
	// One has something recorded of its own.
	ASSERT_EQ(device->pin(kMarked * kSize * kPage, 1), 1);
	device->unpin_all();
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	EXPECT_EQ(bitmap, expected);
	bitmap.assign(bitmap.size(), 0);
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	EXPECT_EQ(bitmap, expected) << "and again";

	// Nothing of it was recorded for the time without that group.
	ASSERT_EQ(c.pin(group, 0, 1), 1);
	c.unpin(0, 1);
	bitmap.assign(bitmap.size(), 0);
	ASSERT_EQ(c.get_dirty(0, kMany * kPage, bitmap), 0);
	EXPECT_EQ(bitmap[0], 1u);
	EXPECT_EQ(bitmap[kMarked * kSize / 64], 0u);
}

// A bitmap of 2^28 bytes has room for 2^31 pages.
TEST_F(Type1Dirty, LargestBitmap)
{
	constexpr u64 kBytes = u64{1} << 28, kPages = kBytes * 8;
	constexpr u64 kAt = 0x1000;

	EXPECT_TRUE(vfio::Type1::check_bitmap_size(kPages, kBytes).ok());
	EXPECT_TRUE(vfio::Type1::check_bitmap_size(1, 8).ok());
	EXPECT_TRUE(vfio::Type1::check_bitmap_size(64, kBytes).ok());
	for (const auto &[npages, bytes] : std::initializer_list<std::pair<u64, u64>>{
		     {0, 8},
		     {1, 0},
		     {1, 7},
		     {65, 8},
		     {1, kBytes + 1},
		     {kPages, kBytes - 1},
		     {kPages + 1, kBytes},
		     {kPages + 1, kBytes + 8},
		     {~u64{0}, kBytes},
		     {~u64{0} - 62, 8},
	     })
		EXPECT_EQ(vfio::Type1::check_bitmap_size(npages, bytes).error(),
			  vfio::Error(EINVAL))
			<< npages << " pages, " << bytes << " bytes";

	// What the bitmap does not have is not touched: only a page of it is
	// memory here.
	process.mm.map(kAt, 1, 0x55);
	ASSERT_EQ(c.attach(group), 0);
	ASSERT_EQ(c.map(0, uva(0), 3 * kPage), 0);
	ASSERT_EQ(c.start_dirty(), 0);
	const struct {
		u32 argsz, flags;
		u64 iova, size, pgsize, bytes, data;
	} get = {sizeof(get), VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
		 0,	      kPages * kPage,
		 kPage,	      kBytes,
		 kAt};
	EXPECT_EQ(c.ioctl(VFIO_IOMMU_DIRTY_PAGES, &get, sizeof(get)), 0);
	u64 first = 0;
	memcpy(&first, mock::phys::contents(0x55), sizeof(first));
	EXPECT_EQ(first, 7u);
}

TEST_F(Type1Dirty, TooLargeForABitmap)
{
	// One page more than a mapping may have.
	constexpr u64 kSize = (u64{1} << 31) * kPage;

	ASSERT_EQ(c.map(0, 0, kSize), 0);
	EXPECT_EQ(c.start_dirty(), -EINVAL);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(kSize));
	ASSERT_EQ(c.start_dirty(), 0);
	EXPECT_EQ(c.map(0, 0, kSize), -EINVAL);
	EXPECT_EQ(c.unmap_all(), 0);
}

} // namespace
