// SPDX-License-Identifier: GPL-2.0
//
// Doorbells: what is served where the eventfd is signaled, what is left to a thread, and
// pages that lie. The mock reports every shim that sleeps in the eventfd's wait queue.
#include "nested_world.hpp"
#include "zpci_fixture.hpp"

namespace nested_test {

namespace {

constexpr u32 kFh = 7;
constexpr u64 kIova = 0x1234'5000;
constexpr u64 kDoorbell = 3 * kPage;

struct Answer {
	u32 cc, status, done;
	bool operator==(const Answer &) const = default;
};

constexpr Answer kOne{VFIO_ZPCI_CC_OK, 0, 1};

template <class Guest> class Doorbells : public zpci_test::ZpciTest<GuestTest<Guest>> {
protected:
	using Base = zpci_test::ZpciTest<GuestTest<Guest>>;

	void SetUp() override
	{
		Base::SetUp();
		ASSERT_EQ(zpci_attach_group(this->zpci, &this->group, false), 0);
		this->root = this->new_table(Guest::kTop);
		ASSERT_EQ(this->map_memory(0, Base::kPages), 0);
		ASSERT_EQ(register_function(kFh), 0);
		ASSERT_EQ(set_doorbell(kFh, bell.fd), 0);
		// The first one finds no memory set aside for those that come after it.
		ask({{kIova, kPage}});
		bell.ring();
		EXPECT_EQ(answer(), std::nullopt);
		EXPECT_EQ(mock::run_doorbell_works(), 1);
		ASSERT_EQ(answer(), kOne);
	}

	long register_function(u32 fh)
	{
		const bool vtd = Guest::kFormat == GuestTable::Format::kVtd;
		vfio_zpci_register request = {};

		request.fh = fh;
		request.group_fd = Base::kGroupFd;
		request.format = vtd ? VFIO_ZPCI_FORMAT_VTD : VFIO_ZPCI_FORMAT_S390;
		request.levels = vtd ? Guest::kTop + 1 : 0;
		request.anchor = vtd ? this->root : this->root | 0x800 | (Guest::kTop - 1) << 2;
		request.pal = (u64{1} << 38) - 1;
		return this->ioctl(VFIO_ZPCI_REGISTER, request);
	}

	long set_doorbell(u32 fh, int eventfd, u64 page = kDoorbell)
	{
		return Base::set_doorbell(fh, eventfd, page);
	}

	// The words of the page are little-endian whatever the tables are.
	static u64 little(u64 word)
	{
		return VtdFormat::host_order(word);
	}

	void ask_for(u64 count)
	{
		this->at(kDoorbell) = little(++sequence | count << VFIO_ZPCI_DOORBELL_COUNT_SHIFT);
	}

	void ask(const std::vector<vfio_zpci_range> &ranges)
	{
		u64 place = kDoorbell + __builtin_offsetof(vfio_zpci_doorbell_page, ranges);

		for (const vfio_zpci_range &range : ranges) {
			this->at(place) = little(range.start);
			this->at(place + 8) = little(range.length);
			place += sizeof(range);
		}
		ask_for(ranges.size());
	}

	// The answer to the last request, if it is there.
	std::optional<Answer> answer()
	{
		const u64 word = little(this->at(
			kDoorbell + __builtin_offsetof(vfio_zpci_doorbell_page, completion)));

		if (static_cast<u32>(word) != sequence)
			return std::nullopt;
		return Answer{static_cast<u32>(word >> VFIO_ZPCI_DOORBELL_CC_SHIFT & 0xff),
			      static_cast<u32>(word >> VFIO_ZPCI_DOORBELL_STATUS_SHIFT & 0xff),
			      static_cast<u32>(word >> VFIO_ZPCI_DOORBELL_DONE_SHIFT)};
	}

	// Asks and rings. Returns the answer that is there at once.
	std::optional<Answer> at_once(const std::vector<vfio_zpci_range> &ranges)
	{
		ask(ranges);
		bell.ring();
		return answer();
	}

	// The same for what is left to a thread.
	std::optional<Answer> later(const std::vector<vfio_zpci_range> &ranges)
	{
		EXPECT_EQ(at_once(ranges), std::nullopt);
		EXPECT_EQ(mock::run_doorbell_works(), 1);
		return answer();
	}

	Targets mapped()
	{
		Targets targets;

		for (const auto &[iova, pte] : this->group.domain->ptes)
			targets[iova / kPage] = {pte.pfn, pte.prot & kReadWrite};
		return targets;
	}

	mock::GroupFile file{Base::kGroupFd, &this->group};
	mock::Bell bell{9};
	u32 sequence = 0;
};

using Guests = testing::Types<S390Guest, VtdGuest<3>>;
TYPED_TEST_SUITE(Doorbells, Guests);

TYPED_TEST(Doorbells, NewPagesAreMappedAtOnce)
{
	this->map(kIova, 7 * kPage);
	this->map(kIova + kPage, 11 * kPage, SHIM_IOMMU_READ);
	EXPECT_EQ(this->at_once({{kIova, kPage}, {kIova + kPage, kPage}}),
		  (Answer{VFIO_ZPCI_CC_OK, 0, 2}));
	EXPECT_EQ(this->mapped(),
		  (Targets{{kIova / kPage, {this->kPfn + 7, kReadWrite}},
			   {kIova / kPage + 1, {this->kPfn + 11, SHIM_IOMMU_READ}}}));
	EXPECT_EQ(mock::run_doorbell_works(), 0);
	EXPECT_EQ(this->statistics(kFh).served, 1u);
	EXPECT_EQ(this->statistics(kFh).deferred, 1u);
}

TYPED_TEST(Doorbells, TheRestIsLeftToAThread)
{
	this->map(kIova, 7 * kPage);
	ASSERT_EQ(this->at_once({{kIova, kPage}}), kOne);
	this->unmap(kIova);
	ASSERT_EQ(this->later({{kIova, kPage}}), kOne);
	EXPECT_TRUE(this->mapped().empty());

	const std::vector<vfio_zpci_range> many(17, {kIova, kPage});
	EXPECT_EQ(this->later(many), (Answer{VFIO_ZPCI_CC_OK, 0, 17}));
	const std::vector<vfio_zpci_range> empty(17, {kIova, 0});
	EXPECT_EQ(this->later(empty), (Answer{VFIO_ZPCI_CC_OK, 0, 17})) << "some work, too";
	EXPECT_EQ(this->later({{kIova + 1, 16 * kPage}}), kOne) << "parts of 17 pages";
	EXPECT_EQ(this->later({{0, u64{1} << 38}}), kOne);
	EXPECT_EQ(this->at_once({{kIova, 16 * kPage}}), kOne);
}

TYPED_TEST(Doorbells, InAnInterruptNothingIsDone)
{
	this->ask({{kIova, kPage}});
	this->bell.ring_in_interrupt();
	EXPECT_EQ(this->answer(), std::nullopt);
	EXPECT_EQ(mock::run_doorbell_works(), 1);
	EXPECT_EQ(this->answer(), kOne);
}

// A request that was served is not served again.
TYPED_TEST(Doorbells, RingingWithoutARequest)
{
	this->map(kIova, 7 * kPage);
	this->bell.ring();
	this->bell.ring_in_interrupt();
	EXPECT_EQ(mock::run_doorbell_works(), 1);
	EXPECT_TRUE(this->mapped().empty());

	// It is rung for twice before the thread runs.
	this->ask({{0, u64{1} << 32}});
	this->bell.ring();
	this->bell.ring();
	EXPECT_EQ(mock::run_doorbell_works(), 1);
	EXPECT_EQ(this->answer(), kOne);
	EXPECT_EQ(this->statistics(kFh).deferred, 2u);
}

TYPED_TEST(Doorbells, Outcomes)
{
	const Answer error{VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR, 0};

	EXPECT_EQ(this->at_once({}), (Answer{VFIO_ZPCI_CC_OK, 0, 0}));
	this->map(kIova, this->kPages * kPage);
	EXPECT_EQ(this->at_once({{0, kPage}, {kIova, kPage}, {0, kPage}}),
		  (Answer{VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR, 1}));
	EXPECT_EQ(this->at_once({{0, kPage}}),
		  (Answer{VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_IN_ERROR, 0}));

	const vfio_zpci_event event = this->event(kFh, VFIO_ZPCI_EVENT_CLEAR);
	EXPECT_EQ(event.code, u32{VFIO_ZPCI_EVENT_ENTRY});
	EXPECT_EQ(event.address, kIova);

	ASSERT_EQ(this->set_state(kFh, VFIO_ZPCI_STATE_ENABLED), 0);
	EXPECT_EQ(this->later({{~u64{0}, ~u64{0}}}), error) << "it wraps";
	ASSERT_EQ(this->set_state(kFh, VFIO_ZPCI_STATE_ENABLED), 0);
	EXPECT_EQ(this->at_once({{u64{1} << 38, 1}}), error) << "out of the window";
	ASSERT_EQ(this->set_state(kFh, VFIO_ZPCI_STATE_DISABLED), 0);
	EXPECT_EQ(this->at_once({{0, kPage}}), (Answer{VFIO_ZPCI_CC_INVALID_HANDLE, 0, 0}));
}

TYPED_TEST(Doorbells, TooManyRanges)
{
	for (const u64 count : {u64{VFIO_ZPCI_DOORBELL_RANGES + 1}, u64{0xffff'ffff}}) {
		this->ask_for(count);
		this->bell.ring();
		EXPECT_EQ(this->answer(),
			  (Answer{VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_BAD_REQUEST, 0}));
	}
	const std::vector<vfio_zpci_range> most(VFIO_ZPCI_DOORBELL_RANGES, {kIova, kPage});
	EXPECT_EQ(this->later(most), (Answer{VFIO_ZPCI_CC_OK, 0, VFIO_ZPCI_DOORBELL_RANGES}));
}

TYPED_TEST(Doorbells, PagesThatCannotBeUsed)
{
	this->map(kIova, 7 * kPage);
	for (const u64 page : {this->kPages * kPage, u64{1} << 52, ~u64{0} - (kPage - 1)}) {
		ASSERT_EQ(this->set_doorbell(kFh, -1), 0);
		ASSERT_EQ(this->set_doorbell(kFh, this->bell.fd, page), 0);
		this->bell.ring();
		this->bell.ring_in_interrupt();
		EXPECT_EQ(mock::run_doorbell_works(), 1);
	}
	ASSERT_EQ(this->set_doorbell(kFh, -1), 0);
	ASSERT_EQ(this->set_doorbell(kFh, this->bell.fd), 0);

	// The guest's memory goes, and comes again without the right to write it.
	ASSERT_EQ(this->unmap_all_memory(), 0);
	EXPECT_EQ(this->at_once({{kIova, kPage}}), std::nullopt);
	ASSERT_EQ(this->map_memory(0, this->kPages, VFIO_DMA_MAP_FLAG_READ), 0);
	EXPECT_EQ(this->at_once({{kIova, kPage}}), std::nullopt);
	EXPECT_EQ(mock::run_doorbell_works(), 0);
	EXPECT_TRUE(this->mapped().empty());
}

TYPED_TEST(Doorbells, Binding)
{
	const mock::Bell other(11);

	EXPECT_EQ(this->set_doorbell(kFh, other.fd), -EBUSY);
	EXPECT_EQ(this->set_doorbell(kFh + 1, other.fd), -ENOENT);
	ASSERT_EQ(this->set_doorbell(kFh, -1, 1), 0) << "the page has no meaning then";
	EXPECT_EQ(this->set_doorbell(kFh, -1), -EINVAL);
	EXPECT_EQ(this->set_doorbell(kFh, -2), -EINVAL);
	EXPECT_EQ(this->set_doorbell(kFh, 99), -EBADF);
	EXPECT_EQ(this->set_doorbell(kFh, other.fd, kDoorbell + 8), -EINVAL);
	for (u64 nth = 1;; nth++) {
		mock::plan.reset();
		mock::plan.fail_nth(nth);
		const long result = this->set_doorbell(kFh, other.fd);
		const bool fired = mock::plan.fired();
		mock::plan.reset();
		if (!fired) {
			ASSERT_EQ(result, 0);
			break;
		}
		EXPECT_LT(result, 0);
	}
	EXPECT_EQ(this->at_once({{kIova, kPage}}), std::nullopt) << "it is another's";
}

// Two functions, one eventfd. One of them is forgotten while it waits for a thread.
TYPED_TEST(Doorbells, TwoFunctions)
{
	ASSERT_EQ(this->register_function(kFh + 1), 0);
	ASSERT_EQ(this->set_doorbell(kFh + 1, this->bell.fd, kDoorbell + kPage), 0);
	this->at(kDoorbell + kPage) = this->little(u64{1} << 32 | 1);
	this->at(kDoorbell + kPage + 24) = this->little(u64{1} << 32);
	EXPECT_EQ(this->at_once({{kIova, kPage}}), kOne);

	ASSERT_EQ(this->deregister(kFh + 1, VFIO_ZPCI_DEREGISTER_FORGET), 0);
	EXPECT_EQ(mock::run_doorbell_works(), 0) << "it has gone with its doorbell";
	EXPECT_EQ(this->at_once({{kIova, kPage}}), kOne);
}

TYPED_TEST(Doorbells, ManyFunctions)
{
	for (u32 more = 1; more < 128; more++) {
		ASSERT_EQ(this->register_function(kFh + more), 0);
		ASSERT_EQ(this->set_doorbell(kFh + more, this->bell.fd), 0);
	}
	ASSERT_EQ(this->register_function(kFh + 128), 0);
	EXPECT_EQ(this->set_doorbell(kFh + 128, this->bell.fd), -ENOSPC);
}

TYPED_TEST(Doorbells, TheContainerGoesBeforeTheThreadRuns)
{
	EXPECT_EQ(this->at_once({{0, u64{1} << 38}}), std::nullopt);
	this->close();
}

} // namespace

} // namespace nested_test
