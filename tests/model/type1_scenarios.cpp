// SPDX-License-Identifier: GPL-2.0
//
// A container of vfio_type1: what two threads, or three, do to its mappings,
// groups and pins at the same time. At the end of each run the domains agree,
// what is charged is what is pinned, and then nothing may be left.
#include <cerrno>
#include <cstring>
#include <utility>

#include "explore.hpp"
#include "mock/device.hpp"
#include "mock/iommu.hpp"
#include "mock/memory.hpp"
#include "mock/params.hpp"
#include "shim/lock.h"
#include "shim/uapi.h"
#include "vfio_cxx/remap.h"
#include "vfio_type1/entry.h"

using namespace model;
using mock::kPage;

namespace {

shim_lock_class driver_lock_class = {"driver", {}};

class Type1World : public World {
public:
	static constexpr u64 kUva = 0x10'0000'0000;
	static constexpr u64 kIova = 0x10'0000;

	Type1World()
	{
		process.mm.map(kUva, 64, 0x10'0000);
		hardware[1].driver = 2;
		shim_mutex_init(&driver_lock, &driver_lock_class);
		expect(type1_open(VFIO_TYPE1v2_IOMMU, &container) == 0, "open");
		device.dma_unmap = [this](u64 iova, u64 size) {
			shim_mutex_lock(&driver_lock);
			for (u64 &pinned : pins)
				if (pinned >= iova && pinned - iova < size)
					type1_unpin_pages(container, std::exchange(pinned, 0), 1);
			shim_mutex_unlock(&driver_lock);
		};
	}

	long ioctl(u32 cmd, void *arg, size_t size)
	{
		const mock::UserWindow window(arg, size);

		return type1_ioctl(container, cmd, reinterpret_cast<u64>(arg));
	}

	// page and npages: in the user's memory and from kIova on.
	long map(u64 page, u64 npages, u64 at)
	{
		vfio_iommu_type1_dma_map arg = {
			sizeof(arg), VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
			kUva + page * kPage, kIova + at * kPage, npages * kPage};

		return ioctl(VFIO_IOMMU_MAP_DMA, &arg, sizeof(arg));
	}

	long map(u64 page, u64 npages)
	{
		return map(page, npages, page);
	}

	// Pages unmapped, or an error.
	s64 unmap(u64 page, u64 npages, u32 flags = 0)
	{
		struct {
			u32 argsz, flags;
			u64 iova, size;
		} arg = {sizeof(arg), flags, npages ? kIova + page * kPage : 0, npages * kPage};
		const long ret = ioctl(VFIO_IOMMU_UNMAP_DMA, &arg, sizeof(arg));

		return ret < 0 ? ret : static_cast<s64>(arg.size / kPage);
	}

	s64 unmap_all()
	{
		return unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
	}

	long dirty(u32 flags)
	{
		struct {
			u32 argsz, flags;
		} arg = {sizeof(arg), flags};

		return ioctl(VFIO_IOMMU_DIRTY_PAGES, &arg, sizeof(arg));
	}

	// UNMAP with a bitmap, which comes into bits. Pages, or an error.
	s64 unmap_dirty(u64 page, u64 npages)
	{
		struct {
			u32 argsz, flags;
			u64 iova, size, pgsize, bytes, data;
		} arg = {sizeof(arg),
			 VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
			 kIova + page * kPage,
			 npages * kPage,
			 kPage,
			 sizeof(bits),
			 reinterpret_cast<u64>(&bits)};
		const mock::UserWindow window(&bits, sizeof(bits));
		const long ret = ioctl(VFIO_IOMMU_UNMAP_DMA, &arg, sizeof(arg));

		return ret < 0 ? ret : static_cast<s64>(arg.size / kPage);
	}

	// A report of the first page, and of one in another word of the bitmap,
	// the last that is asked for; into words.
	static constexpr u64 kFarPage = 128;

	long get_dirty()
	{
		const struct {
			u32 argsz, flags;
			u64 iova, size, pgsize, bytes, data;
		} arg = {sizeof(arg),
			 VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
			 kIova,
			 (kFarPage + 1) * kPage,
			 kPage,
			 sizeof(words),
			 reinterpret_cast<u64>(words)};
		const mock::UserWindow window(&arg, sizeof(arg)), out(words, sizeof(words));

		return type1_ioctl(container, VFIO_IOMMU_DIRTY_PAGES, reinterpret_cast<u64>(&arg));
	}

	void attach(int which)
	{
		expect(type1_attach_group(container, &groups[which], which == kEmulated) == 0,
		       "attach");
		attached[which] = true;
	}

	void detach(int which)
	{
		attached[which] = false;
		type1_detach_group(container, &groups[which]);
	}

	// A window of a gated device, which is the user's page kWindow.
	static constexpr u64 kWindow = 80, kFrame = mock::kDevicePfn;

	void add_window()
	{
		process.mm.map(kUva + kWindow * kPage, 2, kFrame, true, mock::Kind::kBar);
	}

	// The gated device's scheduler shuts it, or opens it.
	void shut(bool all)
	{
		point();
		if (all)
			mock::gates.shut = {{kFrame, kFrame + 1}};
		else
			mock::gates.shut.clear();
		expect(mock::gates.changed() == 0, "frames");
	}

	// Whether a group's domain has the window's first page.
	bool reaches_window(int which) const
	{
		return groups[which].domain->ptes.contains(kIova + kWindow * kPage);
	}

	// A scheduler's page in the place of a user's, or that again.
	static constexpr u64 kOther = 0x5'0000;

	void add_other()
	{
		mock::phys::pin(kOther);
		has_other = true;
		// What is unmapped is mapped again before it is flushed.
		for (mock::Hardware &each : hardware)
			each.unmaps_whole_pages = true;
	}

	// A scheduler cuts off a group's DMA, and gives it back.
	void switch_group(int which)
	{
		void *domain = nullptr;

		expect(type1_find_domain(container, &groups[which], &domain) == 0, "domain");
		type1_cut(domain, &groups[which]);
		expect(type1_restore(domain, &groups[which]) == 0, "restore");
	}

	long remap(u64 page, bool other)
	{
		const vfio_remap_page pages[] = {
			{kIova + page * kPage, other ? kOther * kPage : VFIO_REMAP_USERS_PAGE}};
		const long ret = type1_remap(container, pages, 1);

		expect(ret == 1 || ret == -EINVAL || ret == -EAGAIN, "remap");
		return ret;
	}

	void add_device()
	{
		attach(kEmulated);
		type1_register_device(container, &device);
		registered = true;
	}

	// As a driver does: what it has pinned it can be asked for.
	long pin(int slot, u64 at)
	{
		page *pages[1] = {};

		shim_mutex_lock(&driver_lock);
		const long ret = type1_pin_pages(container, &groups[kEmulated], kIova + at * kPage,
						 1, SHIM_IOMMU_READ | SHIM_IOMMU_WRITE, pages);
		if (ret == 1)
			pins[slot] = kIova + at * kPage;
		shim_mutex_unlock(&driver_lock);
		return ret;
	}

	void unpin(int slot)
	{
		shim_mutex_lock(&driver_lock);
		if (pins[slot])
			type1_unpin_pages(container, std::exchange(pins[slot], 0), 1);
		shim_mutex_unlock(&driver_lock);
	}

	// Without a driver's lock, which would order them: slots count only.
	void raw_pin(u64 at)
	{
		page *pages[1] = {};

		expect(type1_pin_pages(container, &groups[kEmulated], kIova + at * kPage, 1,
				       SHIM_IOMMU_READ | SHIM_IOMMU_WRITE, pages) == 1,
		       "pin");
		pins[pins[0] != 0] = kIova + at * kPage;
	}

	void raw_unpin(u64 at)
	{
		type1_unpin_pages(container, kIova + at * kPage, 1);
		pins[pins[1] != 0] = 0;
	}

	void thread(std::function<void()> body)
	{
		threads.push_back([this, body = std::move(body)] {
			const mock::As as(&process);

			body();
		});
	}

	// Pages of memory that each domain maps: all the same.
	u64 mapped() const
	{
		const auto domains = mock::live_domains();
		u64 npages = 0;

		for (const iommu_domain *domain : domains) {
			expect(domain->stale.empty(), "unmapped and not flushed");
			expect(domain->ptes.size() == domains[0]->ptes.size(), "domains differ");
			for (const auto &[iova, pte] : domain->ptes) {
				const auto other = domains[0]->ptes.find(iova);

				expect(other != domains[0]->ptes.end() &&
					       other->second.pfn == pte.pfn,
				       "domains differ");
			}
		}
		if (!domains.empty())
			for (const auto &[iova, pte] : domains[0]->ptes)
				npages += pte.pfn < kFrame;
		return npages;
	}

	u64 locked() const
	{
		return process.mm.locked_vm;
	}

	static constexpr int kEmulated = 2;

	mock::Process process;
	bool has_other = false;
	mock::As as{&process};
	mock::Hardware hardware[2];
	// Two that cannot share a domain, and one that has no IOMMU.
	iommu_group groups[3] = {iommu_group(&hardware[0], 5), iommu_group(&hardware[1], 6),
				 iommu_group(nullptr, 7)};
	bool attached[3] = {};
	bool registered = false;
	vfio_device device;
	shim_mutex driver_lock;
	u64 pins[2] = {};
	type1 *container = nullptr;
	s64 result[3] = {};
	u64 bits = 0;
	u64 words[3] = {};
	std::function<void()> at_end;
	using World::expect;

protected:
	void finish() override
	{
		if (at_end)
			at_end();
		type1_flush_remapped(container);

		const u64 ptes = mapped();

		// With an IOMMU what is mapped is charged, else what is pinned.
		expect(locked() == (attached[0] || attached[1] ?
					    ptes :
					    u64{pins[0] != 0} + (pins[1] && pins[1] != pins[0])),
		       "charged is not what is pinned");
		for (int slot : {0, 1})
			unpin(slot);
		if (registered)
			type1_unregister_device(container, &device);
		for (int i = 0; i < 3; i++)
			if (attached[i])
				detach(i);
		expect(unmap_all() >= 0, "unmap all");
		type1_release(container);
		expect(mock::gates.listeners.empty(), "a container listens on");
		mock::gates = {};
		if (has_other)
			mock::phys::unpin(kOther, false);
		expect(mock::domain_count() == 0, "domains leaked");
		expect(locked() == 0, "pages stay charged");
		process.exit();
		expect(process.mm.grabs == 0 && process.mm.users == 0 && process.task.refs == 0,
		       "references to the process leaked");
	}
};

// Two drivers pin the same page: no lock of a driver orders them.
void pin_twice(Type1World &w)
{
	w.add_device();
	w.map(0, 2);
	w.thread([&w] { w.raw_pin(0); });
	w.thread([&w] { w.raw_pin(0); });
	w.at_end = [&w] { Type1World::expect(w.locked() == 1, "not charged once"); };
}

// A driver pins a page that another one unpins.
void pin_while_unpinned(Type1World &w)
{
	w.add_device();
	w.map(0, 2);
	w.raw_pin(0);
	w.thread([&w] { w.raw_pin(0); });
	w.thread([&w] { w.raw_unpin(0); });
}

} // namespace

std::vector<Scenario> model::scenarios()
{
	using W = Type1World;
	const auto scenario = &model::scenario<W>;

	return {
		scenario("map | map of overlapping ranges",
			 [](W &w) {
				 w.attach(0);
				 w.thread([&w] { w.result[0] = w.map(0, 2); });
				 w.thread([&w] { w.result[1] = w.map(1, 2); });
				 w.at_end = [&w] {
					 W::expect((w.result[0] == 0) != (w.result[1] == 0) &&
							   w.mapped() == 2,
						   "not one mapping");
				 };
			 }),
		scenario("map | map of other ranges",
			 [](W &w) {
				 w.attach(0);
				 w.attach(1);
				 w.thread([&w] { w.result[0] = w.map(0, 1); });
				 w.thread([&w] { w.result[1] = w.map(1, 1); });
				 w.at_end = [&w] { W::expect(w.mapped() == 2, "not both"); };
			 }),
		scenario("map | map over the limit of locked memory",
			 [](W &w) {
				 w.process.task.rlimit_pages = 3;
				 w.attach(0);
				 w.thread([&w] { w.map(0, 2); });
				 w.thread([&w] { w.map(4, 2); });
				 w.at_end = [&w] { W::expect(w.locked() <= 3, "over the limit"); };
			 }),
		scenario("map | unmap of the same",
			 [](W &w) {
				 w.attach(0);
				 w.thread([&w] { w.result[0] = w.map(0, 2); });
				 w.thread([&w] { w.result[1] = w.unmap(0, 2); });
				 w.at_end = [&w] {
					 W::expect(w.result[0] == 0, "map failed");
					 W::expect(w.result[1] + static_cast<s64>(w.mapped()) == 2,
						   "neither mapped nor unmapped");
				 };
			 }),
		scenario("unmap | unmap of the same",
			 [](W &w) {
				 w.attach(0);
				 w.map(0, 1);
				 w.map(1, 1);
				 w.thread([&w] { w.result[0] = w.unmap(0, 2); });
				 w.thread([&w] { w.result[1] = w.unmap_all(); });
				 w.at_end = [&w] {
					 W::expect(w.result[0] + w.result[1] == 2,
						   "unmapped twice or not");
				 };
			 }),
		scenario("unmap | map at the same addresses",
			 [](W &w) {
				 w.attach(0);
				 w.map(0, 2);
				 w.thread([&w] { w.result[0] = w.unmap(0, 2); });
				 w.thread([&w] { w.result[1] = w.map(8, 2, 0); });
				 w.at_end = [&w] {
					 W::expect(w.result[0] == 2 || w.result[1] == 0,
						   "both failed");
				 };
			 }),
		scenario("unmap | map at the same addresses, at the limit of locked memory",
			 [](W &w) {
				 w.process.task.rlimit_pages = 2;
				 w.attach(0);
				 w.map(0, 2);
				 w.thread([&w] { w.result[0] = w.unmap(0, 2); });
				 w.thread([&w] { w.result[1] = w.map(8, 2, 0); });
				 w.at_end = [&w] {
					 W::expect(w.result[0] == 2, "unmap failed");
					 W::expect(w.result[1] == 0 || w.result[1] == -EEXIST,
						   "charged together with what it replaces");
				 };
			 }),
		scenario("map | unmap | attach of another IOMMU",
			 [](W &w) {
				 w.attach(0);
				 w.map(0, 1);
				 w.thread([&w] { w.map(2, 1); });
				 w.thread([&w] { w.unmap(0, 1); });
				 w.thread([&w] { w.attach(1); });
			 }),
		scenario("map | attach of the first IOMMU",
			 [](W &w) {
				 w.attach(W::kEmulated);
				 w.map(0, 1);
				 w.thread([&w] { w.map(2, 1); });
				 w.thread([&w] { w.attach(0); });
				 w.at_end = [&w] { W::expect(w.mapped() == 2, "not both"); };
			 }),
		scenario("map | detach of one of two IOMMUs",
			 [](W &w) {
				 w.attach(0);
				 w.attach(1);
				 w.map(0, 1);
				 w.thread([&w] { w.map(2, 1); });
				 w.thread([&w] { w.detach(1); });
				 w.at_end = [&w] { W::expect(w.mapped() == 2, "not both"); };
			 }),
		scenario("unmap | detach of the last group",
			 [](W &w) {
				 w.attach(0);
				 w.map(0, 2);
				 w.thread([&w] { w.unmap(0, 2); });
				 w.thread([&w] { w.detach(0); });
			 }),
		scenario("a window's frames are taken out, put back | map of them",
			 [](W &w) {
				 w.add_window();
				 w.attach(0);
				 w.thread([&w] {
					 w.shut(true);
					 w.shut(false);
				 });
				 w.thread([&w] { w.result[0] = w.map(W::kWindow, 2); });
				 w.at_end = [&w] {
					 W::expect(w.result[0] == 0 && w.reaches_window(0),
						   "not put back");
					 w.shut(true);
					 W::expect(!w.reaches_window(0), "not taken out");
				 };
			 }),
		scenario("a window's frames are taken out | map of them | attach of another IOMMU",
			 [](W &w) {
				 w.add_window();
				 w.attach(0);
				 w.thread([&w] { w.shut(true); });
				 w.thread([&w] { w.result[0] = w.map(W::kWindow, 2); });
				 w.thread([&w] { w.attach(1); });
				 w.at_end = [&w] {
					 W::expect(!w.reaches_window(0) && !w.reaches_window(1),
						   "not taken out");
					 w.shut(false);
					 W::expect(w.reaches_window(0) && w.reaches_window(1),
						   "not put back");
				 };
			 }),
		scenario("a window's frames are put back | unmap, map of them",
			 [](W &w) {
				 w.add_window();
				 w.attach(0);
				 w.map(W::kWindow, 2);
				 w.shut(true);
				 w.thread([&w] { w.shut(false); });
				 w.thread([&w] {
					 W::expect(w.unmap(W::kWindow, 2) == 2, "unmap");
					 W::expect(w.map(W::kWindow, 2) == 0, "map");
				 });
				 w.at_end = [&w] {
					 W::expect(w.reaches_window(0), "not put back");
				 };
			 }),
		scenario("a window's frames are taken out, put back | attach of another IOMMU",
			 [](W &w) {
				 w.add_window();
				 w.attach(0);
				 w.map(W::kWindow, 2);
				 w.thread([&w] {
					 w.shut(true);
					 w.shut(false);
				 });
				 w.thread([&w] { w.attach(1); });
				 w.at_end = [&w] {
					 W::expect(w.reaches_window(0) && w.reaches_window(1),
						   "not put back");
				 };
			 }),
		scenario("a window's frames are taken out | detach of the last IOMMU",
			 [](W &w) {
				 w.add_window();
				 w.attach(0);
				 w.map(W::kWindow, 2);
				 w.thread([&w] { w.shut(true); });
				 w.thread([&w] { w.detach(0); });
			 }),
		scenario("a scheduler remaps a page | unmap, map there",
			 [](W &w) {
				 w.add_other();
				 w.attach(0);
				 w.map(0, 2);
				 w.thread([&w] { w.remap(0, true); });
				 w.thread([&w] {
					 W::expect(w.unmap(0, 2) == 2, "unmap");
					 W::expect(w.map(0, 2) == 0, "map");
				 });
			 }),
		scenario("a scheduler remaps a page, puts it back | attach of another IOMMU",
			 [](W &w) {
				 w.add_other();
				 w.attach(0);
				 w.map(0, 2);
				 w.thread([&w] {
					 if (w.remap(0, true) == 1)
						 W::expect(w.remap(0, false) == 1, "put back");
				 });
				 w.thread([&w] { w.attach(1); });
			 }),
		scenario("a scheduler remaps pages | remaps them | a window's frames are taken out",
			 [](W &w) {
				 w.add_other();
				 w.add_window();
				 w.attach(0);
				 w.map(W::kWindow, 2);
				 w.remap(W::kWindow + 1, true);
				 w.thread([&w] { w.remap(W::kWindow, true); });
				 w.thread([&w] { w.remap(W::kWindow, false); });
				 w.thread([&w] { w.shut(true); });
				 w.at_end = [&w] {
					 W::expect(w.remap(W::kWindow, false) == 1, "put back");
					 W::expect(!w.reaches_window(0), "not taken out");
					 w.shut(false);
					 W::expect(w.reaches_window(0), "not put back");
					 // A page of the scheduler's is not charged, as others are.
					 W::expect(w.remap(W::kWindow + 1, false) == 1, "put back");
				 };
			 }),
		scenario("a scheduler remaps a page | a window's frames are put back",
			 [](W &w) {
				 w.add_other();
				 w.add_window();
				 w.attach(0);
				 w.shut(true);
				 w.map(W::kWindow, 2);
				 w.thread([&w] { w.remap(W::kWindow + 1, true); });
				 w.thread([&w] { w.shut(false); });
				 w.at_end = [&w] {
					 W::expect(w.reaches_window(0), "not put back");
					 w.shut(true);
					 W::expect(!w.reaches_window(0), "not taken out");
					 w.shut(false);
					 (void)w.remap(W::kWindow + 1, false);
				 };
			 }),
		scenario("a scheduler remaps a page | detach of one of two IOMMUs",
			 [](W &w) {
				 w.add_other();
				 w.attach(0);
				 w.attach(1);
				 w.map(0, 2);
				 w.thread([&w] { w.remap(0, true); });
				 w.thread([&w] { w.detach(1); });
			 }),
		scenario("a scheduler switches a group | map, unmap",
			 [](W &w) {
				 w.attach(0);
				 w.thread([&w] { w.switch_group(0); });
				 w.thread([&w] {
					 W::expect(w.map(0, 2) == 0, "map");
					 W::expect(w.unmap(0, 2) == 2, "unmap");
				 });
			 }),
		scenario("a scheduler switches a group | attach, detach of another IOMMU",
			 [](W &w) {
				 w.attach(0);
				 w.map(0, 2);
				 w.thread([&w] { w.switch_group(0); });
				 w.thread([&w] {
					 w.attach(1);
					 w.detach(1);
				 });
			 }),
		scenario("a window's frames are taken out | a scheduler switches the group that "
			 "reached them",
			 [](W &w) {
				 w.add_window();
				 w.attach(0);
				 w.map(W::kWindow, 2);
				 w.thread([&w] { w.shut(true); });
				 w.thread([&w] { w.switch_group(0); });
			 }),
		scenario("attach | detach",
			 [](W &w) {
				 w.attach(0);
				 w.map(0, 2);
				 w.thread([&w] { w.attach(1); });
				 w.thread([&w] { w.detach(0); });
			 }),
		scenario("pin | pin of the same page", pin_twice),
		scenario("pin | unpin of the same page", pin_while_unpinned),
		scenario("pin | unmap",
			 [](W &w) {
				 w.add_device();
				 w.map(0, 2);
				 w.thread([&w] { w.pin(0, 1); });
				 w.thread([&w] { w.result[0] = w.unmap(0, 2); });
				 w.at_end = [&w] { W::expect(w.result[0] == 2, "unmap failed"); };
			 }),
		scenario("unmap of what is pinned | unpin",
			 [](W &w) {
				 w.add_device();
				 w.map(0, 2);
				 w.pin(0, 0);
				 w.pin(1, 1);
				 w.thread([&w] { w.result[0] = w.unmap(0, 2); });
				 w.thread([&w] { w.unpin(1); });
				 w.at_end = [&w] { W::expect(w.result[0] == 2, "unmap failed"); };
			 }),
		scenario("unmap of what is pinned | unmap | pin",
			 [](W &w) {
				 w.add_device();
				 w.map(0, 1);
				 w.map(1, 1);
				 w.pin(0, 0);
				 w.thread([&w] { w.result[0] = w.unmap(0, 2); });
				 w.thread([&w] { w.result[1] = w.unmap(1, 1); });
				 w.thread([&w] { w.pin(1, 1); });
			 }),
		scenario("pin | attach of the first IOMMU",
			 [](W &w) {
				 w.add_device();
				 w.map(0, 2);
				 w.thread([&w] { w.pin(0, 1); });
				 w.thread([&w] { w.attach(0); });
				 w.at_end = [&w] { W::expect(w.pins[0] != 0, "not pinned"); };
			 }),
		scenario("pin | attach of the first IOMMU, at the limit of locked memory",
			 [](W &w) {
				 w.process.task.rlimit_pages = 2;
				 w.add_device();
				 w.map(0, 2);
				 w.thread([&w] { w.result[0] = w.pin(0, 1); });
				 w.thread([&w] { w.attach(0); });
				 w.at_end = [&w] { W::expect(w.result[0] == 1, "pin failed"); };
			 }),
		scenario("pin | pin of the same page, at the limit of locked memory",
			 [](W &w) {
				 w.process.task.rlimit_pages = 1;
				 pin_twice(w);
			 }),
		scenario("pin | unpin of the same page, at the limit of locked memory",
			 [](W &w) {
				 w.process.task.rlimit_pages = 1;
				 pin_while_unpinned(w);
			 }),
		scenario("map | unpin there of what is not pinned",
			 [](W &w) {
				 w.add_device();
				 w.attach(0);
				 w.thread([&w] { w.result[0] = w.map(0, 2); });
				 w.thread([&w] {
					 // Then the mapping is there.
					 if (mock::phys::pins(0x10'0000) != 0)
						 type1_unpin_pages(w.container, W::kIova, 1);
				 });
				 w.at_end = [&w] { W::expect(w.result[0] == 0, "map failed"); };
			 }),
		scenario("pin | detach of the last IOMMU",
			 [](W &w) {
				 w.add_device();
				 w.attach(0);
				 w.map(0, 2);
				 w.thread([&w] { w.pin(0, 1); });
				 w.thread([&w] { w.detach(0); });
				 w.at_end = [&w] { W::expect(w.pins[0] != 0, "not pinned"); };
			 }),
		scenario("copy by a device | unmap",
			 [](W &w) {
				 w.add_device();
				 w.map(0, 1);
				 w.map(1, 1);
				 w.thread([&w] {
					 u8 bytes[32] = {};

					 type1_dma_rw(w.container, W::kIova + kPage - 16, bytes,
						      sizeof(bytes), true);
				 });
				 w.thread([&w] { w.unmap_all(); });
			 }),
		scenario("dirty tracking starts and stops | pin, unpin | unmap",
			 [](W &w) {
				 w.add_device();
				 w.map(0, 2);
				 w.thread([&w] {
					 w.dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
					 w.dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
				 });
				 w.thread([&w] {
					 w.pin(0, 0);
					 w.unpin(0);
				 });
				 w.thread([&w] { w.unmap(0, 2); });
			 }),
		scenario("unmap with a bitmap | dirty tracking stops",
			 [](W &w) {
				 w.add_device();
				 w.map(0, 1);
				 w.map(1, 1);
				 w.dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
				 w.pin(0, 0);
				 w.unpin(0);
				 w.thread([&w] { w.result[0] = w.unmap_dirty(0, 2); });
				 w.thread([&w] { w.dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP); });
				 w.at_end = [&w] {
					 W::expect(w.result[0] == 2 || w.result[0] == -EINVAL,
						   "neither unmapped nor refused");
					 W::expect(w.result[0] != 2 || w.bits == 1,
						   "a page that was written was not told");
				 };
			 }),
		scenario("report | unmap, map of a longer one",
			 [](W &w) {
				 w.attach(0);
				 w.map(0, 1);
				 w.map(W::kFarPage, 1);
				 w.dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
				 w.thread([&w] { w.result[0] = w.get_dirty(); });
				 w.thread([&w] {
					 w.unmap(W::kFarPage, 1);
					 w.map(0, 3, W::kFarPage);
				 });
				 w.at_end = [&w] {
					 if (w.result[0] == -EINVAL) // it bisects the longer one
						 return;
					 W::expect(w.result[0] == 0, "report failed");
					 W::expect(w.words[0] == 1, "the first mapping");
					 W::expect(w.words[2] <= 1, "not within the request");
				 };
			 }),
		scenario("report | unmap, map of a longer one | map",
			 [](W &w) {
				 w.attach(0);
				 w.map(0, 1);
				 w.map(W::kFarPage, 1);
				 w.dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
				 w.thread([&w] { w.result[0] = w.get_dirty(); });
				 w.thread([&w] {
					 w.unmap(W::kFarPage, 1);
					 w.map(0, 3, W::kFarPage);
				 });
				 w.thread([&w] { w.result[2] = w.map(4, 1, 4); });
				 w.at_end = [&w] {
					 W::expect(w.result[2] == 0,
						   "map of other addresses failed");
					 if (w.result[0] == -EINVAL) // it bisects the longer one
						 return;
					 W::expect(w.result[0] == 0, "report failed");
					 // The page that a thread maps may be told, or not.
					 W::expect((w.words[0] & ~u64{16}) == 1,
						   "the first mapping");
					 W::expect(w.words[2] <= 1, "not within the request");
				 };
			 }),
		scenario("report | unpin | unmap with a bitmap",
			 [](W &w) {
				 w.add_device();
				 w.map(0, 1);
				 w.map(1, 1);
				 w.dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
				 w.pin(0, 0);
				 w.thread([&w] { w.result[0] = w.get_dirty(); });
				 w.thread([&w] { w.unpin(0); });
				 w.thread([&w] { w.result[2] = w.unmap_dirty(0, 2); });
				 w.at_end = [&w] {
					 W::expect(w.result[2] == 2, "unmap failed");
					 W::expect(w.result[0] == 0, "report failed");
					 W::expect((w.words[0] | w.bits) & 1,
						   "a page that was written was not told");
				 };
			 }),
		scenario("unmap of what is pinned | map at the same addresses | pin there",
			 [](W &w) {
				 w.add_device();
				 w.map(0, 1);
				 w.pin(0, 0);
				 w.thread([&w] { w.result[0] = w.unmap(0, 1); });
				 w.thread([&w] { w.result[1] = w.map(8, 1, 0); });
				 w.thread([&w] { w.result[2] = w.pin(1, 0); });
				 w.at_end = [&w] {
					 W::expect(w.result[0] == 1, "unmap failed");
					 W::expect(w.result[1] == 0 || w.result[1] == -EEXIST,
						   "map failed");
					 // In the first mapping, in none, or in the second.
					 W::expect(w.result[2] == 1 || w.result[2] == -EINVAL,
						   "pin failed");
					 W::expect(!w.pins[1] || w.result[1] == 0,
						   "pinned in a mapping that has gone");
				 };
			 }),
		scenario("pin | detach of the last IOMMU | unmap",
			 [](W &w) {
				 w.add_device();
				 w.attach(0);
				 w.map(0, 2);
				 w.thread([&w] { w.pin(0, 1); });
				 w.thread([&w] { w.detach(0); });
				 w.thread([&w] { w.result[2] = w.unmap(0, 2); });
				 w.at_end = [&w] {
					 W::expect(w.result[2] == 2, "unmap failed");
					 W::expect(!w.pins[0], "pinned in a mapping that has gone");
				 };
			 }),
		scenario("addresses invalidated | map | unmap",
			 [](W &w) {
				 w.attach(0);
				 w.map(0, 1);
				 w.thread([&w] { w.unmap(0, 1, VFIO_DMA_UNMAP_FLAG_VADDR); });
				 w.thread([&w] { w.map(2, 1); });
				 w.thread([&w] { w.unmap(0, 1); });
			 }),
	};
}
