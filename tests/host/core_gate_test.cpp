// SPDX-License-Identifier: GPL-2.0
//
// Gates: what waits while a device is blocked and what ends the wait, in which order a switch
// does what, whom the IOMMU group belongs to.
#include <thread>

#include "core_world.hpp"
#include "uapi/vfio_gate.h"
#include "vfio_cxx/gate_frames.h"

namespace {

constexpr u32 kMs = 1000;

class CoreGate : public CoreTest {
protected:
	void SetUp() override
	{
		CoreTest::SetUp();
		mock::waits_interrupted = false;
		ops.has |= SHIM_DEVICE_MMAP;
		ops.mmap = [](vm_area_struct *) { return 0; };
		hooks.before_open = before_open;
		hooks.quiesce = quiesce;
		process.task.sys_admin = true;
	}

	static int before_open(void *data)
	{
		auto *self = static_cast<CoreGate *>(data);

		self->order += "open ";
		self->cut_at_open = self->groups[0].cut;
		return self->open_error;
	}

	static int quiesce(void *data, unsigned int)
	{
		auto *self = static_cast<CoreGate *>(data);

		self->order += "quiesce ";
		EXPECT_FALSE(self->groups[0].cut) << "the device can end its DMA";
		return self->quiesce_error;
	}

	vfio_gate *schedule(device &dev, const vfio_gate_ops *with = nullptr)
	{
		vfio_gate *gate = nullptr;

		EXPECT_EQ(vfio_core_gate_register(&dev, with ? with : &hooks, this, &gate), 0);
		return gate;
	}

	// Opens the first device: its container, group, and file.
	void open_device()
	{
		open_all(container, group, "5");
		fd = static_cast<int>(device_fd(group, devices[0].name));
		ASSERT_GE(fd, 0);
		file = mock::file_of(fd)->device_file;
	}

	void close_device()
	{
		mock::close(fd);
		mock::close(group);
		mock::close(container);
	}

	long read() const
	{
		s64 position = 0;

		return vfio_core_device_file_read(file, 0, 4, &position);
	}

	// A thread that reads, and what it got.
	std::thread reader(long &result) const
	{
		return std::thread([this, &result] { result = read(); });
	}

	vfio_device_gate_info info() const
	{
		vfio_device_gate_info info = {};

		info.argsz = sizeof(info);
		EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_GATE_INFO, &info, sizeof(info)), 0);
		return info;
	}

	long set(u32 flags, u32 state, u32 limit_ms = 0) const
	{
		const vfio_device_gate_set set = {sizeof(set), flags, state, kMs, limit_ms};

		return mock::ioctl(fd, VFIO_DEVICE_GATE_SET, &set, sizeof(set));
	}

	void until_waiting(u32 threads) const
	{
		while (info().waiting != threads)
			std::this_thread::yield();
	}

	shim_gate_fault fault(vfio_gate *gate, u32 how, vm_fault &fault) const
	{
		return vfio_core_gate_fault(gate, &fault, how);
	}

	shim_gate_fault fault(vfio_gate *gate, u32 how) const
	{
		vm_fault one;

		return fault(gate, how, one);
	}

	vfio_gate_ops hooks = {};
	std::string order;
	bool cut_at_open = false;
	int open_error = 0, quiesce_error = 0;
	int container = -1, group = -1, fd = -1;
	vfio_core_device_file *file = nullptr;
};

constexpr u32 kUser = SHIM_GATE_FAULT_MAY_WAIT | SHIM_GATE_FAULT_USER;

TEST_F(CoreGate, OneSchedulerAndBeforeTheDeviceIsOpen)
{
	vfio_gate *gate = nullptr;

	EXPECT_EQ(vfio_core_gate_register(&devices[0], &hooks, this, &gate), -ENODEV);
	Registered device(devices[0], ops);
	open_device();
	EXPECT_EQ(vfio_core_gate_register(&devices[0], &hooks, this, &gate), -EBUSY)
		<< "windows may be mapped that no gate knows";
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_GATE_INFO, 0), 0 + VFIO_DEVICE_GATE_INFO)
		<< "without a gate the ioctl is the driver's";
	close_device();
	gate = schedule(devices[0]);
	EXPECT_EQ(vfio_core_gate_register(&devices[0], &hooks, this, &gate), -EBUSY);
	open_device();
	vfio_gate_set_limit(gate, 7);
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	vfio_gate_unregister(gate);
	EXPECT_EQ(info().flags, 0u);
	gate = schedule(devices[0]);
	EXPECT_EQ(info().blocks, 0u) << "it counts anew";
	EXPECT_EQ(info().limit_ms, 10000u);
	EXPECT_EQ(info().flags, u32{VFIO_DEVICE_GATE_SCHEDULED})
		<< "it had a gate when it was opened";
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, ABlockedDeviceMakesCallsWait)
{
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();
	long first = 0, second = 0;

	EXPECT_EQ(read(), 4);
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_BLOCKED});
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_FALSE(vfio_core_device_file_poll(file, nullptr));
	std::thread one = reader(first), two([&] {
		const mock::As as(&process);

		second = mock::ioctl(fd, VFIO_DEVICE_RESET, u64{7});
	});
	until_waiting(2);
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_GET_INFO, u64{5}), VFIO_DEVICE_GET_INFO + 5)
		<< "what only describes the device does not wait";
	mock::file_of(fd)->nonblocking = true;
	EXPECT_EQ(read(), -EAGAIN);
	mock::file_of(fd)->nonblocking = false;
	EXPECT_EQ(vfio_gate_open(gate), 0);
	one.join();
	two.join();
	EXPECT_EQ(first, 4);
	EXPECT_EQ(second, VFIO_DEVICE_RESET + 7);
	EXPECT_TRUE(vfio_core_device_file_poll(file, nullptr));
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_IOEVENTFD, u64{0}), -EOPNOTSUPP)
		<< "the kernel would write to the device at any time";
	vfio_device_feature feature{sizeof(feature), VFIO_DEVICE_FEATURE_PROBE | 11};
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_FEATURE, &feature, sizeof(feature)), -EOPNOTSUPP)
		<< "other devices would reach an exported window at any time";
	EXPECT_EQ(info().blocks, 1u);
	EXPECT_GT(info().blocked_ns, 0u);
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, AnAccessThatDoesNotEnd)
{
	std::atomic<int> inside = 0;
	ops.rw = [&](bool, u64, size_t size, s64 *) {
		for (inside++; inside == 1;)
			std::this_thread::yield();
		return static_cast<long>(size);
	};

	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();
	long result = 0;
	std::thread one = reader(result);

	while (inside == 0)
		std::this_thread::yield();
	EXPECT_EQ(vfio_gate_block(gate, 2 * kMs), -ETIMEDOUT);
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_BLOCKING});
	EXPECT_TRUE(groups[0].cut) << "all else is cut off";
	EXPECT_EQ(device->maps.zaps, 1u);
	EXPECT_EQ(fault(gate, SHIM_GATE_FAULT_NOWAIT), SHIM_GATE_FAULT_RETRY);
	EXPECT_EQ(vfio_gate_block(gate, 0), -ETIMEDOUT);
	EXPECT_EQ(order, "quiesce ") << "once";
	EXPECT_EQ(vfio_gate_trap(gate, 0), 0) << "calls may go on";
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_TRAPPED});
	EXPECT_FALSE(groups[0].cut);
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(vfio_gate_trap(gate, 0), 0) << "also if they began while it was open";
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_TRAPPED});
	inside = 2;
	EXPECT_EQ(vfio_gate_block(gate, 1000 * kMs), 0) << "waits for it";
	one.join();
	EXPECT_EQ(result, 4);
	EXPECT_EQ(vfio_gate_open(gate), 0);
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, FaultsWaitWithoutTheLock)
{
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();
	vm_fault open, waits;

	EXPECT_EQ(vfio_gate_block(gate, 0), 0);
	EXPECT_EQ(device->maps.zaps, 0u) << "nothing was touched";
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(fault(gate, kUser, open), SHIM_GATE_FAULT_SERVE);
	EXPECT_TRUE(open.locked);
	EXPECT_EQ(vfio_gate_block(gate, kMs), -ETIMEDOUT) << "it is being served";
	vfio_core_gate_leave(gate);
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(fault(gate, kUser, open), SHIM_GATE_FAULT_SERVE);

	const u64 zaps = device->maps.zaps;
	u64 while_served = 1;
	std::thread serves([&] {
		while (vfio_gate_get_state(gate) != VFIO_GATE_BLOCKING)
			std::this_thread::yield();
		std::this_thread::sleep_for(std::chrono::milliseconds(50));
		while_served = device->maps.zaps - zaps;
		vfio_core_gate_leave(gate);
	});
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0) << "past its deadline";
	serves.join();
	EXPECT_EQ(while_served, 0u) << "the driver fills the map";
	EXPECT_EQ(device->maps.zaps, zaps + 1);
	EXPECT_FALSE(vfio_core_gate_try_map(gate));

	shim_gate_fault answer = SHIM_GATE_FAULT_SERVE;
	std::thread thread([&] { answer = fault(gate, kUser, waits); });
	until_waiting(1);
	EXPECT_FALSE(waits.locked);
	EXPECT_EQ(vfio_gate_open(gate), 0);
	thread.join();
	EXPECT_EQ(answer, SHIM_GATE_FAULT_RETRY);

	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	vm_fault held;
	EXPECT_EQ(fault(gate, SHIM_GATE_FAULT_NOWAIT, held), SHIM_GATE_FAULT_RETRY);
	EXPECT_EQ(fault(gate, 0, held), SHIM_GATE_FAULT_SIGBUS);
	EXPECT_EQ(fault(gate, SHIM_GATE_FAULT_MAY_WAIT | SHIM_GATE_FAULT_REMOTE, held),
		  SHIM_GATE_FAULT_SIGBUS)
		<< "not with a container's lock";
	EXPECT_TRUE(held.locked);
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, SignalsAndTheLimitEndWaits)
{
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();

	ASSERT_EQ(vfio_gate_block(gate, kMs), 0);
	mock::waits_interrupted = true;
	EXPECT_EQ(read(), -EINTR);
	EXPECT_EQ(fault(gate, kUser), SHIM_GATE_FAULT_RETRY) << "the signal is delivered then";
	vfio_gate_set_limit(gate, 20);
	EXPECT_EQ(fault(gate, SHIM_GATE_FAULT_MAY_WAIT), SHIM_GATE_FAULT_RETRY)
		<< "not in user mode: this was the limit";
	EXPECT_EQ(fault(gate, SHIM_GATE_FAULT_MAY_WAIT), SHIM_GATE_FAULT_SIGBUS);
	EXPECT_EQ(read(), -ETIMEDOUT);
	EXPECT_EQ(info().timeouts, 2u);
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(read(), 4);
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_EQ(fault(gate, SHIM_GATE_FAULT_MAY_WAIT), SHIM_GATE_FAULT_RETRY)
		<< "the time begins anew";
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, TrappedWindowsCannotBeTouched)
{
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();

	ASSERT_EQ(fault(gate, kUser), SHIM_GATE_FAULT_SERVE);
	vfio_core_gate_leave(gate);
	EXPECT_EQ(vfio_gate_trap(gate, kMs), 0);
	EXPECT_EQ(vfio_gate_trap(gate, kMs), 0);
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_TRAPPED});
	EXPECT_EQ(device->maps.zaps, 1u);
	EXPECT_EQ(fault(gate, kUser), SHIM_GATE_FAULT_SIGBUS);
	EXPECT_EQ(read(), 4);
	EXPECT_FALSE(groups[0].cut);
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_EQ(vfio_gate_trap(gate, kMs), 0);
	EXPECT_FALSE(groups[0].cut);
	EXPECT_EQ(order, "quiesce open ");
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(order, "quiesce open ") << "its DMA was let loose already";
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, DmaIsCutOffAndGivenBack)
{
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();

	quiesce_error = -EBUSY;
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_TRUE(groups[0].cut);
	EXPECT_EQ(info().undrained, 1u);
	open_error = -EIO;
	EXPECT_EQ(vfio_gate_open(gate), -EIO);
	EXPECT_TRUE(cut_at_open) << "the hook runs before";
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_BLOCKED});
	open_error = 0;
	groups[0].restore_error = -ENOMEM;
	EXPECT_EQ(vfio_gate_open(gate), -ENOMEM);
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_BLOCKED});
	groups[0].restore_error = 0;
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_FALSE(groups[0].cut);
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, InterruptsAreHeldForASchedulerThatWantsIt)
{
	Registered device(devices[0], ops);
	vfio_gate *gate = nullptr;

	hooks.hold_interrupts = true;
	EXPECT_EQ(vfio_core_gate_register(&devices[0], &hooks, this, &gate), -EOPNOTSUPP)
		<< "of what is no PCI function";
	devices[0].pci = true;
	devices[0].line = 11;
	gate = schedule(devices[0]);
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_FALSE(devices[0].irqs_disabled) << "no driver has any before it is open";
	open_device();
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(vfio_gate_trap(gate, kMs), 0);
	EXPECT_FALSE(devices[0].irqs_disabled);
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_TRUE(devices[0].irqs_disabled);
	groups[0].restore_error = -ENOMEM;
	EXPECT_EQ(vfio_gate_open(gate), -ENOMEM);
	EXPECT_TRUE(devices[0].irqs_disabled) << "it is still blocked";
	groups[0].restore_error = 0;
	EXPECT_EQ(vfio_gate_trap(gate, kMs), 0);
	EXPECT_FALSE(devices[0].irqs_disabled);

	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	vfio_gate_unregister(gate);
	EXPECT_FALSE(devices[0].irqs_disabled) << "nobody else would enable them";
	gate = schedule(devices[0]);
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	ops.close = [this](vfio_device *) {
		EXPECT_FALSE(devices[0].irqs_disabled) << "the driver frees them";
		closed++;
	};
	close_device();
	EXPECT_EQ(vfio_gate_open(gate), 0);
	vfio_gate_unregister(gate);
	hooks.hold_interrupts = false;
	gate = schedule(devices[0]);
	open_device();
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_FALSE(devices[0].irqs_disabled) << "they are let through";
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, InterruptsAreNotHeldWhileTheDriverOpensOrCloses)
{
	devices[0].pci = true;
	hooks.hold_interrupts = true;
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	const auto block = [&] {
		EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
		EXPECT_FALSE(devices[0].irqs_disabled) << "the driver requests or frees them";
	};

	ops.open = [&](vfio_device *) {
		opened++;
		block();
		return 0;
	};
	ops.close = [&](vfio_device *) {
		closed++;
		block();
	};
	open_device();
	EXPECT_EQ(vfio_gate_open(gate), 0);
	close_device();
	EXPECT_EQ(vfio_gate_open(gate), 0);
	ops.open = [&](vfio_device *) {
		block();
		return -EIO;
	};
	container = mock::open_container();
	group = mock::open_group("5");
	ASSERT_EQ(set_container(group, container), 0);
	ASSERT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, u64{VFIO_TYPE1v2_IOMMU}), 0);
	EXPECT_EQ(device_fd(group, devices[0].name), -EIO);
	mock::close(group);
	mock::close(container);
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_FALSE(devices[0].irqs_disabled);
	vfio_gate_unregister(gate);
}

TEST_F(CoreGate, InterruptsAreNotHeldWhileACallMayChangeThem)
{
	std::atomic<int> inside = 0;
	ops.rw = [&](bool, u64, size_t size, s64 *) {
		for (inside++; inside == 1;)
			std::this_thread::yield();
		return static_cast<long>(size);
	};
	devices[0].pci = true;
	hooks.hold_interrupts = true;
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();
	long result = 0;
	std::thread one = reader(result);

	while (inside == 0)
		std::this_thread::yield();
	EXPECT_EQ(vfio_gate_block(gate, 0), -ETIMEDOUT);
	EXPECT_FALSE(devices[0].irqs_disabled);
	inside = 2;
	one.join();
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_TRUE(devices[0].irqs_disabled);
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, ADeviceMayBeOpenedAndClosedWhileBlocked)
{
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);

	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	ops.open = [this](vfio_device *) {
		EXPECT_TRUE(groups[0].cut) << "no DMA, whatever the driver enables";
		opened++;
		return 0;
	};
	open_device();
	EXPECT_TRUE(groups[0].cut);
	EXPECT_EQ(info().waiting, 0u);

	vm_fault waits;
	std::thread thread([&] { fault(gate, kUser, waits); });
	until_waiting(1);
	mock::close(fd);
	thread.join();
	EXPECT_FALSE(groups[0].cut) << "so that the group can leave its container";
	ops.open = [](vfio_device *) { return -EIO; };
	EXPECT_EQ(device_fd(group, devices[0].name), -EIO);
	EXPECT_FALSE(groups[0].cut);
	mock::close(group);
	mock::close(container);
	EXPECT_EQ(vfio_gate_open(gate), 0);
	vfio_gate_unregister(gate);
}

TEST_F(CoreGate, AGroupIsSwitchedForOneDeviceAlone)
{
	devices[1].group = &groups[0];
	Registered device(devices[0], ops), beside(devices[1], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();
	const int other = static_cast<int>(device_fd(group, devices[1].name));

	ASSERT_GE(other, 0);
	EXPECT_EQ(vfio_gate_block(gate, kMs), -EBUSY);
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_OPEN});
	EXPECT_EQ(read(), 4);
	mock::close(other);
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_EQ(device_fd(group, devices[1].name), -EBUSY) << "its DMA would be cut off";
	EXPECT_EQ(vfio_gate_open(gate), 0);
	const int again = static_cast<int>(device_fd(group, devices[1].name));
	EXPECT_GE(again, 0);
	mock::close(again);
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, AHotResetReachesNoBlockedDevice)
{
	constexpr u64 kSet = 7;
	Registered device(devices[0], ops, false, kSet), beside(devices[1], ops, false, kSet);
	const vfio_gate_ops none = {};
	vfio_gate *other = schedule(devices[1], &none);
	const auto reset = [this] { return mock::ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, u64{9}); };

	open_device();
	EXPECT_EQ(reset(), VFIO_DEVICE_PCI_HOT_RESET + 9) << "of a device without a gate";
	EXPECT_EQ(vfio_gate_block(other, kMs), 0);
	EXPECT_EQ(reset(), -EBUSY);
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_RESET, u64{9}), VFIO_DEVICE_RESET + 9)
		<< "resets this one alone";
	EXPECT_EQ(vfio_gate_trap(other, kMs), 0);
	EXPECT_EQ(reset(), VFIO_DEVICE_PCI_HOT_RESET + 9);
	close_device();

	vfio_gate *gate = schedule(devices[0]);
	open_device();
	ops.ioctl = [&](u32 cmd, u64 arg) {
		EXPECT_EQ(vfio_gate_block(other, kMs), -ETIMEDOUT) << "it is being reset";
		EXPECT_EQ(vfio_gate_block(gate, kMs), -ETIMEDOUT);
		EXPECT_EQ(vfio_gate_open(other), 0);
		return cmd + static_cast<long>(arg);
	};
	EXPECT_EQ(reset(), VFIO_DEVICE_PCI_HOT_RESET + 9);
	EXPECT_EQ(vfio_gate_block(other, kMs), 0) << "the reset is over";
	mock::file_of(fd)->nonblocking = true;
	EXPECT_EQ(reset(), -EAGAIN) << "the device's own gate comes first";
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(reset(), -EBUSY);
	vfio_gate_unregister(gate);
	vfio_gate_unregister(other);
	close_device();
}

// An IOMMU driver that has mapped the frames from 0x100 to 0x10f.
struct Listener {
	static int changed(void *data)
	{
		auto *self = static_cast<Listener *>(data);

		self->calls++;
		self->out = self->handle->frames_shut(0x100, 0x10);
		return self->out ? 0 : self->error;
	}

	vfio_gate_listener *handle = vfio_gate_listen(changed, this);
	bool out = false;
	int error = 0;
	u64 calls = 0;
};

TEST_F(CoreGate, WindowsLeaveTheDomainsOfOthers)
{
	devices[0].windows = {{0x10, 0x1f}, {0x10f, 0x10f}};
	Registered device(devices[0], ops), beside(devices[1], ops);
	vfio_gate *gate = schedule(devices[0]), *none = schedule(devices[1]);
	Listener first, second;

	EXPECT_EQ(vfio_gate_block(none, kMs), 0);
	EXPECT_EQ(first.calls, 0u) << "it has no windows";
	EXPECT_EQ(vfio_gate_open(none), 0);
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_TRUE(first.out && second.out) << "also while nobody has the device open";
	EXPECT_FALSE(first.handle->frames_shut(0x110, 5));
	EXPECT_TRUE(first.handle->frames_shut(0x1f, 1));
	EXPECT_FALSE(first.handle->frames_shut(0x20, 0xef));
	EXPECT_EQ(vfio_gate_trap(gate, kMs), 0);
	EXPECT_TRUE(first.out) << "nor do devices touch the windows of one that is trapped";
	EXPECT_EQ(first.calls, 1u);
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_FALSE(first.out || second.out);

	open_device();
	EXPECT_EQ(vfio_gate_trap(gate, kMs), 0);
	EXPECT_TRUE(first.out);
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	second.error = -ENOMEM;
	EXPECT_EQ(vfio_gate_open(gate), -ENOMEM);
	EXPECT_TRUE(first.out && second.out);
	EXPECT_TRUE(groups[0].cut);
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_BLOCKED});
	second.error = 0;
	groups[0].restore_error = -EIO;
	EXPECT_EQ(vfio_gate_open(gate), -EIO);
	EXPECT_TRUE(first.out && second.out);
	groups[0].restore_error = 0;
	second.handle->unlisten(second.handle);
	vfio_gate_unregister(gate);
	EXPECT_FALSE(first.out);
	gate = schedule(devices[0]);
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	close_device();
	device.unregister();
	EXPECT_FALSE(first.handle->frames_shut(0x100, 0x10)) << "VFIO does not have it any more";
	vfio_gate_unregister(gate);
	vfio_gate_unregister(none);
	first.handle->unlisten(first.handle);
}

TEST_F(CoreGate, WindowsStayAwayWhileADeviceIsTakenFromItsUser)
{
	devices[0].windows = {{0x100, 0x10f}};
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	Listener listener;
	open_device();
	ops.request = [&](u32 count) {
		EXPECT_TRUE(listener.handle->frames_shut(0x100, 0x10)) << "the user still has it";
		if (count == 0)
			mock::close(fd);
	};
	ASSERT_EQ(vfio_gate_block(gate, kMs), 0);
	device.unregister();
	EXPECT_FALSE(listener.handle->frames_shut(0x100, 0x10));
	vfio_gate_unregister(gate);
	mock::close(group);
	mock::close(container);
	listener.handle->unlisten(listener.handle);
}

TEST_F(CoreGate, AllAreToldThatWindowsGo)
{
	devices[0].windows = {{0x100, 0x10f}};
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	vfio_gate_listener *failing = vfio_gate_listen([](void *) { return -ENOMEM; }, nullptr);
	Listener listener;

	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_TRUE(listener.out) << "though another one had no memory, for something else";
	EXPECT_EQ(vfio_gate_open(gate), -ENOMEM);
	EXPECT_TRUE(listener.out);
	failing->unlisten(failing);
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_FALSE(listener.out);
	vfio_gate_unregister(gate);
	listener.handle->unlisten(listener.handle);
}

TEST_F(CoreGate, AVmmIsToldBeforeTheWindowsGo)
{
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();
	vfio_device_gate_event event = {sizeof(event), 0, 0, 0, 0};
	const auto call = [&](u32 flags, int eventfd = -1) {
		event.flags = flags;
		event.eventfd = eventfd;
		return mock::ioctl(fd, VFIO_DEVICE_GATE_EVENT, &event, sizeof(event));
	};
	constexpr u32 kSet = VFIO_DEVICE_GATE_EVENT_SET, kAck = VFIO_DEVICE_GATE_EVENT_ACK;
	const auto acknowledge_trap = [&] {
		const mock::As as(&process);

		do
			EXPECT_EQ(call(0), 0);
		while (event.state != VFIO_GATE_TRAPPED);
		EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_OPEN}) << "it serves until then";
		EXPECT_EQ(call(kAck), 0);
	};

	mock::gate_events.signals = 0;
	EXPECT_EQ(vfio_gate_trap(gate, 1000 * kMs), 0) << "nobody is to be told";
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(call(4), -EINVAL);
	EXPECT_EQ(call(kSet, 3), -EBADF);
	EXPECT_EQ(call(kSet, 1000), 0);
	EXPECT_EQ(event.state, u32{VFIO_GATE_OPEN});
	std::thread vmm(acknowledge_trap);
	EXPECT_EQ(vfio_gate_trap(gate, 1000 * 1000 * kMs), 0);
	vmm.join();
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_TRAPPED});
	EXPECT_EQ(mock::gate_events.signals, 1u);
	const u32 trapped = event.change;
	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	EXPECT_EQ(mock::gate_events.signals, 1u) << "blocking needs nobody";
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(mock::gate_events.signals, 2u) << "the windows are back";
	event.change = trapped;
	EXPECT_EQ(call(kAck), -EAGAIN);
	EXPECT_EQ(call(0), 0);
	EXPECT_EQ(event.state, u32{VFIO_GATE_OPEN});

	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	std::thread again(acknowledge_trap);
	EXPECT_EQ(vfio_gate_trap(gate, 1000 * 1000 * kMs), 0) << "opened first";
	again.join();
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(vfio_gate_trap(gate, 2 * kMs), 0) << "the deadline has passed";
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(call(kSet, -1), 0);
	EXPECT_EQ(mock::gate_events.refs, 0);
	EXPECT_EQ(vfio_gate_trap(gate, 1000 * 1000 * kMs), 0);
	EXPECT_EQ(call(kSet, 1001), 0);
	EXPECT_EQ(event.state, u32{VFIO_GATE_TRAPPED}) << "as it is";
	close_device();
	EXPECT_EQ(mock::gate_events.refs, 0);
	vfio_gate_unregister(gate);
}

TEST_F(CoreGate, AnIommuDriverThatCannot)
{
	vfio_core_unregister_iommu_driver(&type1);
	ASSERT_EQ(vfio_core_register_iommu_driver(&type1), 0);
	Registered device(devices[0], ops), emulated(devices[1], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();

	EXPECT_EQ(vfio_gate_block(gate, kMs), -EOPNOTSUPP);
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_OPEN});
	EXPECT_EQ(read(), 4);
	EXPECT_EQ(vfio_gate_trap(gate, kMs), 0) << "DMA goes on";
	vfio_gate_unregister(gate);
	close_device();
}

// What the IOMMU driver was asked for.
std::vector<vfio_remap_page> remapped;
u32 remap_flushes, remap_ends;
long remap_result;

vfio_iommu_extension remapping_extension()
{
	vfio_iommu_extension extension = mock::kIommuExtension;

	extension.remap = [](void *, const vfio_remap_page *pages, unsigned int count) -> long {
		remapped.assign(pages, pages + count);
		return remap_result;
	};
	extension.flush_remapped = [](void *) { remap_flushes++; };
	extension.end_remapping = [](void *) { remap_ends++; };
	return extension;
}

TEST_F(CoreGate, TheIommuDriverRemapsPages)
{
	const vfio_remap_page pages[] = {{0x1000, 0x2000}, {0x3000, VFIO_REMAP_USERS_PAGE}};
	const vfio_iommu_extension extension = remapping_extension();
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);

	remapped.clear();
	remap_flushes = remap_ends = 0;
	EXPECT_EQ(vfio_gate_remap(gate, pages, 2), -EINVAL) << "nobody has it open";
	EXPECT_EQ(vfio_gate_flush(gate), -EINVAL);
	open_device();
	EXPECT_EQ(vfio_gate_remap(gate, pages, 2), -EOPNOTSUPP);
	EXPECT_EQ(vfio_gate_flush(gate), -EOPNOTSUPP);
	vfio_iommu_driver_extend(&type1, &extension);
	EXPECT_TRUE(remapped.empty());
	for (const bool blocked : {false, true}) {
		if (blocked) {
			EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
		}
		remap_result = 1;
		EXPECT_EQ(vfio_gate_remap(gate, pages, 2), 1);
		EXPECT_EQ(remapped.size(), 2u);
		EXPECT_EQ(remapped[1].iova, 0x3000u);
		remap_result = -EAGAIN;
		EXPECT_EQ(vfio_gate_remap(gate, pages, 1), -EAGAIN);
		EXPECT_EQ(vfio_gate_flush(gate), 0);
	}
	EXPECT_EQ(remap_flushes, 2u);
	EXPECT_EQ(vfio_gate_open(gate), 0);
	vfio_gate_unregister(gate);
	EXPECT_EQ(remap_ends, 1u) << "the scheduler has gone";
	gate = schedule(devices[0]);
	remap_result = 1;
	EXPECT_EQ(vfio_gate_remap(gate, pages, 1), 1);
	close_device();
	EXPECT_EQ(remap_ends, 2u) << "the user has gone";
	EXPECT_EQ(vfio_gate_remap(gate, pages, 2), -EINVAL);
	device.unregister();
	EXPECT_EQ(vfio_gate_remap(gate, pages, 2), -ENODEV);
	vfio_gate_unregister(gate);
	EXPECT_EQ(remap_ends, 2u) << "nothing was remapped since";
}

TEST_F(CoreGate, AMediatedDeviceHasNoDmaOfItsOwn)
{
	device bus = {"mdev", nullptr, true};
	Registered emulated(bus, ops, true);
	vfio_gate *gate = schedule(bus);
	open_all(container, group, std::to_string(bus.group->id));
	fd = static_cast<int>(device_fd(group, "mdev"));
	ASSERT_GE(fd, 0);
	file = mock::file_of(fd)->device_file;

	EXPECT_EQ(vfio_gate_block(gate, kMs), 0);
	mock::file_of(fd)->nonblocking = true;
	EXPECT_EQ(read(), -EAGAIN);
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(read(), 4);

	std::atomic<int> inside = 0;
	long result = 0;

	ops.rw = [&](bool, u64, size_t size, s64 *) {
		for (inside++; inside == 1;)
			std::this_thread::yield();
		return static_cast<long>(size);
	};
	std::thread one = reader(result);
	while (inside == 0)
		std::this_thread::yield();
	order.clear();
	EXPECT_EQ(vfio_gate_block(gate, 0), -ETIMEDOUT);
	EXPECT_EQ(vfio_gate_trap(gate, 0), 0);
	EXPECT_EQ(order, "quiesce open ") << "the scheduler lets its DMA loose again";
	inside = 2;
	one.join();

	const vfio_remap_page page = {0x1000, 0x2000};

	EXPECT_EQ(vfio_gate_remap(gate, &page, 1), -EOPNOTSUPP);
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, OneStepFromOneToAnother)
{
	Registered device(devices[0], ops), next(devices[1], ops);
	vfio_gate *from = schedule(devices[0]);
	vfio_gate_ops none = {};
	vfio_gate *to = schedule(devices[1], &none);
	open_device();

	EXPECT_EQ(vfio_gate_switch(from, from, kMs), -EINVAL);
	EXPECT_EQ(vfio_gate_block(to, kMs), 0);
	EXPECT_EQ(vfio_gate_switch(from, to, kMs), 0);
	EXPECT_EQ(vfio_gate_get_state(from), u32{VFIO_GATE_BLOCKED});
	EXPECT_EQ(vfio_gate_get_state(to), u32{VFIO_GATE_OPEN});
	open_error = -EIO;
	EXPECT_EQ(vfio_gate_switch(to, from, kMs), -EIO);
	EXPECT_EQ(vfio_gate_get_state(from), u32{VFIO_GATE_BLOCKED});
	EXPECT_EQ(vfio_gate_get_state(to), u32{VFIO_GATE_OPEN}) << "as it was";
	EXPECT_EQ(vfio_gate_block(to, kMs), 0);
	EXPECT_EQ(vfio_gate_switch(to, from, kMs), -EIO);
	EXPECT_EQ(vfio_gate_get_state(to), u32{VFIO_GATE_BLOCKED}) << "it was";
	EXPECT_EQ(vfio_gate_trap(to, kMs), 0);
	EXPECT_EQ(vfio_gate_switch(to, from, kMs), -EIO);
	EXPECT_EQ(vfio_gate_get_state(to), u32{VFIO_GATE_TRAPPED});
	open_error = 0;
	vfio_gate_unregister(from);
	next.unregister();
	EXPECT_EQ(vfio_gate_switch(to, to, kMs), -EINVAL);
	from = schedule(devices[0]);
	EXPECT_EQ(vfio_gate_switch(from, to, kMs), -ENODEV);
	EXPECT_EQ(vfio_gate_get_state(from), u32{VFIO_GATE_OPEN});
	vfio_gate_unregister(from);
	vfio_gate_unregister(to);
	close_device();
}

TEST_F(CoreGate, UnbindingWakesAll)
{
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();
	long result = 0;

	ops.request = [this](u32 count) {
		requests.push_back(count);
		if (count == 0)
			mock::close(fd);
	};
	ASSERT_EQ(vfio_gate_block(gate, kMs), 0);
	std::thread one = reader(result);
	until_waiting(1);
	std::thread unbind([&] { device.unregister(); });
	one.join();
	EXPECT_EQ(result, -ENODEV);
	unbind.join();
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_GONE});
	EXPECT_EQ(vfio_gate_block(gate, kMs), -ENODEV);
	EXPECT_EQ(vfio_gate_trap(gate, kMs), -ENODEV);
	EXPECT_EQ(vfio_gate_open(gate), -ENODEV);
	vfio_gate_unregister(gate);
	mock::close(group);
	mock::close(container);
}

TEST_F(CoreGate, ASchedulerThatGoesOpens)
{
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();
	long result = 0;

	ASSERT_EQ(vfio_gate_block(gate, kMs), 0);
	std::thread one = reader(result);
	until_waiting(1);
	vfio_gate_unregister(gate);
	one.join();
	EXPECT_EQ(result, 4);
	EXPECT_EQ(order, "quiesce ") << "no hook of it runs any more";

	gate = schedule(devices[0]);
	ASSERT_EQ(vfio_gate_block(gate, kMs), 0);
	groups[0].restore_error = -EIO;
	vfio_gate_unregister(gate);
	EXPECT_EQ(read(), -ENODEV) << "it cannot be opened";
	EXPECT_EQ(info().state, u32{VFIO_GATE_GONE});
	groups[0].restore_error = 0;
	gate = schedule(devices[0]);
	EXPECT_EQ(vfio_gate_open(gate), 0);
	EXPECT_EQ(read(), 4);

	ASSERT_EQ(vfio_gate_block(gate, kMs), 0);
	groups[0].restore_error = -EIO;
	vfio_gate_unregister(gate);
	groups[0].restore_error = 0;
	close_device();
	open_device();
	EXPECT_EQ(read(), 4) << "the next user has it again";
	close_device();
}

TEST_F(CoreGate, UserspaceSwitches)
{
	Registered device(devices[0], ops);
	vfio_gate *gate = schedule(devices[0]);
	open_device();

	for (const u32 flags : {0u, 4u})
		EXPECT_EQ(set(flags, VFIO_GATE_OPEN), -EINVAL);
	EXPECT_EQ(set(VFIO_DEVICE_GATE_SET_STATE, VFIO_GATE_BLOCKING), -EINVAL);
	const vfio_device_gate_set late = {sizeof(late), VFIO_DEVICE_GATE_SET_STATE, VFIO_GATE_OPEN,
					   1000 * kMs + 1, 0};
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_GATE_SET, &late, sizeof(late)), -EINVAL);
	EXPECT_EQ(
		set(VFIO_DEVICE_GATE_SET_STATE | VFIO_DEVICE_GATE_SET_LIMIT, VFIO_GATE_BLOCKED, 5),
		0);
	EXPECT_EQ(info().state, u32{VFIO_GATE_BLOCKED});
	EXPECT_EQ(info().limit_ms, 5u);
	EXPECT_EQ(set(VFIO_DEVICE_GATE_SET_STATE, VFIO_GATE_TRAPPED), 0);
	EXPECT_EQ(vfio_gate_get_state(gate), u32{VFIO_GATE_TRAPPED});
	EXPECT_EQ(set(VFIO_DEVICE_GATE_SET_LIMIT, VFIO_GATE_BLOCKING, 7), 0);
	EXPECT_EQ(info().limit_ms, 7u);
	process.task.sys_admin = false;
	EXPECT_EQ(set(VFIO_DEVICE_GATE_SET_STATE, VFIO_GATE_OPEN), -EPERM);
	hooks.user_may_switch = true;
	EXPECT_EQ(set(VFIO_DEVICE_GATE_SET_STATE, VFIO_GATE_OPEN), 0);
	EXPECT_EQ(info().flags, u32{VFIO_DEVICE_GATE_SCHEDULED | VFIO_DEVICE_GATE_USER_SWITCHES});

	u32 short_size = 8;
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_GATE_INFO, &short_size, sizeof(short_size)), -EINVAL);
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_GATE_INFO, u64{8}), -EFAULT);
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_GATE_SET, u64{8}), -EFAULT);
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, MapsGoThroughTheGate)
{
	Registered device(devices[0], ops);
	vm_operations_struct faults, fills = {false}, others;
	inode stranger;
	vfio_gate *gate = schedule(devices[0]);
	open_device();
	vm_area_struct one = {&device->maps, &faults}, two = one, third = {&device->maps, &others},
		       filled = {&device->maps, &fills}, elsewhere = {&stranger, &faults};

	EXPECT_EQ(vfio_core_device_file_mmap(file, &one), 0);
	EXPECT_EQ(vfio_core_device_file_mmap(file, &two), 0);
	EXPECT_EQ(vfio_core_device_file_mmap(file, &third), 0);
	EXPECT_EQ(one.gated, two.gated) << "one for all maps of a kind";
	EXPECT_NE(one.gated, third.gated);
	EXPECT_EQ(vfio_core_device_file_mmap(file, &filled), -EOPNOTSUPP);
	EXPECT_TRUE(filled.refused);
	EXPECT_EQ(vfio_core_device_file_mmap(file, &elsewhere), -EOPNOTSUPP);
	ops.mmap = [](vm_area_struct *) { return -EPERM; };
	vm_area_struct fails = {&device->maps, &faults};
	EXPECT_EQ(vfio_core_device_file_mmap(file, &fails), -EPERM);
	EXPECT_FALSE(fails.gated || fails.refused);
	vfio_gate_unregister(gate);
	close_device();
}

TEST_F(CoreGate, WithoutAGateNothingIsGated)
{
	Registered device(devices[0], ops);
	vm_operations_struct faults;
	open_device();
	vm_area_struct vma = {&device->maps, &faults};

	EXPECT_EQ(vfio_core_device_file_mmap(file, &vma), 0);
	EXPECT_EQ(vma.gated, nullptr);
	EXPECT_TRUE(vfio_core_device_file_poll(file, nullptr));
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_IOEVENTFD, u64{1}), VFIO_DEVICE_IOEVENTFD + 1);
	close_device();
}

} // namespace
