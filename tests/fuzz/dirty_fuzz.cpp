// SPDX-License-Identifier: GPL-2.0
//
// DirtyBitmap against a list of bits, and DirtyReport over dma ranges against
// bits set one by one.
#include <cstring>
#include <deque>

#include "dma/dirty_report.hpp"
#include "dma_steps.hpp"
#include "fuzz.hpp"
#include "host_test.hpp"
#include "mock/memory.hpp"

using namespace vfio;

namespace {

class DirtyFuzz : public fuzz::Input<HostTest> {
	using Input::Input;

	void bitmap_step()
	{
		DirtyBitmapSteps steps(bytes, 1 + below(1024));

		steps.reserve();
		for (u64 n = 1 + below(32); n > 0; n--)
			steps.step();
	}

	// Bits in front of a range in its word stay, those behind it become clear.
	static void report_bits(std::vector<u64> &words, u64 first, const std::vector<bool> &dirty)
	{
		const u64 end = (first + dirty.size() + 63) / 64 * 64;

		for (u64 bit = first; bit < end; bit++) {
			const u64 mask = u64{1} << bit % 64;
			const bool set = bit - first < dirty.size() && dirty[bit - first];

			words[bit / 64] = set ? words[bit / 64] | mask : words[bit / 64] & ~mask;
		}
	}

	// Writes as much of dma as fits, until all of it is reported.
	static void add(DirtyReport &report, const DmaRange &dma, bool all)
	{
		IovaRange left = dma.range();
		IovaRange words;

		for (;;) {
			Iova last = left.last;

			if (all && report.whole_words(left, &words)) {
				ASSERT_TRUE(report.write_ones(words).ok());
				last = words.last;
			} else if (!report.add(dma, left, all, &last)) {
				ASSERT_FALSE(report.empty());
				ASSERT_TRUE(report.write().ok());
				continue;
			}
			ASSERT_GE(last, left.first);
			ASSERT_LE(last, left.last);
			if (last == left.last)
				break;
			left.first = last + 1;
		}
	}

	void report_step()
	{
		const unsigned int shift = 12 + static_cast<unsigned int>(below(3));
		const u64 npages = 1 + (bytes.byte() < 32 ? below(100'000) : below(1500));
		const u64 base = bytes.flag() ? 0 : kU64Max - (npages << shift) + 1;
		const IovaRange range{{base}, {base + ((npages << shift) - 1)}};
		std::vector<u64> words(DirtyBitmap::words_for(npages),
				       bytes.byte() * 0x0101'0101'0101'0101ull);
		std::vector<u64> expected = words;
		const mock::UserWindow window(words.data(), words.size() * sizeof(u64));
		std::deque<DmaRange> dmas;

		{
			DirtyReport report(range, shift, {reinterpret_cast<u64>(words.data())});

			if (bytes.byte() < 16)
				mock::plan.fail(mock::Fail::kAlloc);
			for (u64 at = below(130); at < npages && !bytes.empty();) {
				const u64 size =
					min(1 + below(bytes.flag() ? 4000 : 100), npages - at);
				const IovaRange part{{base + (at << shift)},
						     {base + ((at + size) << shift) - 1}};
				DmaRange &dma = dmas.emplace_back(part, UserVa{}, u32{3});
				const bool all = bytes.byte() < 64;
				std::vector<bool> dirty(size, all);

				for (u64 marks = below(6); marks > 0; marks--) {
					const u64 first = below(size), n = 1 + below(size - first);

					dma.mark_dirty({part.first + (first << shift),
							part.first + (((first + n) << shift) - 1)},
						       shift);
					std::fill_n(dirty.begin() + static_cast<long>(first), n,
						    true);
				}
				add(report, dma, all);
				report_bits(expected, at, dirty);
				at += size + (bytes.flag() ? 0 : below(200));
			}
			ASSERT_TRUE(report.write().ok());
		}
		ASSERT_EQ(words, expected);
		for (DmaRange &dma : dmas)
			dma.forget_dirty();
	}

	void fuzz() override
	{
		const mock::As as_process(&process);

		for (int i = 0; i < 16 && !bytes.empty(); i++) {
			if (bytes.flag())
				bitmap_step();
			else
				report_step();
			mock::plan.reset();
		}
	}

	mock::Process process;
};

} // namespace

FUZZ_TARGET(DirtyFuzz)
