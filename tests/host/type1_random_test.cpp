// SPDX-License-Identifier: GPL-2.0
//
// Random calls against the model: results, errnos, the state of every domain,
// pins and locked_vm are compared after each step.
#include "type1_model.hpp"

namespace {

constexpr u64 kSteps = 25'000;
// Mappings lie in a few pages at zero, in the middle, and at the last address.
constexpr u64 kSpan = 48;
constexpr u64 kBases[] = {0, u64{1} << 32, ~u64{0} - kSpan *kPage + 1};
constexpr u64 kMostPages = 12;

class Type1Random : public Type1Test {
protected:
	void SetUp() override
	{
		Type1Test::SetUp();
		// Two processes with the same layout and different memory.
		for (mock::Process *each : {&process, &second}) {
			const u64 pfn = each == &process ? 0x1000 : 0x8000;

			each->mm.map(kAt, 64, pfn);
			each->mm.map(kAt + 64 * kPage, 32, pfn + 0x100, true, mock::Kind::kOrdinary,
				     3);
			each->mm.map(kAt + 96 * kPage, 8, 7, false, mock::Kind::kReserved, 0);
			each->mm.map(kAt + 104 * kPage, 8, pfn + 0x300, true,
				     mock::Kind::kReserved);
			each->mm.map(kAt + 112 * kPage, 8, mock::kDevicePfn + pfn, true,
				     mock::Kind::kBar);
			each->mm.map(kAt + 120 * kPage, 8, pfn + 0x400, false);
			each->mm.map(kAt + 130 * kPage, 2, pfn + 0x500, true, mock::Kind::kRamMap);
			each->task.rlimit_pages = 120;
		}
		units[0].aperture_last = ~u64{0};
		units[1].driver = 2;
		units[1].aperture_last = (u64{1} << 32) + kSpan / 2 * kPage - 1;
		units[2].family = 2;
		units[2].aperture_last = ~u64{0};
		for (mock::Hardware *unit : {&units[0], &units[0], &units[1], &units[2],
					     static_cast<mock::Hardware *>(nullptr),
					     static_cast<mock::Hardware *>(nullptr)})
			model.groups.push_back(std::make_unique<Type1Model::Group>(
				unit, static_cast<int>(model.groups.size())));
		model.groups[3]->group.reserved = {{3 * kPage, 6 * kPage - 1, SHIM_RESV_RESERVED}};
	}

	static constexpr u64 kAt = 0x7000'0000;

	u64 below(u64 n)
	{
		return rng() % n;
	}

	void any_range(u64 &iova, u64 &npages)
	{
		const u64 page = below(kSpan);

		iova = kBases[below(3)] + page * kPage;
		npages = std::min(1 + below(kMostPages), kSpan - page);
	}

	// Often just a mapping, so that more succeeds.
	void some_range(u64 &iova, u64 &npages)
	{
		any_range(iova, npages);
		if (below(3) && !model.mappings.empty()) {
			auto at = model.mappings.lower_bound(iova);
			if (at == model.mappings.end())
				at = model.mappings.begin();
			iova = at->second.iova;
			npages = at->second.npages;
		}
	}

	Type1Model::Group &any_group()
	{
		return *model.groups[below(model.groups.size())];
	}

	void step();
	void device_step(PinningDevice &device, Type1Model::Group &group);
	void dirty_step();
	void detach(Type1Model::Group &group);

	std::mt19937_64 rng;
	mock::Process second;
	mock::Hardware units[3];
	Type1Model model{{&process, &second}};
	std::unique_ptr<Container> c;
	std::unique_ptr<PinningDevice> device;
	u64 succeeded = 0;
};

void Type1Random::detach(Type1Model::Group &group)
{
	// A device is closed before its group leaves.
	const bool last = group.attached && group.emulated &&
			  std::count_if(model.groups.begin(), model.groups.end(), [](auto &other) {
				  return other->attached && other->emulated;
			  }) == 1;
	if (last) {
		for (const auto &[iova, count] : device->pinned)
			for (u32 i = 0; i < count; i++)
				model.unpin(iova, 1);
		device->unpin_all();
	}
	c->detach(group.group);
	model.detach(group);
}

void Type1Random::device_step(PinningDevice &pinning, Type1Model::Group &group)
{
	u64 iova, npages;

	some_range(iova, npages);
	if (!group.emulated || !group.attached || model.any_invalid())
		return;
	if (below(3) == 0) {
		// Only what was pinned may be unpinned.
		const auto at = pinning.pinned.lower_bound(iova);
		if (at == pinning.pinned.end())
			return;
		const u64 page = at->first;
		model.unpin(page, 1);
		pinning.unpin(page, 1);
	} else if (below(4) == 0) {
		std::vector<u8> bytes(npages * kPage);
		const u64 offset = below(kPage), size = 1 + below(npages * kPage - offset);
		// The model has no opinion on the result, only on what it dirties.
		const auto mapping = model.mappings.find(iova);
		if (mapping == model.mappings.end() || mapping->second.npages < npages ||
		    mapping->second.owner != &process)
			return;
		if (c->rw(iova + offset, bytes.data(), size, true) == 0)
			model.mark_written(iova + offset, size);
	} else {
		const u32 prot = 1 + static_cast<u32>(below(3));
		const u64 start = iova + below(npages) * kPage;
		const u32 n = static_cast<u32>(
			std::min(1 + below(npages), (~u64{0} - start) / kPage + 1));
		const long expected = model.pin(group, start, n, prot);

		ASSERT_EQ(pinning.pin(start, n, prot), expected);
		succeeded += expected > 0;
	}
}

void Type1Random::dirty_step()
{
	u64 iova, npages;

	some_range(iova, npages);
	if (below(4) == 0) {
		npages = kSpan;
		iova = kBases[below(3)];
	}
	std::vector<u64> bitmap((npages + 63) / 64 + 1);
	for (u64 &word : bitmap)
		word = rng();
	std::vector<u64> expected = bitmap;

	switch (below(10)) {
	case 0:
		ASSERT_EQ(c->start_dirty(), 0);
		model.start_dirty();
		break;
	case 1:
		if (below(4) == 0) {
			ASSERT_EQ(c->stop_dirty(), 0);
			model.stop_dirty();
		}
		break;
	case 2: {
		const s64 want = model.unmap_dirty(iova, npages, expected);
		ASSERT_EQ(c->unmap_dirty(iova, npages * kPage, bitmap), want);
		ASSERT_EQ(bitmap, expected);
		break;
	}
	default: {
		const long want = model.get_dirty(iova, npages, expected);
		ASSERT_EQ(c->get_dirty(iova, npages * kPage, bitmap), want);
		ASSERT_EQ(bitmap, expected);
		succeeded += want == 0;
	}
	}
}

void Type1Random::step()
{
	static constexpr u32 kFlags[] = {kRead, kWrite, kReadWrite, kReadWrite};
	mock::Process &caller = below(8) ? process : second;
	const mock::As as_caller(&caller);
	u64 iova, npages;

	switch (below(16)) {
	case 0: {
		Type1Model::Group &group = any_group();
		const long want = model.attach(group);

		ASSERT_EQ(c->attach(group.group, group.emulated), want);
		succeeded += want == 0;
		break;
	}
	case 1:
		if (below(2))
			detach(any_group());
		break;
	case 2: {
		some_range(iova, npages);
		const s64 want = model.unmap(iova, iova + (npages * kPage - 1), true);
		ASSERT_EQ(c->unmap(iova, npages * kPage, VFIO_DMA_UNMAP_FLAG_VADDR), want);
		break;
	}
	case 3:
	case 4: {
		some_range(iova, npages);
		const u64 uva = kAt + below(120) * kPage;
		const long want = model.give_vaddr(iova, npages, uva, caller);
		ASSERT_EQ(c->map(iova, uva, npages * kPage, VFIO_DMA_MAP_FLAG_VADDR), want);
		break;
	}
	case 5:
	case 6: {
		some_range(iova, npages);
		const s64 want = model.unmap(iova, iova + (npages * kPage - 1), false);
		ASSERT_EQ(c->unmap(iova, npages * kPage), want);
		succeeded += want > 0;
		break;
	}
	case 7:
		if (below(20) == 0) {
			const s64 want = model.unmap(0, ~u64{0}, false);
			ASSERT_EQ(c->unmap_all(), want);
		}
		break;
	case 8:
	case 9:
	case 10:
		device_step(*device, *model.groups[4 + below(2)]);
		break;
	case 11:
	case 12:
		dirty_step();
		break;
	default: {
		any_range(iova, npages);
		const u64 uva = kAt + below(134) * kPage;
		const u32 flags = kFlags[below(4)];
		const long want = model.map(iova, npages, uva, flags, caller);

		ASSERT_EQ(c->map(iova, uva, npages * kPage, flags), want)
			<< std::hex << iova << " " << npages << " " << uva << " " << flags;
		succeeded += want == 0;
	}
	}
}

TEST_F(Type1Random, AgainstTheModel)
{
	rng = random("AgainstTheModel");
	mock::type1_params.dma_entry_limit = 20;
	model.entry_limit = 20;
	c = std::make_unique<Container>();
	// Pins through whatever group; the group only matters for the scope.
	device = std::make_unique<PinningDevice>(*c, model.groups[4]->group);

	for (u64 i = 0; i < kSteps; i++) {
		process.mm.pin_batch = second.mm.pin_batch = below(3) ? ~u64{0} : 1 + below(5);
		mock::type1_params.disable_hugepages = below(8) == 0;
		step();
		if (!HasFatalFailure())
			model.check();
		if (HasFatalFailure()) {
			ADD_FAILURE() << "step " << i;
			break;
		}
	}
	for (const auto &group : model.groups)
		detach(*group);
	if (!HasFatalFailure())
		model.check();
	device.reset();
	c.reset();
	EXPECT_GT(succeeded, kSteps / 20);
	printf("%llu of %llu steps succeeded\n", succeeded, kSteps);
}

} // namespace
