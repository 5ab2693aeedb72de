// SPDX-License-Identifier: GPL-2.0
//
// Random steps of a VMM and its guest on one container of vfio_zpci: anything in the guest's
// tables, memory that comes and goes, anchors, refreshes by all ways, groups, and calls of the
// shim that fail. Beside it a plain model that says what the hardware must map. The random
// test and the fuzzer take the steps.
//
// What the model leaves open: after a fault, pages behind it are as they were or not mapped; a
// unit that one large frame has mapped may be refreshed and may go as a whole; after a call of
// the shim has failed, a page of the range may not be mapped. Nothing else may be different.
#pragma once

#include <array>
#include <optional>

#include "choices.hpp"
#include "plain_walk.hpp"
#include "zpci_fixture.hpp"

class ZpciSteps : public zpci_test::ZpciTest<dma_test::DmaTest> {
protected:
	// Draws the machine, and starts a guest.
	void begin();
	// One step, and compares.
	void step();

	Choices *choices = nullptr;
	// How many refreshes have ended well, with pages mapped.
	u64 well = 0;

private:
	static constexpr u64 kPage = mock::kPage;
	static constexpr u32 kFunctions = 3;
	static constexpr u32 kGroups = 2;
	static constexpr u32 kFirstFh = 100;
	// The second group's IOMMU does not translate these.
	static constexpr u64 kRegionFirst = 0x10'0000;
	static constexpr u64 kRegionLast = 0x1f'ffff;
	// So many pages of the guest's memory have tables.
	static constexpr u64 kTablePages = 20;

	// Where the guest may have memory.
	struct Slot {
		u64 page;
		u64 npages;
		bool device;
		bool mapped = false;
	};

	struct Anchor {
		bool operator==(const Anchor &other) const
		{
			return direct == other.direct && first == other.first &&
			       last == other.last && (direct || table == other.table);
		}

		bool direct = false;
		PlainTable table = {};
		u64 first = 0;
		u64 last = 0;
	};

	struct Group {
		mock::Hardware hardware;
		std::optional<iommu_group> group;
		bool attached = false;
		u32 anchored = 0;
		Anchor anchor;
		Targets now;
	};

	struct Function {
		bool known = false;
		Group *group = nullptr;
		bool registered = false;
		u32 state = 0;
		u32 event = 0;
		u64 address = 0;
		bool bell = false;
		u64 bell_page = 0;
	};

	// What a page may be mapped to; a page that is not in the map is not mapped.
	using Allowed = std::map<u64, std::vector<Target>>;

	struct Outcome {
		u32 cc = 0;
		u32 status = 0;
		u32 event = 0;
		u64 address = 0;
		u64 done = 0;
		Allowed after;
	};

	using Ranges = std::vector<vfio_zpci_range>;

	u64 below(u64 n)
	{
		return choices->below(n);
	}

	u64 some_iova(bool vtd, unsigned int top);
	u64 some_frame();
	static u64 invalid_entry(bool vtd, unsigned int level);
	u64 some_entry(bool vtd, unsigned int level);
	void write(u64 address, bool vtd, u64 entry);

	void build(const PlainTable &table);
	void table_step();
	void register_step();
	void function_step();
	void memory_step();
	void group_step();
	void refresh_step();

	bool plan_failure();
	void change_memory(Slot &slot, bool mapped, u32 prot);
	void drop_anchor(Function &function);
	void forget(Function &function);
	Targets direct_targets(const Group &group) const;
	long expected_registration(const vfio_zpci_register &request, Anchor &anchor);
	vfio_zpci_range some_range(const Function &function);
	bool predict(const Function &function, const Ranges &ranges, bool failing,
		     std::vector<Outcome> &outcomes);
	bool refresh_one(const Group &group, u64 first, u64 last, bool failing, Outcome &outcome);
	u64 unit_size(const Group &group) const;
	bool unit_is_full(const Group &group, u64 iova) const;
	void ask(const Function &function, const Ranges &ranges);
	u64 completion(const Function &function) const;
	void ring(const Function &function, Outcome &seen);
	static Targets hardware_of(const Group &group);
	static bool matches(const Allowed &allowed, const Targets &found);
	void check();

	std::vector<Slot> slots_;
	GuestPages guest_;
	std::array<Group, kGroups> groups_;
	std::array<Function, kFunctions> functions_;
	std::optional<mock::GroupFile> files_[kGroups];
	std::optional<mock::Bell> bell_;
};
