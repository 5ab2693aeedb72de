// SPDX-License-Identifier: GPL-2.0
//
// The parts of vfio_core that need no world: chains of capabilities, checks of
// interrupt sets, the migration table against shortest paths.
#include <queue>

#include "core_world.hpp"
#include "shim/alloc.h"

namespace {

class CoreParts : public CoreTest {
protected:
	struct Chain {
		vfio_info_cap_header *buffer = nullptr;
		size_t size = 0;

		~Chain()
		{
			// Drivers free with kfree(), which is this.
			shim_free(buffer);
		}

		const vfio_info_cap_header *at(size_t offset) const
		{
			return reinterpret_cast<const vfio_info_cap_header *>(
				reinterpret_cast<const u8 *>(buffer) + offset);
		}
	};
};

TEST_F(CoreParts, InfoChains)
{
	Chain chain;
	vfio_info_cap_header *added = nullptr;

	ASSERT_EQ(vfio_core_info_cap_add(&chain.buffer, &chain.size, 16, 7, 1, &added), 0);
	EXPECT_EQ(chain.size, 16u);
	EXPECT_EQ(added, chain.buffer);
	ASSERT_EQ(vfio_core_info_cap_add(&chain.buffer, &chain.size, 24, 8, 2, &added), 0);
	memset(added + 1, 0xaa, 16);
	const struct {
		vfio_info_cap_header header;
		u64 payload[2];
	} source = {{.id = 9, .version = 3, .next = 0xdead}, {0x1111, 0x2222}};
	ASSERT_EQ(
		vfio_core_info_cap_copy(&chain.buffer, &chain.size, &source.header, sizeof(source)),
		0);
	EXPECT_EQ(chain.size, 64u);
	EXPECT_EQ(chain.at(0)->id, 7u);
	EXPECT_EQ(chain.at(0)->version, 1u);
	EXPECT_EQ(chain.at(0)->next, 16u);
	EXPECT_EQ(reinterpret_cast<const u64 *>(chain.buffer)[1], 0u) << "zeroed";
	EXPECT_EQ(chain.at(16)->id, 8u);
	EXPECT_EQ(chain.at(16)->next, 40u);
	EXPECT_EQ(chain.at(40)->id, 9u);
	EXPECT_EQ(chain.at(40)->version, 3u);
	EXPECT_EQ(chain.at(40)->next, 0u) << "not the copy's";
	EXPECT_EQ(memcmp(chain.at(48), source.payload, 16), 0);
	vfio_core_info_cap_shift(chain.buffer, chain.size, 32);
	EXPECT_EQ(chain.at(0)->next, 48u);
	EXPECT_EQ(chain.at(16)->next, 72u);
	EXPECT_EQ(chain.at(40)->next, 0u);
}

TEST_F(CoreParts, InfoChainErrors)
{
	for (const int failing : {0, 1}) {
		Chain chain;
		vfio_info_cap_header *added = nullptr;

		if (failing) {
			ASSERT_EQ(vfio_core_info_cap_add(&chain.buffer, &chain.size, 16, 7, 1,
							 &added),
				  0);
		}
		mock::plan.fail(mock::Fail::kAlloc);
		EXPECT_EQ(vfio_core_info_cap_add(&chain.buffer, &chain.size, 16, 7, 1, &added),
			  -ENOMEM);
		EXPECT_EQ(chain.buffer, nullptr) << "freed and cleared";
		EXPECT_EQ(chain.size, 0u);
		vfio_core_info_cap_shift(chain.buffer, chain.size, 8);
	}
	expect_warning("capability of an impossible size");
	for (const size_t size : {size_t{0}, size_t{7}, ~size_t{0}, ~size_t{7}, ~size_t{0} - 15,
				  size_t{1} << 32, (size_t{1} << 32) - 16}) {
		Chain chain;
		vfio_info_cap_header *added = nullptr;

		ASSERT_EQ(vfio_core_info_cap_add(&chain.buffer, &chain.size, 16, 7, 1, &added), 0);
		EXPECT_EQ(vfio_core_info_cap_add(&chain.buffer, &chain.size, size, 7, 1, &added),
			  -EINVAL);
		EXPECT_EQ(chain.buffer, nullptr);
	}
}

TEST_F(CoreParts, InfoChainOddSizes)
{
	Chain chain;
	vfio_info_cap_header *added = nullptr;

	for (const size_t size : {12u, 9u, 8u, 15u})
		ASSERT_EQ(vfio_core_info_cap_add(&chain.buffer, &chain.size, size, 1, 1, &added),
			  0);
	u32 at = 0, n = 0;
	do {
		vfio_info_cap_header header;

		memcpy(&header, reinterpret_cast<const u8 *>(chain.buffer) + at, sizeof(header));
		EXPECT_EQ(at % 8, 0u) << "capability " << n;
		at = header.next;
		n++;
	} while (at);
	EXPECT_EQ(n, 4u);
	EXPECT_EQ(chain.size, 16u + 16 + 8 + 16) << "padded at the end too";
	EXPECT_EQ(chain.at(32)->next, 40u);
}

TEST_F(CoreParts, IrqSets)
{
	constexpr u32 kTrigger = VFIO_IRQ_SET_ACTION_TRIGGER;
	constexpr u32 kNone = VFIO_IRQ_SET_DATA_NONE, kBool = VFIO_IRQ_SET_DATA_BOOL;
	constexpr u32 kEventfd = VFIO_IRQ_SET_DATA_EVENTFD;
	size_t size = 0;
	const auto check = [&](u32 flags, u32 index, u32 start, u32 count, u32 extra, int nirqs = 8,
			       int nindexes = 3) {
		const vfio_irq_set set = {static_cast<u32>(sizeof(set)) + extra, flags, index,
					  start, count};
		size = 1234;
		return vfio_core_check_irq_set(&set, nirqs, nindexes, &size);
	};

	EXPECT_EQ(check(kNone | kTrigger, 0, 0, 8, 0), 0);
	EXPECT_EQ(size, 0u);
	EXPECT_EQ(check(kBool | kTrigger, 2, 3, 5, 5), 0);
	EXPECT_EQ(size, 5u);
	EXPECT_EQ(check(kEventfd | kTrigger, 1, 0, 8, 100), 0);
	EXPECT_EQ(size, 32u);
	EXPECT_EQ(check(kEventfd | kTrigger, 0, 0, 8, 31), -EINVAL);
	EXPECT_EQ(check(kBool | kTrigger, 0, 0, 8, 7), -EINVAL);
	EXPECT_EQ(check(kNone | kTrigger, 3, 0, 1, 0), -EINVAL) << "index";
	EXPECT_EQ(check(kNone | kTrigger, 0, 8, 0, 0), -EINVAL) << "start";
	EXPECT_EQ(check(kNone | kTrigger, 0, 7, 2, 0), -EINVAL) << "end";
	EXPECT_EQ(check(kNone | kTrigger, 0, ~0u, 1, 0), -EINVAL) << "wraps";
	EXPECT_EQ(check(kNone | kTrigger, 0, 1, ~0u, 0), -EINVAL) << "wraps";
	EXPECT_EQ(check(kNone | kTrigger, 0, 0, ~0u, 0), -EINVAL);
	EXPECT_EQ(check(kEventfd | kTrigger, 0, 0, 0x4000'0000, 0, 0x7fff'ffff), -EINVAL)
		<< "four times that overflows";
	EXPECT_EQ(check(kNone | kBool | kTrigger, 0, 0, 1, 8), -EINVAL) << "two kinds of data";
	EXPECT_EQ(check(kTrigger, 0, 0, 1, 0), -EINVAL) << "none";
	EXPECT_EQ(check(1u << 30 | kNone | kTrigger, 0, 0, 1, 0), -EINVAL);
	EXPECT_EQ(check(kNone | kTrigger, 0, 0, 1, 0, 0), -EINVAL) << "no interrupts";
	EXPECT_EQ(check(kNone | kTrigger, 0, 0, 1, 0, -1, -1), -EINVAL);
	EXPECT_EQ(check(kNone | kTrigger, 0, 0, 0, 0), 0) << "turns all off";

	const vfio_irq_set cut = {sizeof(cut) - 1, kNone | kTrigger, 0, 0, 1};
	EXPECT_EQ(vfio_core_check_irq_set(&cut, 8, 3, &size), -EINVAL);
	const vfio_irq_set data = {sizeof(data) + 8, kBool | kTrigger, 0, 0, 1};
	EXPECT_EQ(vfio_core_check_irq_set(&data, 8, 3, nullptr), -EINVAL);
	const vfio_irq_set none = {sizeof(none), kNone | kTrigger, 0, 0, 1};
	EXPECT_EQ(vfio_core_check_irq_set(&none, 8, 3, nullptr), 0);
}

// The arcs that drivers implement, from the UAPI's text. Paths follow them
// and pass through no state in which data flows, but for the end.
TEST_F(CoreParts, MigrationTakesTheShortestWay)
{
	constexpr u32 kStop = VFIO_DEVICE_STATE_STOP, kRun = VFIO_DEVICE_STATE_RUNNING;
	constexpr u32 kCopy = VFIO_DEVICE_STATE_STOP_COPY, kLoad = VFIO_DEVICE_STATE_RESUMING;
	constexpr u32 kP2P = VFIO_DEVICE_STATE_RUNNING_P2P;
	Registered device(devices[0], ops);

	for (const bool p2p : {false, true}) {
		std::set<std::pair<u32, u32>> arcs = {
			{kStop, kCopy}, {kCopy, kStop}, {kStop, kLoad}, {kLoad, kStop}};
		std::set<u32> states = {kStop, kRun, kCopy, kLoad};
		if (p2p) {
			states.insert(kP2P);
			arcs.insert({{kRun, kP2P}, {kP2P, kRun}, {kP2P, kStop}, {kStop, kP2P}});
		} else {
			arcs.insert({{kRun, kStop}, {kStop, kRun}});
		}
		device->migration_flags = VFIO_MIGRATION_STOP_COPY | (p2p ? VFIO_MIGRATION_P2P : 0);

		for (const u32 to : states) {
			std::map<u32, u32> distance = {{to, 0}};
			std::queue<u32> queue({to});
			while (!queue.empty()) {
				const u32 at = queue.front();
				queue.pop();
				if (at != to && (at == kCopy || at == kLoad))
					continue;
				for (const auto &[from, next] : arcs)
					if (next == at && !distance.contains(from)) {
						distance[from] = distance[at] + 1;
						queue.push(from);
					}
			}
			for (u32 from : states) {
				ASSERT_TRUE(distance.contains(from));
				u32 step = 99;
				ASSERT_EQ(vfio_core_migration_next(device->core, from, to, &step),
					  0);
				if (from == to) {
					EXPECT_EQ(step, to);
					continue;
				}
				EXPECT_TRUE(arcs.contains({from, step})) << from << "->" << step;
				EXPECT_EQ(distance.at(step) + 1, distance.at(from))
					<< from << " to " << to << " by " << step;
			}
			for (const u32 none : {u32{0}, u32{8}, u32{100}, ~u32{0}}) {
				u32 step = 99;
				EXPECT_EQ(vfio_core_migration_next(device->core, to, none, &step),
					  -EINVAL);
				EXPECT_EQ(step, 99u);
			}
		}
		if (!p2p) {
			u32 step;
			EXPECT_EQ(vfio_core_migration_next(device->core, kRun, kP2P, &step),
				  -EINVAL);
		}
	}
	u32 step;
	expect_warning("migration from a state that the driver does not have");
	EXPECT_EQ(vfio_core_migration_next(device->core, 0, kRun, &step), -EINVAL);
	EXPECT_EQ(vfio_core_migration_next(device->core, ~0u, kRun, &step), -EINVAL);
}

} // namespace
