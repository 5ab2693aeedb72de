// SPDX-License-Identifier: GPL-2.0
//
// A device that a scheduler blocks and opens, while others touch, open, close and unbind it.
#include "core_world.hpp"
#include "vfio_core/shim/gate_map.h"

using namespace model;

namespace {

class GateWorld : public CoreWorld {
public:
	GateWorld()
	{
		ops.has |= SHIM_DEVICE_READ;
		ops.rw = [this](bool, u64, size_t size, s64 *) {
			// The state may be BLOCKING from now on, but not BLOCKED.
			point();
			expect(!gate || vfio_gate_get_state(gate) != VFIO_GATE_BLOCKED,
			       "an access reaches a blocked device");
			return static_cast<long>(size);
		};
		hooks.before_open = [](void *) {
			point();
			return 0;
		};
		hooks.quiesce = [](void *, unsigned int) {
			point();
			return 0;
		};
	}

	vfio_gate *schedule(int which)
	{
		vfio_gate *made = nullptr;

		return vfio_core_gate_register(&buses[which], &hooks, nullptr, &made) ? nullptr :
											made;
	}

	// The device dev0 with a scheduler, open if it is to be.
	void prepare(bool open = true)
	{
		add(0);
		gate = schedule(0);
		container = open_container();
		group = mock::open_group("5");
		set_container(group, container);
		set_iommu(container);
		if (open)
			device = device_fd(group, "dev0");
	}

	void block()
	{
		const int ret = vfio_gate_block(gate, 1000);

		expect(ret == 0 || ret == -ENODEV || ret == -EBUSY, "block");
	}

	void open()
	{
		const int ret = vfio_gate_open(gate);

		expect(ret == 0 || ret == -ENODEV, "open");
	}

	long read() const
	{
		s64 position = 0;

		return vfio_core_device_file_read(mock::file_of(device)->device_file, 0, 4,
						  &position);
	}

	// A fault that the driver serves, or that comes again once.
	void touch()
	{
		for (int again = 0; again < 2; again++) {
			vm_fault fault;
			const u32 how = SHIM_GATE_FAULT_MAY_WAIT | SHIM_GATE_FAULT_USER;

			if (vfio_core_gate_fault(gate, &fault, how) != SHIM_GATE_FAULT_SERVE)
				continue;
			point();
			expect(vfio_gate_get_state(gate) != VFIO_GATE_BLOCKED,
			       "a window of a blocked device is mapped");
			vfio_core_gate_leave(gate);
			return;
		}
	}

	bool cut() const
	{
		return iommu_groups[0].cut;
	}

	vfio_gate_ops hooks = {};
	vfio_gate *gate = nullptr, *gate2 = nullptr;

protected:
	void finish() override
	{
		if (at_end)
			at_end();
		at_end = nullptr;
		for (vfio_gate **each : {&gate, &gate2})
			if (*each)
				vfio_gate_unregister(*each);
		CoreWorld::finish();
	}
};

} // namespace

std::vector<Scenario> model::scenarios()
{
	using W = GateWorld;
	const auto scenario = &model::scenario<W>;

	return {
		scenario("read | block, open",
			 [](W &w) {
				 w.prepare();
				 w.thread([&w] { W::expect(w.read() == 4, "read"); });
				 w.thread([&w] {
					 w.block();
					 w.open();
				 });
			 }),
		scenario("fault | block, open",
			 [](W &w) {
				 w.prepare();
				 w.thread([&w] { w.touch(); });
				 w.thread([&w] {
					 w.block();
					 w.open();
				 });
			 }),
		scenario("fault | block | open",
			 [](W &w) {
				 w.prepare();
				 w.thread([&w] { w.touch(); });
				 w.thread([&w] {
					 w.block();
					 w.open();
				 });
				 w.thread([&w] { w.open(); });
			 }),
		scenario("first open | block",
			 [](W &w) {
				 w.prepare(false);
				 w.thread([&w] { w.device = W::device_fd(w.group, "dev0"); });
				 w.thread([&w] { w.block(); });
				 w.at_end = [&w] {
					 W::expect(w.cut(), "DMA of a blocked device");
					 w.open();
					 W::expect(!w.cut(), "no DMA of an open device");
				 };
			 }),
		scenario("last close | block, open",
			 [](W &w) {
				 w.prepare();
				 w.thread([&w] { W::close(w.device); });
				 w.thread([&w] {
					 w.block();
					 w.open();
				 });
				 w.at_end = [&w] { W::expect(!w.cut(), "cut off at the end"); };
			 }),
		scenario("block | open of another in the group",
			 [](W &w) {
				 w.prepare();
				 w.add(1);
				 w.thread([&w] { w.block(); });
				 w.thread([&w] { w.device2 = W::device_fd(w.group, "dev1"); });
				 w.at_end = [&w] {
					 W::expect(!w.cut() || w.device2 < 0,
						   "DMA cut off for two devices");
					 w.open();
				 };
			 }),
		scenario("switch | switch back",
			 [](W &w) {
				 w.prepare(false);
				 w.add(2);
				 w.gate2 = w.schedule(2);
				 vfio_gate_block(w.gate2, 0);
				 w.thread([&w] { vfio_gate_switch(w.gate, w.gate2, 0); });
				 w.thread([&w] { vfio_gate_switch(w.gate2, w.gate, 0); });
				 w.at_end = [&w] {
					 W::expect(
						 (vfio_gate_get_state(w.gate) == VFIO_GATE_OPEN) !=
							 (vfio_gate_get_state(w.gate2) ==
							  VFIO_GATE_OPEN),
						 "not one of the two is open");
				 };
			 }),
		scenario("unbind | block, open",
			 [](W &w) {
				 w.prepare(false);
				 w.thread([&w] { w.remove(0); });
				 w.thread([&w] {
					 w.block();
					 w.open();
				 });
			 }),
		scenario("unbind | a scheduler comes, blocks",
			 [](W &w) {
				 w.add(0);
				 w.thread([&w] { w.remove(0); });
				 w.thread([&w] {
					 w.gate = w.schedule(0);
					 if (w.gate)
						 w.block();
				 });
			 }),
		scenario("read | block, the scheduler goes",
			 [](W &w) {
				 w.prepare();
				 w.thread([&w] { W::expect(w.read() == 4, "read"); });
				 w.thread([&w] {
					 w.block();
					 vfio_gate_unregister(w.gate);
					 w.gate = nullptr;
				 });
			 }),
	};
}
