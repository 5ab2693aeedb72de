// SPDX-License-Identifier: GPL-2.0
//
// A container of vfio_zpci: refreshes while the guest's memory, the function, the group, the
// doorbell and the container go. No device ever reaches memory that is not pinned (the mock
// says so), and at the end nothing may be left.
#include "zpci_world.hpp"

#include <endian.h>
#include <utility>

#include "mock/iommu.hpp"
#include "mock/memory.hpp"
#include "shim/uapi.h"
#include "uapi/vfio_zpci.h"
#include "vfio_zpci/entry.h"

using namespace model;
using mock::kPage;

namespace {

// The guest's memory are two mappings: its tables, and what these lead to.
class ZpciWorld : public World {
public:
	static constexpr u64 kUva = 0x10'0000'0000;
	static constexpr u64 kPfn = 0x10'0000;
	static constexpr u64 kTables = 8;
	static constexpr u64 kData = 8;
	static constexpr u64 kRoot = kPage;
	static constexpr u64 kPageTable = 3 * kPage;
	static constexpr u64 kDoorbell = 4 * kPage;
	static constexpr u32 kFh = 7;

	ZpciWorld()
	{
		process.mm.map(kUva, 64, kPfn);
		hardware.unmaps_whole_pages = true;
		device_group = &group;
		expect(zpci_init() == 0, "init");
		expect(zpci_open(VFIO_ZPCI_IOMMU, &container) == 0, "open");
		attach();
		expect(map_tables() == 0 && map_data() == 0, "map");
		write(kRoot, 2 * kPage | 3);
		write(2 * kPage, kPageTable | 3);
		for (u64 i = 0; i < 2; i++)
			point_to(i, kTables + 1 + 2 * i);
	}

	template <class T> long ioctl(u32 cmd, T &request)
	{
		const mock::UserWindow window(&request, sizeof(request));

		request.argsz = sizeof(request);
		return zpci_ioctl(container, cmd, reinterpret_cast<u64>(&request));
	}

	long map(u64 page, u64 npages, u64 from)
	{
		vfio_iommu_type1_dma_map request = {};

		request.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
		request.vaddr = kUva + from * kPage;
		request.iova = page * kPage;
		request.size = npages * kPage;
		return ioctl(VFIO_IOMMU_MAP_DMA, request);
	}

	long map_tables()
	{
		return map(0, kTables, 0);
	}

	long map_data(u64 from = kTables)
	{
		return map(kTables, kData, from);
	}

	long unmap(u64 page, u64 npages)
	{
		vfio_iommu_type1_dma_unmap request = {};

		request.iova = page * kPage;
		request.size = npages * kPage;
		return ioctl(VFIO_IOMMU_UNMAP_DMA, request);
	}

	long unmap_tables()
	{
		return unmap(0, kTables);
	}

	long unmap_data()
	{
		return unmap(kTables, kData);
	}

	long register_function(u32 fh = kFh, u32 flags = 0)
	{
		vfio_zpci_register request = {};

		request.fh = fh;
		request.flags = flags;
		request.format = VFIO_ZPCI_FORMAT_VTD;
		request.levels = 3;
		request.anchor = kRoot;
		request.pal = (u64{1} << 30) - 1;
		return ioctl(VFIO_ZPCI_REGISTER, request);
	}

	long deregister(u32 flags = VFIO_ZPCI_DEREGISTER_FORGET)
	{
		vfio_zpci_deregister request = {};

		request.fh = kFh;
		request.flags = flags;
		return ioctl(VFIO_ZPCI_DEREGISTER, request);
	}

	long disable()
	{
		vfio_zpci_state request = {};

		request.fh = kFh;
		request.state = VFIO_ZPCI_STATE_DISABLED;
		return ioctl(VFIO_ZPCI_SET_STATE, request);
	}

	// Returns the condition code.
	u32 refresh(u64 npages = 2, u32 fh = kFh)
	{
		vfio_zpci_refresh request = {};

		request.fh = fh;
		request.length = npages * kPage;
		expect(ioctl(VFIO_ZPCI_REFRESH, request) == 0, "refresh");
		return request.cc;
	}

	int refresh_for_kvm()
	{
		u8 status = 0;

		return vfio_zpci_kvm_refresh(machine(), kFh, 0, kPage, &status);
	}

	// A device is open, for the machine.
	void open_device()
	{
		zpci_register_device(container, nullptr);
	}

	long set_doorbell(int fd = Eventfd::kFd)
	{
		vfio_zpci_doorbell request = {};

		request.fh = kFh;
		request.eventfd = fd;
		request.page = kDoorbell;
		return ioctl(VFIO_ZPCI_SET_DOORBELL, request);
	}

	// Binds a doorbell, which has its reserve, and asks it for pages.
	void ask(u64 npages)
	{
		expect(set_doorbell() == 0, "doorbell");
		write(kDoorbell + 16, 16 * kPage);
		write(kDoorbell + 24, kPage);
		write(kDoorbell, u64{1} << VFIO_ZPCI_DOORBELL_COUNT_SHIFT | 1);
		eventfd.signalers = 1;
		eventfd.signal();
		eventfd.work();
		expect(answered(1), "the first request");
		write(kDoorbell + 16, 0);
		write(kDoorbell + 24, npages * kPage);
		write(kDoorbell, u64{1} << VFIO_ZPCI_DOORBELL_COUNT_SHIFT | 2);
	}

	bool answered(u32 sequence) const
	{
		return static_cast<u32>(le64toh(*word(kDoorbell + 8))) == sequence;
	}

	// A thread that rings, and one that serves.
	void ring_and_work()
	{
		eventfd.signalers++;
		thread([this] { eventfd.signal(); });
		thread([this] { eventfd.work(); });
	}

	void attach()
	{
		expect(zpci_attach_group(container, &group, false) == 0, "attach");
	}

	void detach()
	{
		zpci_detach_group(container, &group);
	}

	void close()
	{
		zpci_release(std::exchange(container, nullptr));
	}

	// The guest's memory, as the host has it.
	static u64 *word(u64 address)
	{
		return reinterpret_cast<u64 *>(mock::phys::contents(kPfn + address / kPage) +
					       address % kPage);
	}

	static void write(u64 address, u64 value)
	{
		__atomic_store_n(word(address), htole64(value), __ATOMIC_RELAXED);
	}

	// An IOVA's page leads to one of the guest's.
	static void point_to(u64 iova_page, u64 page)
	{
		write(kPageTable + iova_page * 8, page * kPage | 3);
	}

	void thread(std::function<void()> body)
	{
		threads.push_back([this, body = std::move(body)] {
			const mock::As as(&process);

			body();
		});
	}

	u64 mapped() const
	{
		return group.domain ? group.domain->ptes.size() : 0;
	}

	using World::expect;

	mock::Process process;
	mock::As as{&process};
	mock::Hardware hardware;
	iommu_group group{&hardware, 5};
	Eventfd eventfd;
	::zpci *container = nullptr;
	s64 result[3] = {};
	std::function<void()> at_end;

protected:
	void finish() override
	{
		for (const iommu_domain *domain : mock::live_domains())
			expect(domain->stale.empty(), "unmapped and not flushed");
		if (at_end)
			at_end();
		if (container)
			close();
		zpci_exit();
		expect(!eventfd.bound && !eventfd.pending, "a doorbell is left");
		expect(mock::domain_count() == 0, "domains leaked");
		expect(process.mm.locked_vm == 0, "pages stay charged");
		process.exit();
		expect(process.mm.grabs == 0 && process.mm.users == 0 && process.task.refs == 0,
		       "references to the process leaked");
	}
};

} // namespace

std::vector<Scenario> model::scenarios()
{
	using W = ZpciWorld;
	const auto scenario = &model::scenario<W>;

	return {
		scenario("REFRESH | UNMAP of the memory that the table leads to",
			 [](W &w) {
				 w.register_function();
				 w.thread([&w] { w.refresh(); });
				 w.thread([&w] { w.result[1] = w.unmap_data(); });
				 w.at_end = [&w] {
					 W::expect(w.result[1] == 0 && w.mapped() == 0,
						   "memory that has gone is mapped");
				 };
			 }),
		scenario("REFRESH | UNMAP of the memory of the tables",
			 [](W &w) {
				 w.register_function();
				 w.thread([&w] { w.result[0] = w.refresh(); });
				 w.thread([&w] { w.unmap_tables(); });
				 w.at_end = [&w] {
					 W::expect(w.mapped() == (w.result[0] ? 0 : 2),
						   "not all or nothing");
				 };
			 }),
		scenario("REFRESH | UNMAP, MAP of other memory at the same address",
			 [](W &w) {
				 w.register_function();
				 w.refresh();
				 w.thread([&w] { w.refresh(); });
				 w.thread([&w] {
					 w.unmap_data();
					 w.result[1] = w.map_data(32);
				 });
				 w.at_end = [&w] {
					 W::expect(w.result[1] == 0, "map");
					 for (const auto &[iova, pte] : w.group.domain->ptes)
						 W::expect(pte.pfn >= W::kPfn + 32,
							   "the old memory is mapped");
				 };
			 }),
		scenario("REFRESH | the guest changes its table | UNMAP",
			 [](W &w) {
				 w.register_function();
				 w.refresh();
				 w.thread([&w] { w.refresh(); });
				 w.thread([] {
					 W::point_to(0, W::kTables + 5);
					 point();
					 W::point_to(1, 1);
				 });
				 w.thread([&w] { w.unmap_data(); });
				 w.at_end = [&w] {
					 for (const auto &[iova, pte] : w.group.domain->ptes)
						 W::expect(pte.pfn == W::kPfn + 1,
							   "memory that has gone is mapped");
				 };
			 }),
		scenario("REFRESH | REFRESH by another function of the group",
			 [](W &w) {
				 w.register_function();
				 w.register_function(W::kFh + 1);
				 w.thread([&w] { w.refresh(1); });
				 w.thread([&w] { w.refresh(2, W::kFh + 1); });
				 w.at_end = [&w] { W::expect(w.mapped() == 2, "not both pages"); };
			 }),
		scenario("REFRESH | the function is forgotten",
			 [](W &w) {
				 w.register_function();
				 w.thread([&w] { w.result[0] = w.refresh(); });
				 w.thread([&w] { w.deregister(); });
				 w.at_end = [&w] {
					 W::expect(w.mapped() == 0, "it is still mapped");
					 W::expect(w.result[0] == VFIO_ZPCI_CC_OK ||
							   w.result[0] ==
								   VFIO_ZPCI_CC_INVALID_HANDLE,
						   "another outcome");
				 };
			 }),
		scenario("REFRESH | the anchor is taken away and given again",
			 [](W &w) {
				 w.register_function();
				 w.thread([&w] { w.refresh(); });
				 w.thread([&w] {
					 w.deregister(0);
					 w.result[1] = w.register_function();
				 });
				 w.at_end = [&w] { W::expect(w.result[1] == 0, "register"); };
			 }),
		scenario("REFRESH | the function is disabled",
			 [](W &w) {
				 w.register_function();
				 w.thread([&w] { w.refresh(); });
				 w.thread([&w] { w.disable(); });
				 w.at_end = [&w] { W::expect(w.mapped() == 0, "it is mapped"); };
			 }),
		scenario("REFRESH | UNMAP | the group is detached",
			 [](W &w) {
				 w.register_function();
				 w.refresh(1);
				 w.thread([&w] { w.refresh(); });
				 w.thread([&w] { w.unmap_data(); });
				 w.thread([&w] { w.detach(); });
			 }),
		scenario("MAP | a function that is mapped directly is registered",
			 [](W &w) {
				 w.unmap_data();
				 w.thread([&w] { w.map_data(); });
				 w.thread([&w] {
					 w.register_function(W::kFh, VFIO_ZPCI_REGISTER_DIRECT);
				 });
				 w.at_end = [&w] {
					 W::expect(w.mapped() == W::kTables + W::kData,
						   "not all memory is mapped");
				 };
			 }),
		scenario("refresh for KVM | UNMAP | the container is closed",
			 [](W &w) {
				 w.register_function();
				 w.open_device();
				 w.thread([&w] { w.result[0] = w.refresh_for_kvm(); });
				 w.thread([&w] {
					 w.unmap_data();
					 w.close();
				 });
			 }),
		scenario("the doorbell rings | UNMAP | the thread",
			 [](W &w) {
				 w.register_function();
				 w.ask(2);
				 w.ring_and_work();
				 w.thread([&w] { w.unmap_data(); });
				 w.at_end = [&w] {
					 W::expect(w.answered(2), "no answer");
					 W::expect(w.mapped() == 0, "it is mapped");
				 };
			 }),
		scenario("the doorbell rings | REFRESH | the thread",
			 [](W &w) {
				 w.register_function();
				 w.ask(2);
				 w.ring_and_work();
				 w.thread([&w] { w.refresh(); });
				 w.at_end = [&w] {
					 W::expect(w.answered(2), "no answer");
					 W::expect(w.mapped() == 2, "not both pages");
				 };
			 }),
		scenario("the doorbell rings for what is left to the thread | it is taken away",
			 [](W &w) {
				 w.register_function();
				 w.ask(100);
				 w.ring_and_work();
				 w.thread([&w] { w.set_doorbell(-1); });
			 }),
		scenario("the doorbell rings | the thread | the function is forgotten",
			 [](W &w) {
				 w.register_function();
				 w.ask(2);
				 w.ring_and_work();
				 w.thread([&w] { w.deregister(); });
				 w.at_end = [&w] { W::expect(w.mapped() == 0, "it is mapped"); };
			 }),
		scenario("the doorbell rings | the thread | the group is detached",
			 [](W &w) {
				 w.register_function();
				 w.ask(100);
				 w.ring_and_work();
				 w.thread([&w] { w.detach(); });
			 }),
		scenario("the doorbell rings | the thread | the container is closed",
			 [](W &w) {
				 w.register_function();
				 w.ask(2);
				 w.ring_and_work();
				 w.thread([&w] { w.close(); });
			 }),
		scenario("the doorbell rings | it rings again | the thread",
			 [](W &w) {
				 w.register_function();
				 w.ask(100);
				 w.ring_and_work();
				 w.eventfd.signalers++;
				 w.thread([&w] { w.eventfd.signal(); });
				 w.at_end = [&w] {
					 // A signal that comes while the thread serves may leave it
					 // one more time to run.
					 w.eventfd.pending = false;
					 W::expect(w.answered(2), "no answer");
				 };
			 }),
	};
}
