// SPDX-License-Identifier: GPL-2.0
//
// IovaBitmap against bits set one by one: any range, page size and place of the
// bitmap, a driver that marks what it likes, pages that can be pinned only a
// few at a time or not at all.
#include "core_world.hpp"
#include "fuzz.hpp"
#include "vfio_core/iova_bitmap.hpp"

using namespace vfio;

namespace {

class IovaBitmapFuzz : public fuzz::Input<HostTest> {
	using Input::Input;

	static constexpr u64 kUva = 0x4000'0000;
	static constexpr u64 kPfn = 0x5000;
	static constexpr u64 kMemory = 8; // pages

	void round()
	{
		const unsigned int shift = static_cast<unsigned int>(below(24));
		const u64 npages = 1 + (bytes.byte() < 16 ? below(150'000) : below(1000));
		const u64 offset = below(kPage);
		const u64 length = (npages << shift) - below(u64{1} << shift);
		const u64 wanted = bytes.flag() ? kU64Max - length + 1 : bytes.hostile();
		const u64 iova = min(wanted, kU64Max - length + 1);
		const u64 last = iova + (length - 1);
		std::vector<u8> model(kMemory * kPage);
		u64 expected_next = iova;

		process.mm.map(kUva, kMemory, kPfn);
		for (u64 i = 0; i < kMemory; i++)
			memset(mock::phys::contents(kPfn + i), 0, kPage);
		process.mm.pin_batch = bytes.flag() ? ~u64{0} : 1 + below(3);
		if (bytes.byte() < 16)
			process.mm.unmap(kUva + below(kMemory) * kPage, 1);
		if (bytes.byte() < 32)
			plan_failure(bytes);

		Result<UniquePtr<IovaBitmap>> made =
			IovaBitmap::create({{iova}, {last}}, u64{1} << shift, {kUva + offset});
		if (!made.ok())
			return;
		UniquePtr<IovaBitmap> bitmap = made.take();
		bool complete = false;

		while (!complete) {
			const IovaRange window = bitmap->window();

			ASSERT_EQ(window.first.value, expected_next);
			ASSERT_LE(window.first, window.last);
			ASSERT_LE(window.last.value, last);
			expected_next = window.last.value + 1;
			for (u64 marks = below(8); marks > 0; marks--) {
				const u64 room = window.last.value - window.first.value;
				const u64 ahead = bytes.number(4);
				const u64 at = window.first.value + (ahead <= room ? ahead : room);
				const u64 size = bytes.byte() < 224 ? below(u64{5} << shift) :
								      bytes.hostile();

				vfio_core_iova_bitmap_set(bitmap.get(), at, size);
				if (!size)
					continue;
				const u64 end =
					kU64Max - at < size - 1 ? last : min(last, at + (size - 1));
				for (u64 page = (at - iova) >> shift; page <= (end - iova) >> shift;
				     page++)
					model[offset + page / 8] |= 1 << page % 8;
			}
			// What is outside is nobody's.
			if (iova && bytes.byte() < 16)
				vfio_core_iova_bitmap_set(bitmap.get(), iova - 1, 1);
			if (last != kU64Max && bytes.byte() < 16)
				vfio_core_iova_bitmap_set(bitmap.get(), last + 1, bytes.hostile());
			Result<bool> more = bitmap->advance();
			if (!more.ok()) {
				ASSERT_EQ(more.error(), Error(EFAULT));
				return;
			}
			complete = !more.value();
		}
		ASSERT_EQ(expected_next, last + 1);
		bitmap = {};
		for (u64 i = 0; i < kMemory; i++)
			ASSERT_EQ(memcmp(mock::phys::contents(kPfn + i), &model[i * kPage], kPage),
				  0)
				<< "page " << i << " of the bitmap, of " << npages << " shift "
				<< shift << " offset " << offset;
	}

	void fuzz() override
	{
		const mock::As as_process(&process);

		for (int i = 0; i < 4 && !bytes.empty(); i++) {
			round();
			mock::plan.reset();
			ASSERT_EQ(mock::phys::all_pins(), 0u);
		}
	}

	mock::Process process;
};

} // namespace

FUZZ_TARGET(IovaBitmapFuzz)
