// SPDX-License-Identifier: GPL-2.0
//
// type1 with hostile arguments, with calls of the shim failing where the bytes
// say so, and with memory, limits and rights that change underneath. What a
// call that fails must not have changed is compared; at the end nothing may be
// left, and no step may break a rule of the shim.
#include "fuzz.hpp"
#include "type1_world.hpp"

namespace {

class FailingFuzz : public fuzz::Input<Type1World> {
	using Input::Input;

	void detached(Type1Model::Group &group) override
	{
		group.attached = false;
	}

	u64 some_iova()
	{
		const u8 which = bytes.byte();

		return which < 240 ? kBases[which % 3] + which / 3 * kPage : bytes.hostile();
	}

	// Few sizes that are large and possible: their bitmaps take long.
	u64 some_size()
	{
		const u8 which = bytes.byte();
		const u64 size = which < 240 ? (which % kSpan) * kPage : bytes.hostile();

		return size < u64{1} << 62 ? size % (u64{1} << 30) : size;
	}

	u64 some_uva()
	{
		const u8 which = bytes.byte();

		return which < 240 ? kAt + which % 140 * kPage : bytes.hostile();
	}

	u32 some_flags()
	{
		const u8 which = bytes.byte();

		return which < 250 ? which % 16 : static_cast<u32>(bytes.number(4));
	}

	// What fits the structure most often.
	u32 some_argsz(size_t right)
	{
		const u8 which = bytes.byte();

		return static_cast<u32>(which < 224 ? right :
					which < 240 ? which :
						      bytes.number(4));
	}

	template <class T> void put(std::vector<u8> &to, const T &value)
	{
		const u8 *from = reinterpret_cast<const u8 *>(&value);

		to.insert(to.end(), from, from + sizeof(value));
	}

	vfio_bitmap some_bitmap(std::vector<u64> &words)
	{
		vfio_bitmap bitmap = {};

		bitmap.pgsize = bytes.byte() < 240 ? kPage : bytes.hostile();
		bitmap.size = bytes.byte() < 240 ? words.size() * sizeof(u64) : bytes.hostile();
		bitmap.data = reinterpret_cast<__u64 *>(
			bytes.byte() < 224 ? reinterpret_cast<u64>(words.data()) : some_uva());
		return bitmap;
	}

	long ioctl_step()
	{
		static constexpr u32 kCommands[] = {VFIO_IOMMU_MAP_DMA,	    VFIO_IOMMU_MAP_DMA,
						    VFIO_IOMMU_MAP_DMA,	    VFIO_IOMMU_UNMAP_DMA,
						    VFIO_IOMMU_UNMAP_DMA,   VFIO_IOMMU_DIRTY_PAGES,
						    VFIO_IOMMU_DIRTY_PAGES, VFIO_IOMMU_ENABLE};
		const u32 cmd = bytes.one_of(kCommands);
		std::vector<u64> words(1 + below(8));
		const mock::UserWindow bitmap_window(words.data(), words.size() * sizeof(u64));
		std::vector<u8> arg(sizeof(u32));
		const u32 flags = some_flags();

		put(arg, flags);
		switch (cmd) {
		case VFIO_IOMMU_MAP_DMA:
			put(arg, some_uva());
			put(arg, some_iova());
			put(arg, some_size());
			break;
		case VFIO_IOMMU_UNMAP_DMA:
			put(arg, flags & VFIO_DMA_UNMAP_FLAG_ALL ? 0 : some_iova());
			put(arg, flags & VFIO_DMA_UNMAP_FLAG_ALL ? 0 : some_size());
			if (flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)
				put(arg, some_bitmap(words));
			break;
		default:
			put(arg, some_iova());
			put(arg, some_size());
			put(arg, some_bitmap(words));
		}
		const u32 argsz = some_argsz(arg.size());
		memcpy(arg.data(), &argsz, sizeof(argsz));
		// Userspace's memory ends where it says, or at the structure's end.
		arg.resize(std::min<size_t>(argsz, arg.size()));
		return c->ioctl(cmd, arg.data(), arg.size());
	}

	void device_step(Type1Model::Group &group)
	{
		const u64 iova = some_iova() & ~(kPage - 1);
		const u64 room = (~u64{0} - iova) / kPage + 1;

		if (!group.attached)
			return;
		switch (below(4)) {
		case 0: {
			const auto at = device->pinned.lower_bound(iova);
			if (at != device->pinned.end())
				device->unpin(at->first, 1);
			break;
		}
		case 1: {
			std::vector<u8> data(1 + below(3 * kPage));
			(void)c->rw(iova + below(kPage), data.data(), data.size(), bytes.flag());
			break;
		}
		default: {
			const std::map<u64, u64> pins = mock::phys::pinned();
			const u64 charged = locked() + second.mm.locked_vm;
			const u32 n = static_cast<u32>(std::min(1 + below(kSpan), room));
			const int ret = device->pin(iova, n, 1 + static_cast<u32>(below(3)));

			ASSERT_NE(ret, 0);
			if (ret < 0) {
				ASSERT_EQ(mock::phys::pinned(), pins);
				ASSERT_EQ(locked() + second.mm.locked_vm, charged);
			} else {
				ASSERT_EQ(static_cast<u32>(ret), n);
			}
		}
		}
	}

	// What the core does not hear of.
	void world_step()
	{
		mock::Process &whose = bytes.flag() ? process : second;

		if (&whose == &second && !second_lives)
			return;
		switch (below(5)) {
		case 0:
			whose.mm.unmap(kAt + below(140) * kPage, 1 + below(8));
			break;
		case 1:
			give_memory(whose, 0x100000 + below(4) * 0x1000);
			break;
		case 2:
			whose.task.rlimit_pages = below(256);
			break;
		case 3:
			whose.task.ipc_lock = bytes.flag();
			break;
		default:
			if (&whose == &second) {
				second.exit();
				second_lives = false;
			}
		}
	}

	void step()
	{
		const u8 what = bytes.byte();
		const mock::As as_caller(what < 192 || !second_lives ? &process : &second);
		const std::map<u64, u64> pins = mock::phys::pinned();
		const u64 charged = locked() + second.mm.locked_vm;
		const auto expect_unchanged = [&] {
			ASSERT_EQ(mock::phys::pinned(), pins);
			ASSERT_EQ(locked() + second.mm.locked_vm, charged);
		};

		switch (what % 16) {
		case 0:
		case 1: {
			Type1Model::Group &group = any_group();
			const bool before = group.attached;

			plan_failure(bytes);
			const int ret = c->attach(group.group, group.emulated);
			ASSERT_LE(ret, 0);
			if (ret == 0) {
				ASSERT_FALSE(before);
				group.attached = true;
			} else {
				expect_unchanged();
			}
			break;
		}
		case 2:
			plan_failure(bytes);
			detach(any_group());
			break;
		case 3:
			world_step();
			break;
		case 4:
			plan_failure(bytes);
			(void)get_info(*c, static_cast<u32>(below(512)));
			break;
		case 5:
		case 6:
		case 7:
			plan_failure(bytes);
			device_step(*model.groups[4 + below(2)]);
			break;
		default:
			plan_failure(bytes);
			(void)ioctl_step();
		}
		mock::plan.reset();
		const std::vector<std::string> violations = mock::take_violations();
		ASSERT_TRUE(violations.empty()) << violations.front();
	}

	void fuzz() override
	{
		choices = &bytes;
		for (u64 i = 0; i < 400 && !bytes.empty(); i++) {
			draw_mood();
			step();
		}
		finish();
	}

	bool second_lives = true;
};

} // namespace

FUZZ_TARGET(FailingFuzz)
