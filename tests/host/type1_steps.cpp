// SPDX-License-Identifier: GPL-2.0
#include "type1_steps.hpp"

void Type1Steps::some_range(u64 &iova, u64 &npages)
{
	const u8 which = choices->byte();

	if (which < 64 || model.mappings.empty()) {
		any_range(iova, npages);
		return;
	}
	const auto at =
		std::next(model.mappings.begin(), static_cast<long>(which % model.mappings.size()));
	iova = at->second.iova;
	npages = at->second.npages;
}

void Type1Steps::device_step(Type1Model::Group &group)
{
	u64 iova, npages;

	some_range(iova, npages);
	if (!group.attached || model.any_invalid())
		return;
	switch (below(4)) {
	case 0: {
		// Only what was pinned may be unpinned.
		const auto at = device->pinned.lower_bound(iova);
		if (at == device->pinned.end())
			return;
		const u64 page = at->first;
		model.unpin(page, 1);
		device->unpin(page, 1);
		break;
	}
	case 1: {
		std::vector<u8> data(npages * kPage);
		const u64 offset = below(kPage), size = 1 + below(data.size() - offset);
		const auto mapping = model.mappings.find(iova);

		// The model has no opinion on the result, only on what it dirties.
		if (mapping == model.mappings.end() || mapping->second.npages < npages ||
		    mapping->second.owner != &process)
			return;
		if (c->rw(iova + offset, data.data(), size, true) == 0)
			model.mark_written(iova + offset, size);
		break;
	}
	default: {
		const u32 prot = 1 + static_cast<u32>(below(3));
		const u64 start = iova + below(npages) * kPage;
		const u32 n = static_cast<u32>(
			std::min(1 + below(npages), (~u64{0} - start) / kPage + 1));
		const long expected = model.pin(group, start, n, prot);

		ASSERT_EQ(device->pin(start, n, prot), expected);
		succeeded += expected > 0;
	}
	}
}

void Type1Steps::dirty_step()
{
	const u64 what = below(16);
	u64 iova, npages;

	if (what == 0) {
		ASSERT_EQ(c->start_dirty(), 0);
		model.start_dirty();
		return;
	}
	if (what == 1) {
		ASSERT_EQ(c->stop_dirty(), 0);
		model.stop_dirty();
		return;
	}
	some_range(iova, npages);
	if (what < 8) {
		npages = kSpan;
		iova = choices->one_of(kBases);
	}
	std::vector<u64> bitmap((npages + 63) / 64 + 1, choices->byte() * 0x0101010101010101ull);
	std::vector<u64> expected = bitmap;
	if (what < 4) {
		const s64 want = model.unmap_dirty(iova, npages, expected);
		ASSERT_EQ(c->unmap_dirty(iova, npages * kPage, bitmap), want);
	} else {
		const long want = model.get_dirty(iova, npages, expected);
		ASSERT_EQ(c->get_dirty(iova, npages * kPage, bitmap), want);
		succeeded += want == 0;
	}
	ASSERT_EQ(bitmap, expected);
}

void Type1Steps::step(u8 what)
{
	static constexpr u32 kFlags[] = {kRead, kWrite, kReadWrite, kReadWrite};
	const mock::As as_caller(what < 224 ? &process : &second);
	u64 iova, npages;

	switch (what % kKinds) {
	case 0: {
		Type1Model::Group &group = any_group();
		const long want = model.attach(group);
		ASSERT_EQ(c->attach(group.group, group.emulated), want);
		succeeded += want == 0;
		break;
	}
	case kDetach:
		detach(any_group());
		break;
	case 2: {
		some_range(iova, npages);
		const s64 want = model.unmap(iova, iova + (npages * kPage - 1), true);
		ASSERT_EQ(c->unmap(iova, npages * kPage, VFIO_DMA_UNMAP_FLAG_VADDR), want);
		break;
	}
	case 3: {
		some_range(iova, npages);
		mock::Process &caller = *mock::current();
		const u64 uva = kAt + below(120) * kPage;
		const long want = model.give_vaddr(iova, npages, uva, caller);
		ASSERT_EQ(c->map(iova, uva, npages * kPage, VFIO_DMA_MAP_FLAG_VADDR), want);
		break;
	}
	case 4:
	case 5: {
		some_range(iova, npages);
		const s64 want = model.unmap(iova, iova + (npages * kPage - 1), false);
		ASSERT_EQ(c->unmap(iova, npages * kPage), want);
		succeeded += want > 0;
		break;
	}
	case kUnmapAll: {
		const s64 want = model.unmap(0, ~u64{0}, what >= 128);
		ASSERT_EQ(c->unmap_all(what >= 128 ? VFIO_DMA_UNMAP_FLAG_VADDR : 0), want);
		break;
	}
	case 7:
	case 8:
	case 9:
		device_step(*model.groups[4 + below(2)]);
		break;
	case 10:
	case 11:
		dirty_step();
		break;
	default: {
		any_range(iova, npages);
		mock::Process &caller = *mock::current();
		const u64 uva = kAt + below(134) * kPage;
		const u32 flags = choices->one_of(kFlags);
		const long want = model.map(iova, npages, uva, flags, caller);
		ASSERT_EQ(c->map(iova, uva, npages * kPage, flags), want)
			<< std::hex << iova << " " << npages << " " << uva << " " << flags;
		succeeded += want == 0;
	}
	}
	if (!HasFatalFailure())
		model.check();
}
