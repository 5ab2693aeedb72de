// SPDX-License-Identifier: GPL-2.0
//
// Chains of capabilities against a list of them, and checks of interrupt sets
// against the same rules in wide arithmetic.
#include "core_world.hpp"
#include "fuzz.hpp"
#include "shim/alloc.h"

namespace {

class PartsFuzz : public fuzz::Input<HostTest> {
	using Input::Input;

	struct Cap {
		u16 id, version;
		std::vector<u8> data;
	};

	static constexpr size_t kHeader = sizeof(vfio_info_cap_header);

	void chain_step()
	{
		vfio_info_cap_header *buffer = nullptr;
		size_t size = 0;
		std::vector<Cap> model;

		for (u64 n = 1 + below(12); n > 0; n--) {
			const Cap cap = {static_cast<u16>(bytes.number(2)), bytes.byte(),
					 std::vector<u8>(below(40), bytes.byte())};
			const size_t cap_size = kHeader + cap.data.size();
			vfio_info_cap_header *added = nullptr;
			const bool copy = bytes.flag();
			int ret;

			if (bytes.byte() < 8)
				mock::plan.fail(mock::Fail::kAlloc);
			if (copy) {
				// Its next is not to be believed.
				const vfio_info_cap_header header = {cap.id, cap.version, 12345};
				std::vector<u64> source(cap_size / sizeof(u64) + 1);

				memcpy(source.data(), &header, kHeader);
				std::copy(cap.data.begin(), cap.data.end(),
					  reinterpret_cast<u8 *>(source.data()) + kHeader);
				ret = vfio_core_info_cap_copy(
					&buffer, &size,
					reinterpret_cast<vfio_info_cap_header *>(source.data()),
					cap_size);
			} else {
				ret = vfio_core_info_cap_add(&buffer, &size, cap_size, cap.id,
							     cap.version, &added);
			}
			ASSERT_EQ(ret, mock::plan.fired() ? -ENOMEM : 0);
			mock::plan.reset();
			if (ret) {
				ASSERT_EQ(buffer, nullptr);
				ASSERT_EQ(size, 0u);
				model.clear();
				continue;
			}
			if (!copy) {
				u8 *data = reinterpret_cast<u8 *>(added) + kHeader;

				for (size_t i = 0; i < cap.data.size(); i++)
					ASSERT_EQ(data[i], 0);
				std::copy(cap.data.begin(), cap.data.end(), data);
			}
			model.push_back(cap);
		}

		const u32 shift = static_cast<u32>(below(256));
		vfio_core_info_cap_shift(buffer, size, shift);
		size_t at = 0;
		for (size_t i = 0; i < model.size(); i++) {
			const u8 *cap = reinterpret_cast<const u8 *>(buffer) + at;
			const size_t used = kHeader + model[i].data.size();
			// Capabilities begin at multiples of 8 bytes; the gap is clear.
			const size_t end = at + (used + 7) / 8 * 8;
			vfio_info_cap_header header;

			ASSERT_LE(end, size);
			for (size_t gap = used; gap < end - at; gap++)
				ASSERT_EQ(cap[gap], 0);
			memcpy(&header, cap, kHeader);
			ASSERT_EQ(header.id, model[i].id);
			ASSERT_EQ(header.version, model[i].version);
			ASSERT_TRUE(std::equal(model[i].data.begin(), model[i].data.end(),
					       cap + kHeader));
			ASSERT_EQ(header.next, i + 1 < model.size() ? end + shift : 0);
			at = end;
		}
		ASSERT_EQ(at, size);
		shim_free(buffer);
	}

	u32 small_or_any()
	{
		const u8 kind = bytes.byte();

		return kind < 128 ? kind % 16 :
		       kind < 160 ? ~u32{0} - kind % 16 :
				    static_cast<u32>(bytes.number(4));
	}

	static bool fits(const vfio_irq_set &set, int nirqs, int nindexes, bool may_have_data,
			 u64 *data)
	{
		const __int128 end = static_cast<__int128>(set.start) + set.count;
		u64 item;

		*data = 0;
		switch (set.flags & 7) {
		case VFIO_IRQ_SET_DATA_NONE:
			item = 0;
			break;
		case VFIO_IRQ_SET_DATA_BOOL:
			item = 1;
			break;
		case VFIO_IRQ_SET_DATA_EVENTFD:
			item = 4;
			break;
		default:
			return false;
		}
		if (set.flags >> 6 || set.argsz < sizeof(set) ||
		    static_cast<s64>(set.index) >= nindexes ||
		    static_cast<s64>(set.start) >= nirqs || end > nirqs)
			return false;
		*data = item * set.count;
		return set.argsz - sizeof(set) >= *data && (!item || may_have_data);
	}

	void irq_step()
	{
		const bool may = bytes.byte() < 224;
		const u8 flags = bytes.byte();
		const vfio_irq_set set = {static_cast<u32>(sizeof(set)) + small_or_any(),
					  flags < 192 ? 1u << flags % 3 | 8u << flags % 5 % 3 :
							small_or_any(),
					  small_or_any(), small_or_any(), small_or_any()};
		const int nirqs = static_cast<int>(small_or_any());
		const int nindexes = static_cast<int>(small_or_any());
		u64 expected = 0;
		const bool good = fits(set, nirqs, nindexes, may, &expected);
		size_t size = 1234;
		const int ret =
			vfio_core_check_irq_set(&set, nirqs, nindexes, may ? &size : nullptr);

		ASSERT_EQ(ret, good ? 0 : -EINVAL)
			<< set.argsz << " " << set.flags << " " << set.index << " " << set.start
			<< " " << set.count << " " << nirqs << " " << nindexes << " " << may;
		if (good && may) {
			ASSERT_EQ(size, expected);
		}
	}

	void fuzz() override
	{
		while (!bytes.empty()) {
			if (bytes.flag())
				chain_step();
			else
				irq_step();
		}
	}
};

} // namespace

FUZZ_TARGET(PartsFuzz)
