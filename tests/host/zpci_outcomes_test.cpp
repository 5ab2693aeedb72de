// SPDX-License-Identifier: GPL-2.0
//
// The outcomes of a refresh, one test a row: those of RPCIT as QEMU's s390 PCI instructions
// have them (condition code, status, state, and the error event with its fields), for tables
// of each designation type; and for second-level tables of VT-d, of 3, 4 and 5 levels, what
// QEMU's emulated VT-d maps. Where that skips an entry that is wrong, a refresh ends.
#include "nested_world.hpp"
#include "zpci_fixture.hpp"

namespace nested_test {

namespace {

constexpr u32 kFh = 0x81'0007;
constexpr u32 kFid = 42;
constexpr u64 kIova = 0x1234'5000;
constexpr u64 kPba = 0x1000'0000;
constexpr u64 kPal = 0x3fff'ffff;
constexpr u64 kOutside = u64{1} << 40;

template <u32 top> struct S390Tables : S390Guest {
	static constexpr u32 kTop = top;
};

template <class Guest> class Outcomes : public zpci_test::ZpciTest<GuestTest<Guest>> {
protected:
	using Base = zpci_test::ZpciTest<GuestTest<Guest>>;

	void SetUp() override
	{
		Base::SetUp();
		ASSERT_EQ(zpci_attach_group(this->zpci, &this->group, false), 0);
		this->root = this->new_table(Guest::kTop);
		ASSERT_EQ(this->map_memory(0, Base::kPages), 0);
		ASSERT_EQ(register_function(), 0);
		this->map(kIova, 7 * kPage);
	}

	long register_function()
	{
		const bool vtd = Guest::kFormat == GuestTable::Format::kVtd;
		vfio_zpci_register request = {};

		request.fh = kFh;
		request.fid = kFid;
		request.group_fd = Base::kGroupFd;
		request.format = vtd ? VFIO_ZPCI_FORMAT_VTD : VFIO_ZPCI_FORMAT_S390;
		request.levels = vtd ? Guest::kTop + 1 : 0;
		request.anchor = vtd ? this->root : this->root | 0x800 | (Guest::kTop - 1) << 2;
		request.pba = kPba;
		request.pal = kPal;
		return this->ioctl(VFIO_ZPCI_REGISTER, request);
	}

	void refresh(u32 cc, u32 status, u64 start = kIova, u64 length = kPage, u32 fh = kFh)
	{
		vfio_zpci_refresh request = {};

		request.fh = fh;
		request.start = start;
		request.length = length;
		EXPECT_EQ(this->ioctl(VFIO_ZPCI_REFRESH, request), 0);
		EXPECT_EQ(request.cc, cc);
		EXPECT_EQ(request.status, status);
	}

	void well(u64 start = kIova, u64 length = kPage)
	{
		refresh(VFIO_ZPCI_CC_OK, 0, start, length);
		EXPECT_EQ(this->event(kFh).code, 0u);
		EXPECT_EQ(this->statistics(kFh).state, u32{VFIO_ZPCI_STATE_ENABLED});
	}

	// The refresh puts the function into the error state, with an event; then the guest
	// recovers it.
	void error(u32 code, u64 address, u64 start = kIova, u64 length = kPage)
	{
		const Targets before = mapped();

		refresh(VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR, start, length);
		EXPECT_EQ(this->statistics(kFh).state, u32{VFIO_ZPCI_STATE_ERROR});
		refresh(VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_IN_ERROR, start, length);
		const vfio_zpci_event event = this->event(kFh, VFIO_ZPCI_EVENT_CLEAR);
		EXPECT_EQ(event.code, code);
		EXPECT_EQ(event.fh, kFh);
		EXPECT_EQ(event.fid, kFid);
		EXPECT_EQ(event.address, address);
		EXPECT_EQ(this->event(kFh).code, 0u);
		EXPECT_EQ(mapped(), before);
		ASSERT_EQ(this->set_state(kFh, VFIO_ZPCI_STATE_ENABLED), 0);
	}

	// An entry of each level that is wrong, one after the other.
	void wrong_entries(u32 code, u32 lowest, u64 (*wrong)(u32 level, u64 right))
	{
		for (u32 level = lowest; level <= Guest::kTop; level++) {
			const u64 place = this->entry(level, kIova);
			const u64 right = Guest::Format::host_order(this->at(place));

			this->write(place, wrong(level, right));
			error(code, kIova);
			this->write(place, right);
		}
		well();
	}

	Targets mapped() const
	{
		Targets targets;

		for (const auto &[iova, pte] : this->group.domain->ptes)
			targets[iova / kPage] = {pte.pfn, pte.prot & kReadWrite};
		return targets;
	}

	mock::GroupFile file{Base::kGroupFd, &this->group};
};

template <class Guest> class RpcitOutcomes : public Outcomes<Guest> {
};
template <class Guest> class VtdOutcomes : public Outcomes<Guest> {
};

using S390Guests = testing::Types<S390Tables<1>, S390Tables<2>, S390Tables<3>, S390Tables<4>>;
using VtdGuests = testing::Types<VtdGuest<3>, VtdGuest<4>, VtdGuest<5>>;
TYPED_TEST_SUITE(RpcitOutcomes, S390Guests);
TYPED_TEST_SUITE(VtdOutcomes, VtdGuests);

// A group for which the IOMMU does not translate some addresses inside the window.
class OutcomesAroundAHole : public Outcomes<S390Tables<3>> {
protected:
	static constexpr u64 kHole = 0x2000'0000, kAbove = 0x3000'0000;

	void SetUp() override
	{
		group.reserved.push_back({kHole, kHole + 0xf'ffff, SHIM_RESV_RESERVED});
		Outcomes::SetUp();
	}
};

TEST_F(OutcomesAroundAHole, ExhaustedResourcesBelowItLeaveNothingAboveItMapped)
{
	map(kAbove, 8 * kPage);
	well(kPba, kPal - kPba + 1);
	EXPECT_EQ(mapped().count(kAbove / kPage), 1u);
	map(kIova + kPage, 9 * kPage);
	unmap(kAbove);
	mock::plan.fail(mock::Fail::kDomainMap, 1);
	refresh(VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_NO_RESOURCES, kPba, kPal - kPba + 1);
	EXPECT_EQ(mapped().count(kAbove / kPage), 0u) << "what is invalid goes nevertheless";
	well(kPba, kPal - kPba + 1);
	EXPECT_EQ(mapped().size(), 2u);
}

TYPED_TEST(RpcitOutcomes, UnknownHandleIsCc3)
{
	this->refresh(VFIO_ZPCI_CC_INVALID_HANDLE, 0, kIova, kPage, kFh + 1);
	ASSERT_EQ(this->deregister(kFh, VFIO_ZPCI_DEREGISTER_FORGET), 0);
	this->refresh(VFIO_ZPCI_CC_INVALID_HANDLE, 0);
}

TYPED_TEST(RpcitOutcomes, DisabledAndPermanentErrorAreCc3)
{
	for (const u32 state : {VFIO_ZPCI_STATE_PERMANENT_ERROR, VFIO_ZPCI_STATE_DISABLED}) {
		ASSERT_EQ(this->set_state(kFh, state), 0);
		this->refresh(VFIO_ZPCI_CC_INVALID_HANDLE, 0);
		EXPECT_EQ(this->event(kFh).code, 0u);
		EXPECT_EQ(this->statistics(kFh).state, state);
	}
}

TYPED_TEST(RpcitOutcomes, TheErrorStateIsStatus40)
{
	ASSERT_EQ(this->set_state(kFh, VFIO_ZPCI_STATE_ERROR), 0);
	this->refresh(VFIO_ZPCI_CC_ERROR, 40);
	EXPECT_EQ(this->event(kFh).code, 0u);
	EXPECT_TRUE(this->mapped().empty());
}

TYPED_TEST(RpcitOutcomes, NoAnchorIsEvent1)
{
	ASSERT_EQ(this->deregister(kFh), 0);
	this->error(1, kIova);
}

TYPED_TEST(RpcitOutcomes, OutsideTheWindowIsEvent2)
{
	this->error(2, 0, 0, kPage);
	this->error(2, kPal + 1, kPal + 1, kPage);
	this->error(2, kPba - kPage, kPba - kPage, 2 * kPage);
	this->error(2, kPal, kPal, 2);
	this->error(2, kIova, kIova, ~u64{0});
	this->well(kPal, 1);
}

TYPED_TEST(RpcitOutcomes, MemoryThatPermitsNoneOfTheAccessIsEvent4)
{
	ASSERT_EQ(this->unmap_all_memory(), 0);
	ASSERT_EQ(this->map_memory(0, 16, VFIO_DMA_MAP_FLAG_WRITE), 0);
	ASSERT_EQ(this->map_memory(16, this->kPages - 16), 0);
	this->map(kIova, 7 * kPage, SHIM_IOMMU_READ);
	this->error(4, kIova);
	this->map(kIova, 7 * kPage);
	this->well();
	EXPECT_EQ(this->mapped(), (Targets{{kIova / kPage, {this->kPfn + 7, SHIM_IOMMU_WRITE}}}));
}

TYPED_TEST(RpcitOutcomes, AZeroEntryIsEvent7)
{
	this->wrong_entries(7, 0, [](u32, u64) { return u64{0}; });
}

TYPED_TEST(RpcitOutcomes, ATableOutsideTheGuestIsEvent7)
{
	this->wrong_entries(7, 0, [](u32, u64 right) { return right | kOutside; });
}

TYPED_TEST(RpcitOutcomes, AnAnchorOutsideTheGuestIsEvent7)
{
	ASSERT_EQ(this->deregister(kFh), 0);
	this->root |= kOutside;
	ASSERT_EQ(this->register_function(), 0);
	this->error(7, kIova);
}

// Of region tables: the length is 3, the offset 0.
TYPED_TEST(RpcitOutcomes, LengthAndOffsetOfARegionTableAreEvent8)
{
	this->wrong_entries(8, 2, [](u32, u64 right) { return right & ~u64{3}; });
	this->wrong_entries(8, 2, [](u32, u64 right) { return (right & ~u64{3}) | 1; });
	this->wrong_entries(8, 2, [](u32, u64 right) { return right | 0x40; });
	this->wrong_entries(8, 2, [](u32, u64 right) { return right | 0x80; });
}

TYPED_TEST(RpcitOutcomes, AnEntryThatLeadsToAddress0IsEvent9)
{
	this->wrong_entries(9, 0, [](u32 level, u64) -> u64 { return level >= 2 ? 0x7 : 0x200; });
}

TYPED_TEST(RpcitOutcomes, PagesBeforeAWrongEntryAreRefreshed)
{
	this->map(kIova + kPage, 9 * kPage);
	this->write(this->entry(0, kIova + 2 * kPage), 0);
	this->refresh(VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR, kIova, 4 * kPage);
	EXPECT_EQ(this->event(kFh).address, kIova + 2 * kPage);
	EXPECT_EQ(this->mapped().size(), 2u);
}

// What is invalid is unmapped nevertheless; when there is room again, a refresh of all
// succeeds.
TYPED_TEST(RpcitOutcomes, ExhaustedResourcesAreStatus16)
{
	this->well();
	this->unmap(kIova);
	this->map(kIova + kPage, 9 * kPage);
	mock::plan.fail(mock::Fail::kDomainMap);
	this->refresh(VFIO_ZPCI_CC_ERROR, 16, kIova, 2 * kPage);
	EXPECT_TRUE(this->mapped().empty());
	EXPECT_EQ(this->event(kFh).code, 0u);
	EXPECT_EQ(this->statistics(kFh).state, u32{VFIO_ZPCI_STATE_ENABLED});
	this->well(kPba, kPal - kPba + 1);
	EXPECT_EQ(this->mapped().size(), 1u);
}

// At each level it is the whole frame of the entry.
TYPED_TEST(RpcitOutcomes, AnInvalidEntryUnmapsItsFrame)
{
	for (u32 level = 0; level <= TypeParam::kTop; level++) {
		const u64 place = this->entry(level, kIova);
		const u64 right = TypeParam::Format::host_order(this->at(place));

		this->well();
		EXPECT_EQ(this->mapped().size(), 1u);
		this->write(place, right | (level ? 0x20 : 0x400));
		this->well();
		EXPECT_TRUE(this->mapped().empty()) << "level " << level;
		this->write(place, right);
	}
}

TYPED_TEST(RpcitOutcomes, ProtectionOfAnyLevelIsReadOnly)
{
	for (u32 level = 0; level <= TypeParam::kTop; level++) {
		const u64 place = this->entry(level, kIova);
		const u64 right = TypeParam::Format::host_order(this->at(place));

		this->write(place, right | 0x200);
		this->well();
		EXPECT_EQ(this->mapped(),
			  (Targets{{kIova / kPage, {this->kPfn + 7, SHIM_IOMMU_READ}}}))
			<< "level " << level;
		this->write(place, right);
		this->well();
		EXPECT_EQ(this->mapped(), (Targets{{kIova / kPage, {this->kPfn + 7, kReadWrite}}}));
	}
}

TYPED_TEST(RpcitOutcomes, ASegmentFrameIsAMebibyte)
{
	const u64 segment = kPba + TypeParam::kUnit;

	this->map_frame(segment, 2 * TypeParam::kUnit);
	this->well(segment, TypeParam::kUnit);
	const Targets found = this->mapped();
	ASSERT_EQ(found.size(), 256u);
	EXPECT_EQ(found.begin()->second.pfn, this->kPfn + 512);
	EXPECT_EQ(found.rbegin()->second.pfn, this->kPfn + 767);
}

TYPED_TEST(RpcitOutcomes, NoLengthIsInOrder)
{
	this->well(kIova, 0);
	EXPECT_TRUE(this->mapped().empty());
}

// Neither reading nor writing: not present, whatever else the entry has.
TYPED_TEST(VtdOutcomes, AnEntryThatIsNotPresentUnmapsItsFrame)
{
	for (u32 level = 0; level <= TypeParam::kTop; level++) {
		const u64 place = this->entry(level, kIova);
		const u64 right = TypeParam::Format::host_order(this->at(place));

		this->well();
		EXPECT_EQ(this->mapped().size(), 1u);
		this->write(place, (right & ~u64{3}) | kOutside);
		this->well();
		EXPECT_TRUE(this->mapped().empty()) << "level " << level;
		this->write(place, right);
	}
}

TYPED_TEST(VtdOutcomes, AccessIsWhatAllLevelsPermit)
{
	for (u32 level = 0; level <= TypeParam::kTop; level++)
		for (const u32 access : {SHIM_IOMMU_READ, SHIM_IOMMU_WRITE}) {
			const u64 place = this->entry(level, kIova);
			const u64 right = TypeParam::Format::host_order(this->at(place));

			this->write(place, (right & ~u64{3}) | access);
			this->well();
			EXPECT_EQ(this->mapped(),
				  (Targets{{kIova / kPage, {this->kPfn + 7, access}}}))
				<< "level " << level;
			this->write(place, right);
			this->well();
		}
}

TYPED_TEST(VtdOutcomes, TablesThatTogetherPermitNothingMapNothing)
{
	const u64 place = this->entry(1, kIova);
	const u64 right = TypeParam::Format::host_order(this->at(place));

	this->map(kIova, 7 * kPage, SHIM_IOMMU_WRITE);
	this->write(place, (right & ~u64{3}) | SHIM_IOMMU_READ);
	this->well();
	EXPECT_TRUE(this->mapped().empty());
}

// 2 MiB, and 1 GiB, most of which the guest does not have.
TYPED_TEST(VtdOutcomes, LargeFrames)
{
	const u64 at = kPba + TypeParam::kUnit;

	this->map_frame(at, 2 * TypeParam::kUnit);
	this->well(at, TypeParam::kUnit);
	EXPECT_EQ(this->mapped().size(), 512u);
	EXPECT_EQ(this->mapped().begin()->second.pfn, this->kPfn + 1024);

	this->write(this->entry(2, kIova), TypeParam::frame_entry(0, kReadWrite));
	this->error(VFIO_ZPCI_EVENT_ENTRY, kPba, kPba, kPage);
	this->write(this->entry(2, kIova), 0);
	this->well(kPba, kPal - kPba + 1);
	EXPECT_TRUE(this->mapped().empty());
}

TYPED_TEST(VtdOutcomes, AFrameThatIsTooLargeIsAWrongType)
{
	for (u32 level = 3; level <= TypeParam::kTop; level++) {
		const u64 place = this->entry(level, kIova);
		const u64 right = TypeParam::Format::host_order(this->at(place));

		this->write(place, right | 0x80);
		this->error(VFIO_ZPCI_EVENT_TYPE, kIova);
		this->write(place, right);
	}
	this->well();
}

TYPED_TEST(VtdOutcomes, ReservedBitsOfALargeFrame)
{
	for (u32 level = 1; level <= 2; level++) {
		const u64 place = this->entry(level, kIova);
		const u64 right = TypeParam::Format::host_order(this->at(place));

		this->write(place, TypeParam::frame_entry(kPage, kReadWrite));
		this->error(VFIO_ZPCI_EVENT_ENTRY, kIova);
		this->write(place, right);
	}
	this->well();
}

TYPED_TEST(VtdOutcomes, MemoryThatTheGuestDoesNotHave)
{
	this->wrong_entries(VFIO_ZPCI_EVENT_ENTRY, 0,
			    [](u32, u64 right) { return right | kOutside; });
	ASSERT_EQ(this->deregister(kFh), 0);
	this->root |= kOutside;
	ASSERT_EQ(this->register_function(), 0);
	this->error(VFIO_ZPCI_EVENT_ENTRY, kIova);
}

// As an invalidation of all of a domain.
TYPED_TEST(VtdOutcomes, AllOfTheWindowIsRefreshed)
{
	this->map(kPba, 8 * kPage);
	this->map(kPal - (kPage - 1), 9 * kPage);
	this->well(kPba, kPal - kPba + 1);
	EXPECT_EQ(this->mapped().size(), 3u);
}

} // namespace

} // namespace nested_test
