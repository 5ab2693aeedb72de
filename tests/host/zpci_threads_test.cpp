// SPDX-License-Identifier: GPL-2.0
//
// One container of vfio_zpci, many threads: a guest scribbles over its tables and its
// doorbell's page while ranges are refreshed, memory comes and goes, functions and groups
// come and go, and doorbells ring. The mock reports a device that reaches memory that is not
// pinned, and ThreadSanitizer what is not guarded.
#include <chrono>
#include <thread>

#include "nested_world.hpp"
#include "plain_walk.hpp"
#include "zpci_fixture.hpp"

namespace {

using namespace nested_test;

constexpr u64 kWindow = u64{8} << 20;
constexpr u64 kSlotPages = 512;
constexpr u64 kDoorbell = 3 * kPage;
constexpr u32 kFunctions = 3;

template <class Guest> class ZpciThreads : public zpci_test::ZpciTest<GuestTest<Guest>> {
protected:
	using Base = zpci_test::ZpciTest<GuestTest<Guest>>;
	using Numbers = std::mt19937_64;

	void SetUp() override
	{
		Base::SetUp();
		this->root = this->new_table(Guest::kTop);
		for (u64 iova = 0; iova < kWindow; iova += kPage)
			this->map(iova, iova % (Base::kPages * kPage) + kPage);
		tables_end = this->next_table;
		ASSERT_EQ(zpci_attach_group(this->zpci, &this->group, false), 0);
		ASSERT_EQ(zpci_attach_group(this->zpci, &second, false), 0);
	}

	// Of one thread until all stop.
	void start(unsigned int seed, void (ZpciThreads::*step)(Numbers &))
	{
		threads.emplace_back([this, seed, step] {
			const mock::As as_process(&this->process);
			Numbers numbers(seed);

			while (!stop)
				(this->*step)(numbers);
		});
	}

	// Any entry anywhere in the tables, and what a guest might write.
	void scribble(Numbers &numbers)
	{
		const u64 place = Base::kTables * kPage +
				  numbers() % (tables_end - Base::kTables * kPage) / 8 * 8;
		const u64 iova = numbers() % kWindow;
		const u64 frame = numbers() % (Base::kPages + 2) * kPage;

		switch (numbers() % 16) {
		case 0:
			this->write(place, numbers());
			break;
		case 1:
			this->write(this->entry(1, iova), Guest::frame_entry(frame, 3));
			break;
		case 2:
			this->write(this->entry(1, iova), Guest::invalid_entry(1));
			break;
		case 3:
			this->write(kDoorbell + numbers() % 8 * 8, numbers());
			break;
		case 4:
		case 5:
			this->write(place, Guest::invalid_entry(0));
			break;
		default:
			this->write(place, Guest::page_entry(frame, 1 + numbers() % 3));
		}
		// The guest never has more tables than memory.
		if (this->next_table > (Base::kPages - 16) * kPage)
			this->next_table = tables_end;
	}

	void refresh(Numbers &numbers)
	{
		vfio_zpci_refresh request = {};

		request.fh = static_cast<u32>(numbers() % kFunctions);
		request.start = numbers() % kWindow;
		request.length = numbers() % (kWindow - request.start);
		EXPECT_EQ(this->ioctl(VFIO_ZPCI_REFRESH, request), 0);
		good += request.cc == VFIO_ZPCI_CC_OK;
		calls++;
		if (request.cc == VFIO_ZPCI_CC_ERROR)
			(void)this->set_state(request.fh, VFIO_ZPCI_STATE_ENABLED);
	}

	void change_memory(Numbers &numbers)
	{
		const u64 slot = numbers() % (Base::kPages / kSlotPages) * kSlotPages;

		// The guest mostly has its tables.
		if (slot >= Base::kTables && numbers() % 8)
			return;
		(void)this->unmap_memory(slot, kSlotPages);
		(void)this->map_memory(slot, kSlotPages, 1 + numbers() % 3);
	}

	long register_function(u32 fh, u32 flags = 0)
	{
		const bool vtd = Guest::kFormat == GuestTable::Format::kVtd;
		vfio_zpci_register request = {};

		request.fh = fh;
		request.flags = flags;
		request.group_fd = Base::kGroupFd + (fh == 2);
		request.format = vtd ? VFIO_ZPCI_FORMAT_VTD : VFIO_ZPCI_FORMAT_S390;
		request.levels = vtd ? Guest::kTop + 1 : 0;
		request.anchor = vtd ? this->root : this->root | 0x800 | (Guest::kTop - 1) << 2;
		request.pal = kWindow - 1;
		return this->ioctl(VFIO_ZPCI_REGISTER, request);
	}

	void change_functions(Numbers &numbers)
	{
		const u32 fh = static_cast<u32>(numbers() % kFunctions);

		switch (numbers() % 32) {
		case 0:
			(void)this->deregister(fh, VFIO_ZPCI_DEREGISTER_FORGET);
			break;
		case 1:
			(void)this->deregister(fh);
			break;
		case 2:
			(void)this->set_state(fh, static_cast<u32>(numbers() % 4));
			break;
		case 3:
			zpci_detach_group(this->zpci, &second);
			EXPECT_EQ(zpci_attach_group(this->zpci, &second, false), 0);
			break;
		case 4:
			(void)this->set_doorbell(fh, -1, kDoorbell);
			break;
		case 5:
			(void)register_function(fh, VFIO_ZPCI_REGISTER_DIRECT);
			break;
		default:
			(void)register_function(fh);
			(void)this->set_doorbell(fh, bell.fd, kDoorbell);
			std::this_thread::yield();
		}
	}

	void ring(Numbers &numbers)
	{
		const u64 place = kDoorbell + __builtin_offsetof(vfio_zpci_doorbell_page, ranges);
		const auto put = [&](u64 at, u64 word) {
			__atomic_store_n(&this->at(at), VtdFormat::host_order(word),
					 __ATOMIC_RELEASE);
		};

		put(place, numbers() % kWindow);
		put(place + 8, numbers() % 4 ? kPage : numbers() % kWindow);
		put(kDoorbell, ++sequence | u64{1} << VFIO_ZPCI_DOORBELL_COUNT_SHIFT);
		if (numbers() % 16)
			bell.ring();
		else
			bell.ring_in_interrupt();
	}

	void serve(Numbers &)
	{
		if (!mock::run_doorbell_works())
			std::this_thread::yield();
	}

	void run_threads()
	{
		start(1, &ZpciThreads::scribble);
		start(2, &ZpciThreads::refresh);
		start(3, &ZpciThreads::refresh);
		start(4, &ZpciThreads::change_memory);
		start(5, &ZpciThreads::change_functions);
		start(6, &ZpciThreads::ring);
		start(7, &ZpciThreads::serve);
		std::this_thread::sleep_for(std::chrono::seconds(3));
		stop = true;
		for (std::thread &thread : threads)
			thread.join();
		mock::run_doorbell_works();
	}

	Targets mapped(const iommu_group &of) const
	{
		Targets targets;

		for (const auto &[iova, pte] : of.domain->ptes)
			targets[iova / kPage] = {pte.pfn, pte.prot & kReadWrite};
		return targets;
	}

	mock::Hardware small = {.unmaps_whole_pages = true};
	iommu_group second{&small, 2};
	mock::GroupFile file{Base::kGroupFd, &this->group};
	mock::GroupFile second_file{Base::kGroupFd + 1, &second};
	mock::Bell bell{9};
	u64 tables_end = 0;
	u32 sequence = 0;
	std::atomic<bool> stop = false;
	std::atomic<u64> calls = 0, good = 0;
	std::vector<std::thread> threads;
};

using Guests = testing::Types<S390Guest, VtdGuest<3>>;
TYPED_TEST_SUITE(ZpciThreads, Guests);

TYPED_TEST(ZpciThreads, AGuestThatScribbles)
{
	this->run_threads();
	printf("%llu refreshes, %llu good\n", this->calls.load(), this->good.load());
	EXPECT_GT(this->good, 20u);

	// When nobody scribbles any more, one refresh makes the device agree with the table.
	(void)this->unmap_all_memory();
	ASSERT_EQ(this->map_memory(0, this->kPages), 0);
	for (const u32 fh : {0u, 1u, 2u})
		(void)this->deregister(fh, VFIO_ZPCI_DEREGISTER_FORGET);
	this->write(this->entry(TypeParam::kTop, 0), TypeParam::invalid_entry(TypeParam::kTop));
	this->next_table = this->tables_end;
	for (u64 i = 0; i < 500; i++)
		this->map(i * 7 * kPage % kWindow, (1 + i * 5) * kPage);
	for (const u32 fh : {0u, 2u}) {
		vfio_zpci_refresh request = {};

		ASSERT_EQ(this->register_function(fh), 0);
		request.fh = fh;
		request.length = kWindow;
		ASSERT_EQ(this->ioctl(VFIO_ZPCI_REFRESH, request), 0);
		ASSERT_EQ(request.cc, u32{VFIO_ZPCI_CC_OK});
	}
	GuestPages memory;
	for (u64 page = 0; page < this->kPages; page++)
		memory[page] = {this->kPfn + page, kReadWrite, true};
	PlainWalk walk(memory, {TypeParam::kFormat == GuestTable::Format::kVtd, TypeParam::kTop,
				this->root});
	ASSERT_TRUE(walk.walk(0, kWindow - 1));
	EXPECT_GT(walk.wanted.size(), 200u);
	EXPECT_TRUE(this->mapped(this->group) == walk.wanted);
	EXPECT_TRUE(this->mapped(this->second) == walk.wanted);
}

} // namespace
