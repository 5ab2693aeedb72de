// SPDX-License-Identifier: GPL-2.0
//
// The world of the type1 targets: two processes whose memory has pages of all
// kinds, six groups behind three IOMMUs that cannot all share a domain (and
// two groups without hardware), a container and a device that pins.
#pragma once

#include "fuzz.hpp"
#include "type1_model.hpp"

class Type1Fuzz : public fuzz::Input<Type1Test> {
protected:
	using Input::Input;

	// Mappings lie in a few pages at zero, in the middle, and at the last address.
	static constexpr u64 kSpan = 80;
	static constexpr u64 kBases[] = {0, u64{1} << 32, ~u64{0} - kSpan *kPage + 1};
	static constexpr u64 kAt = 0x7000'0000;
	static constexpr u32 kLimit = 20;
	static constexpr u64 kSteps = 400;

	virtual void step() = 0;
	virtual void before_unpin(u64 iova)
	{
	}
	virtual void detached(Type1Model::Group &group) = 0;

	void fuzz() override
	{
		for (mock::Process *each : {&process, &second})
			give_memory(*each, each == &process ? 0x1000 : 0x8000);
		units[0].aperture_last = ~u64{0};
		units[1].driver = 2;
		units[1].aperture_last = (u64{1} << 32) + kSpan / 2 * kPage - 1;
		units[2].family = 2;
		units[2].aperture_last = ~u64{0};
		mock::Hardware *const none = nullptr;
		for (mock::Hardware *unit :
		     {&units[0], &units[0], &units[1], &units[2], none, none})
			model.groups.push_back(std::make_unique<Type1Model::Group>(
				unit, static_cast<int>(model.groups.size())));
		model.groups[3]->group.reserved = {{3 * kPage, 6 * kPage - 1, SHIM_RESV_RESERVED}};
		mock::type1_params.dma_entry_limit = kLimit;
		model.entry_limit = kLimit;
		c = std::make_unique<Container>();
		device = std::make_unique<PinningDevice>(*c, model.groups[4]->group);

		for (u64 i = 0; i < kSteps && !bytes.empty(); i++) {
			const u8 mood = bytes.byte();

			process.mm.pin_batch = second.mm.pin_batch =
				mood % 4 ? ~u64{0} : 1 + mood / 4 % 5;
			mock::type1_params.disable_hugepages = mood >= 240;
			step();
		}
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

	virtual void end()
	{
	}

	static void give_memory(mock::Process &to, u64 pfn)
	{
		to.mm.map(kAt, 64, pfn);
		to.mm.map(kAt + 64 * kPage, 32, pfn + 0x100, true, mock::Kind::kOrdinary, 3);
		to.mm.map(kAt + 96 * kPage, 8, 7, false, mock::Kind::kReserved, 0);
		to.mm.map(kAt + 104 * kPage, 8, pfn + 0x300, true, mock::Kind::kReserved);
		to.mm.map(kAt + 112 * kPage, 8, mock::kDevicePfn + pfn, true, mock::Kind::kBar);
		to.mm.map(kAt + 120 * kPage, 8, pfn + 0x400, false);
		to.mm.map(kAt + 130 * kPage, 2, pfn + 0x500, true, mock::Kind::kRamMap);
		to.task.rlimit_pages = 160;
	}

	void any_range(u64 &iova, u64 &npages)
	{
		const u64 page = below(kSpan);

		iova = kBases[below(3)] + page * kPage;
		npages = std::min(1 + below(kSpan), kSpan - page);
	}

	Type1Model::Group &any_group()
	{
		return *model.groups[below(model.groups.size())];
	}

	bool attached(bool emulated) const
	{
		return std::any_of(model.groups.begin(), model.groups.end(), [&](auto &group) {
			return group->attached && group->emulated == emulated;
		});
	}

	// A device is closed before its group leaves.
	void detach(Type1Model::Group &group)
	{
		const bool last =
			group.attached && group.emulated &&
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

	mock::Process second;
	mock::Hardware units[3];
	Type1Model model{{&process, &second}};
	std::unique_ptr<Container> c;
	std::unique_ptr<PinningDevice> device;
};
