// SPDX-License-Identifier: GPL-2.0
#include "type1_world.hpp"

void Type1World::SetUp()
{
	Type1Test::SetUp();
	for (mock::Process *each : {&process, &second})
		give_memory(*each, each == &process ? 0x1000 : 0x8000);
	units[0].aperture_last = ~u64{0};
	units[1].driver = 2;
	units[1].aperture_last = (u64{1} << 32) + kSpan / 2 * kPage - 1;
	units[2].family = 2;
	units[2].aperture_last = ~u64{0};
	mock::Hardware *const none = nullptr;
	for (mock::Hardware *unit : {&units[0], &units[0], &units[1], &units[2], none, none})
		model.groups.push_back(std::make_unique<Type1Model::Group>(
			unit, static_cast<int>(model.groups.size())));
	model.groups[3]->group.reserved = {{3 * kPage, 6 * kPage - 1, SHIM_RESV_RESERVED}};
	mock::type1_params.dma_entry_limit = kLimit;
	model.entry_limit = kLimit;
	c = std::make_unique<Container>();
	// Pins through whatever group; the group only matters for the scope.
	device = std::make_unique<PinningDevice>(*c, model.groups[4]->group);
}

void Type1World::finish()
{
	mock::plan.reset();
	for (const auto &group : model.groups)
		detach(*group);
	end();
	device.reset();
	c.reset();
	// A dead process is not uncharged.
	if (second.mm.users > 0) {
		ASSERT_EQ(second.mm.locked_vm, 0u);
	}
}

void Type1World::give_memory(mock::Process &to, u64 pfn) const
{
	to.mm.map(kAt, 64, pfn);
	to.mm.map(kAt + 64 * kPage, 32, pfn + 0x100, true, mock::Kind::kOrdinary, 3);
	to.mm.map(kAt + 96 * kPage, 8, 7, false, mock::Kind::kReserved, 0);
	to.mm.map(kAt + 104 * kPage, 8, pfn + 0x300, true, mock::Kind::kReserved);
	to.mm.map(kAt + 112 * kPage, 8, mock::kDevicePfn + pfn, true, mock::Kind::kBar);
	to.mm.map(kAt + 120 * kPage, 8, pfn + 0x400, false);
	to.mm.map(kAt + 130 * kPage, 2, pfn + 0x500, true, mock::Kind::kRamMap);
	to.task.rlimit_pages = rlimit_pages;
}

void Type1World::draw_mood()
{
	const u8 mood = choices->byte();

	process.mm.pin_batch = second.mm.pin_batch = mood % 4 ? ~u64{0} : 1 + mood / 4 % 5;
	mock::type1_params.disable_hugepages = mood >= 240;
}

void Type1World::any_range(u64 &iova, u64 &npages)
{
	const u64 page = below(kSpan);

	iova = kBases[below(3)] + page * kPage;
	npages = std::min(1 + below(most_pages), kSpan - page);
}

Type1Model::Group &Type1World::any_group()
{
	return *model.groups[below(model.groups.size())];
}

void Type1World::detach(Type1Model::Group &group)
{
	// A device is closed before its group leaves.
	const bool last = group.attached && group.emulated &&
			  std::count_if(model.groups.begin(), model.groups.end(), [](auto &other) {
				  return other->attached && other->emulated;
			  }) == 1;

	if (last) {
		for (const auto &[iova, count] : device->pinned)
			for (u32 i = 0; i < count; i++)
				before_unpin(iova);
		device->unpin_all();
	}
	c->detach(group.group);
	detached(group);
}
