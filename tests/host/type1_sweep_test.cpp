// SPDX-License-Identifier: GPL-2.0
//
// The failure sweep: an entry point that succeeds is run again with its 1st,
// 2nd, ... allocation, pin, charge, map or copy failing, until none is left to
// fail. After each, either it worked all the same, or it gave an errno and
// pins, references, charges, PTEs and memory are as before.
#include <functional>

#include "type1_container.hpp"

namespace {

// All that the mock can see of a container.
struct State {
	std::map<u64, u64> pins;
	std::vector<std::map<u64, std::pair<u64, u32>>> ptes;
	std::vector<const iommu_domain *> attached;
	u64 locked, heir_locked;
	s64 grabs, refs, blocks, bytes;
	u32 avail;
	std::vector<std::pair<u64, u64>> windows;
	u64 pgsizes;
	long coherent;

	bool operator==(const State &) const = default;
};

class Type1Sweep : public Type1Test {
protected:
	struct World {
		explicit World(Type1Sweep &test)
			: first(&test.hardware, 1), second(&test.hardware, 2),
			  other(&test.other_driver, 3), picky(&test.family, 4)
		{
			picky.reserved = {{0x900000, 0x9fffff, SHIM_RESV_RESERVED},
					  {0x8000000, 0x80fffff, SHIM_RESV_SW_MSI}};
		}

		~World()
		{
			device.reset();
			for (iommu_group *group : {&first, &second, &other, &picky, &emulated})
				c.detach(*group);
			c.close();
		}

		Container c;
		iommu_group first, second, other, picky, emulated;
		std::unique_ptr<PinningDevice> device;
	};

	void SetUp() override
	{
		Type1Test::SetUp();
		other_driver.driver = 2;
		family.family = 2;
		process.mm.map(0x7000'0000, 4, mock::kDevicePfn, true, mock::Kind::kBar);
		process.mm.map(0x7000'4000, 4, 7, false, mock::Kind::kReserved, 0);
		process.mm.map(0x7100'0000, 600, 0x9000, true, mock::Kind::kOrdinary, 2);
	}

	State state_of(World &world)
	{
		State state = {};

		state.pins = mock::phys::pinned();
		for (const iommu_group *group :
		     {&world.first, &world.second, &world.other, &world.picky}) {
			auto &ptes = state.ptes.emplace_back();

			state.attached.push_back(group->domain);
			if (group->domain)
				for (const auto &[iova, pte] : group->domain->ptes)
					ptes[iova] = {pte.pfn, pte.prot};
		}
		EXPECT_GE(4u, mock::domain_count());
		state.locked = locked();
		state.heir_locked = heir.mm.locked_vm;
		state.grabs = process.mm.grabs + heir.mm.grabs;
		state.refs = process.task.refs + heir.task.refs;
		state.blocks = mock::live_blocks();
		state.bytes = mock::live_bytes();
		const Info info = get_info(world.c);
		state.avail = info.avail.value_or(~0u);
		state.windows = info.windows.value_or(std::vector<std::pair<u64, u64>>());
		state.pgsizes = info.info.iova_pgsizes;
		state.coherent = world.c.extension(VFIO_DMA_CC_IOMMU);
		return state;
	}

	// prepare and run on a new world each time; run gives 0 or more if it
	// worked. may_change: what stays changed after a failure is defined.
	void sweep(const char *name, const std::set<long> &errors,
		   const std::function<void(World &)> &prepare,
		   const std::function<s64(World &)> &run, bool may_change = false)
	{
		State success;
		std::map<mock::Fail, u64> points;
		u64 absorbed = 0;

		for (u64 nth = 0;; nth++) {
			World world(*this);

			// A container remembers who mapped last.
			ASSERT_EQ(world.c.map(0, uva(0), kPage), 0);
			ASSERT_EQ(world.c.unmap_all(), static_cast<s64>(kPage));
			prepare(world);
			const State before = state_of(world);
			mock::plan.reset();
			mock::plan.fail_nth(nth);
			const s64 result = run(world);
			const bool fired = mock::plan.fired();
			const mock::Fail what = mock::plan.what();
			mock::plan.reset();
			State after = state_of(world);
			// A domain of one run is not that of another.
			after.attached.resize(0);

			if (nth == 0) {
				ASSERT_GE(result, 0) << name;
				success = after;
				continue;
			}
			if (!fired)
				break;
			points[what]++;
			if (result >= 0) {
				absorbed++;
				EXPECT_EQ(after, success) << name << ": " << mock::name_of(what);
				continue;
			}
			EXPECT_TRUE(errors.contains(-result))
				<< name << ": " << mock::name_of(what) << " gives " << result;
			after.attached = before.attached;
			if (may_change)
				continue;
			EXPECT_TRUE(after == before)
				<< name << ": " << mock::name_of(what) << " number " << nth
				<< " leaves something changed";
			// Afterwards it works.
			EXPECT_GE(run(world), 0) << name;
		}
		printf("%s:", name);
		u64 total = 0;
		for (const auto &[kind, n] : points) {
			printf(" %s %llu", mock::name_of(kind), n);
			total += n;
		}
		printf("; %llu failure points, %llu absorbed\n", total, absorbed);
		EXPECT_GT(total, 0u);
	}

	static void mapped(World &world)
	{
		EXPECT_EQ(world.c.map(0x100000, uva(0), 20 * kPage), 0);
		EXPECT_EQ(world.c.map(0x200000, 0x7000'0000, 8 * kPage, kRead), 0);
		EXPECT_EQ(world.c.map(0x300000, 0x7100'0000, 40 * kPage), 0);
	}

	static void attached_and_mapped(World &world)
	{
		ASSERT_EQ(world.c.attach(world.first), 0);
		mapped(world);
	}

	static void tracked(World &world)
	{
		attached_and_mapped(world);
		ASSERT_EQ(world.c.start_dirty(), 0);
	}

	static void with_device(World &world)
	{
		ASSERT_EQ(world.c.attach(world.emulated, true), 0);
		world.device = std::make_unique<PinningDevice>(world.c, world.emulated);
	}

	mock::Process heir;
	mock::Hardware other_driver, family;
};

TEST_F(Type1Sweep, MapContiguous)
{
	sweep(
		"map contiguous", {ENOMEM, EFAULT, EINTR},
		[](World &w) { ASSERT_EQ(w.c.attach(w.first), 0); },
		[](World &w) { return w.c.map(0x100000, uva(0), 20 * kPage); });
}

TEST_F(Type1Sweep, MapScatteredInTwoDomains)
{
	sweep(
		"map scattered, two domains", {ENOMEM, EFAULT, EINTR},
		[](World &w) {
			ASSERT_EQ(w.c.attach(w.first), 0);
			ASSERT_EQ(w.c.attach(w.other), 0);
		},
		[](World &w) { return w.c.map(0x300000, 0x7100'0000, 60 * kPage); });
}

TEST_F(Type1Sweep, MapMixedWithDirtyTracking)
{
	sweep(
		"map mixed, dirty", {ENOMEM, EFAULT, EINTR},
		[this](World &w) {
			process.mm.pin_batch = 3;
			ASSERT_EQ(w.c.attach(w.first), 0);
			ASSERT_EQ(w.c.start_dirty(), 0);
		},
		[](World &w) { return w.c.map(0x200000, 0x7000'0000, 8 * kPage, kRead); });
}

TEST_F(Type1Sweep, MapSmallPages)
{
	mock::type1_params.disable_hugepages = true;
	sweep(
		"map without huge pages", {ENOMEM, EFAULT, EINTR},
		[](World &w) {
			ASSERT_EQ(w.c.attach(w.first), 0);
			ASSERT_EQ(w.c.attach(w.other), 0);
		},
		[](World &w) { return w.c.map(0x100000, uva(0), 6 * kPage); });
}

TEST_F(Type1Sweep, AttachFirst)
{
	sweep(
		"attach with replay that pins", {ENOMEM, EFAULT, EINTR, EIO},
		[](World &w) {
			with_device(w);
			mapped(w);
			ASSERT_EQ(w.device->pin(0x102000, 3), 3);
		},
		[](World &w) { return w.c.attach(w.first); });
}

TEST_F(Type1Sweep, AttachSecondDomain)
{
	sweep("attach with replay", {ENOMEM, EIO}, attached_and_mapped,
	      [](World &w) { return w.c.attach(w.other); });
}

TEST_F(Type1Sweep, AttachToAnExistingDomain)
{
	sweep("attach, shared domain", {ENOMEM, EIO}, attached_and_mapped, [](World &w) {
		// If the shared domain refuses it gets one of its own.
		const int ret = w.c.attach(w.second);
		if (ret == 0 && w.second.domain != w.first.domain)
			w.c.detach(w.second);
		else
			return ret;
		return w.c.attach(w.second);
	});
}

TEST_F(Type1Sweep, AttachRefusedByTheExistingDomain)
{
	sweep("attach, refused and back, reserved", {ENOMEM, EIO}, attached_and_mapped,
	      [](World &w) { return w.c.attach(w.picky); });
}

TEST_F(Type1Sweep, AttachNesting)
{
	sweep(
		"attach emulated", {ENOMEM}, [](World &w) { mapped(w); },
		[](World &w) { return w.c.attach(w.emulated, true); });
}

TEST_F(Type1Sweep, Detach)
{
	// Cannot fail: without memory only the windows stay too narrow.
	for (u64 nth = 1;; nth++) {
		World world(*this);

		ASSERT_EQ(world.c.attach(world.first), 0);
		mapped(world);
		ASSERT_EQ(world.c.attach(world.picky), 0);
		mock::plan.fail_nth(nth);
		world.c.detach(world.picky);
		const bool fired = mock::plan.fired();
		mock::plan.reset();
		EXPECT_EQ(world.picky.domain, nullptr);
		EXPECT_EQ(world.first.domain->ptes.size(), 68u);
		EXPECT_EQ(mock::domain_count(), 1u);
		if (!fired) {
			EXPECT_GT(nth, 1u);
			break;
		}
	}
}

TEST_F(Type1Sweep, PinPages)
{
	sweep(
		"pin pages", {ENOMEM, EFAULT, EINTR},
		[](World &w) {
			with_device(w);
			mapped(w);
			ASSERT_EQ(w.c.start_dirty(), 0);
			ASSERT_EQ(w.device->pin(0x103000, 1), 1);
			// The first unpin makes the bitmap.
			ASSERT_EQ(w.device->pin(0x102000, 1), 1);
			w.device->unpin(0x102000, 1);
		},
		[](World &w) { return w.device->pin(0x102000, 5); });
}

TEST_F(Type1Sweep, StartDirty)
{
	sweep("start dirty", {ENOMEM, EFAULT}, attached_and_mapped,
	      [](World &w) { return w.c.start_dirty(); });
}

TEST_F(Type1Sweep, GetDirty)
{
	sweep("get dirty", {EFAULT}, tracked, [](World &w) {
		std::vector<u64> bitmap(16);
		return w.c.get_dirty(0x100000, 0x400000, bitmap);
	});
}

TEST_F(Type1Sweep, UnmapWithBitmap)
{
	// A fault at the second mapping comes after the first has gone.
	sweep(
		"unmap with bitmap", {EFAULT}, tracked,
		[](World &w) {
			std::vector<u64> bitmap(16);
			return w.c.unmap_dirty(0x100000, 0x400000, bitmap);
		},
		true);
}

TEST_F(Type1Sweep, GiveVaddr)
{
	sweep(
		"vaddr, another owner", {ENOMEM, EFAULT, EINTR},
		[](World &w) {
			ASSERT_EQ(w.c.attach(w.first), 0);
			mapped(w);
			ASSERT_EQ(w.c.unmap_all(VFIO_DMA_UNMAP_FLAG_VADDR), s64{68 * kPage});
		},
		[this](World &w) {
			const mock::As as_heir(&heir);
			return w.c.map(0x100000, 0x5000, 20 * kPage, VFIO_DMA_MAP_FLAG_VADDR);
		});
}

TEST_F(Type1Sweep, Info)
{
	sweep(
		"get info", {ENOMEM, EFAULT}, [](World &w) { ASSERT_EQ(w.c.attach(w.picky), 0); },
		[](World &w) { return get_info(w.c).ret; });
}

} // namespace
