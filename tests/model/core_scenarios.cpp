// SPDX-License-Identifier: GPL-2.0
//
// The life of groups, containers and devices: what two threads, or three, do
// at the same time. At the end of each run everything is closed and
// unregistered, and then nothing may be left of anything.
#include <cerrno>
#include <cstring>

#include "explore.hpp"
#include "mock/core.hpp"
#include "shim/lock.h"
#include "shim/uapi.h"

using namespace model;

namespace {

// kvm->lock, which KVM holds while its VFIO device is released, and drivers
// may take while they are opened and closed.
class KvmLock {
public:
	KvmLock()
	{
		static shim_lock_class kind = {"kvm->lock", {}};

		shim_mutex_init(&mutex_, &kind);
	}

	~KvmLock()
	{
		shim_mutex_destroy(&mutex_);
	}

	void lock()
	{
		shim_mutex_lock(&mutex_);
	}

	void unlock()
	{
		shim_mutex_unlock(&mutex_);
	}

private:
	shim_mutex mutex_;
};

class CoreWorld : public World {
public:
	CoreWorld()
	{
		mock::on_module_load = [](const std::string &) { point(); };
		iommu_groups[0].id = 5;
		iommu_groups[1].id = 6;
		// Two devices in the first group, one in the second.
		buses[0] = {"dev0", &iommu_groups[0], true};
		buses[1] = {"dev1", &iommu_groups[0], true};
		buses[2] = {"dev2", &iommu_groups[1], true};
		noiommu.noiommu = true;
		noiommu.has = 0;
		type1.ioctl = [this](u32, u64) {
			point();
			expect(type1.opens == 1, "ioctl of an IOMMU that is not there");
			return 0L;
		};
		ops.has = SHIM_DEVICE_INIT | SHIM_DEVICE_OPEN | SHIM_DEVICE_CLOSE |
			  SHIM_DEVICE_IOCTL | SHIM_DEVICE_REQUEST;
		ops.init = [](vfio_device *) { return 0; };
		ops.open = [this](vfio_device *device) {
			expect(device->open_count == 1, "device opened twice");
			expect(device->dev->group->dma_owner, "device open without its DMA");
			expect(device->kvm_set == nullptr || device->kvm_set == kvm,
			       "device with another's virtual machine");
			opened++;
			return 0;
		};
		ops.close = [this](vfio_device *device) {
			expect(device->dev->group->dma_owner, "DMA given up under a device");
			closed++;
		};
		ops.ioctl = [](u32, u64) { return 0L; };
		ops.request = [](u32) {};
		expect(vfio_core_init(&noiommu, mock::kIommuModules) == 0, "init");
		expect(vfio_core_register_iommu_driver(&type1) == 0, "driver");
	}

	~CoreWorld() override
	{
		mock::on_module_load = nullptr;
	}

	int add(int which)
	{
		auto &device = devices[which];

		device = std::make_unique<vfio_device>();
		int ret = vfio_core_device_init(device.get(), &buses[which], &ops);
		expect(ret == 0, "device init");
		if (set)
			expect(vfio_core_device_assign_set(device->core, set) == 0, "set");
		ret = vfio_core_device_register(device->core);
		expect(ret == 0, "device registered");
		registered[which] = true;
		return ret;
	}

	void remove(int which)
	{
		registered[which] = false;

		vfio_device *device = devices[which].get();
		vfio_core_device_unregister(device->core);
		expect(device->open_count == 0, "unregistered while open");
		expect(device->module_refs == 0, "unregistered with its module held");
		mock::put_device(device);
		expect(device->released, "device not released");
	}

	static int open_container()
	{
		const int fd = mock::open_container();

		expect(fd >= 0, "container");
		return fd;
	}

	static long set_container(int group, int container)
	{
		return mock::ioctl(group, VFIO_GROUP_SET_CONTAINER, &container, sizeof(container));
	}

	static long unset_container(int group)
	{
		return mock::ioctl(group, VFIO_GROUP_UNSET_CONTAINER, u64{0});
	}

	static long set_iommu(int container)
	{
		return mock::ioctl(container, VFIO_SET_IOMMU, u64{VFIO_TYPE1v2_IOMMU});
	}

	static int device_fd(int group, const char *name)
	{
		return static_cast<int>(
			mock::ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name, strlen(name) + 1));
	}

	// Descriptors 0 is none, and a second close is none of ours.
	static void close(int &fd)
	{
		if (fd > 0)
			expect(mock::close(fd) == 0, "close");
		fd = 0;
	}

	// A group with a container and its IOMMU.
	void open_all(bool with_iommu = true)
	{
		container = open_container();
		group = mock::open_group("5");
		expect(group > 0 && set_container(group, container) == 0, "group");
		if (with_iommu)
			expect(set_iommu(container) == 0, "iommu");
	}

	// The group's last device, and with it the IOMMU, leaves and comes anew.
	long renew()
	{
		unset_container(group);
		set_container(group, container);
		return set_iommu(container);
	}

	// What KVM does when its VFIO device is released.
	void release_kvm()
	{
		kvm_lock.lock();
		vfio_core_file_set_kvm(mock::file_of(group), nullptr);
		kvm_lock.unlock();
		machine.refs--;
		machine_refs--;
	}

	// A driver that takes the machine's lock when it is opened and closed.
	void drivers_lock_kvm()
	{
		const auto use = [this](vfio_device *device) {
			if (!device->kvm_set)
				return 0;
			expect(machine.refs > 0, "machine gone under its driver");
			kvm_lock.lock();
			kvm_lock.unlock();
			return 0;
		};

		ops.open = [this, use](vfio_device *device) { return opened++, use(device); };
		ops.close = [this, use](vfio_device *device) {
			use(device);
			closed++;
		};
	}

	void open_device()
	{
		device = device_fd(group, "dev0");
	}

	void start_with_device()
	{
		add(0);
		open_all();
		open_device();
		expect(device > 0, "device");
	}

	void thread(std::function<void()> body)
	{
		threads.push_back([this, body = std::move(body)] {
			const mock::As as(&process);

			body();
		});
	}

	mock::Process process;
	mock::As as{&process};
	iommu_group iommu_groups[2];
	::device buses[3];
	std::unique_ptr<vfio_device> devices[3];
	bool registered[3] = {};
	vfio_iommu_driver_ops noiommu, type1;
	vfio_device_ops ops;
	u64 opened = 0, closed = 0;
	u64 set = 0;
	// A virtual machine, and how many references the scenario leaves it.
	::kvm machine, *const kvm = &machine;
	s64 machine_refs = 1;
	KvmLock kvm_lock;
	long result[2] = {};
	// What must hold before the rest is closed.
	std::function<void()> at_end;
	using World::expect;
	// Descriptors, closed at the end.
	int container = 0, container2 = 0, group = 0, group2 = 0, device = 0, device2 = 0;

protected:
	void finish() override
	{
		if (at_end)
			at_end();
		for (int *fd : {&device, &device2, &group, &group2, &container, &container2})
			close(*fd);
		expect(opened == closed, "devices opened and not closed");
		for (const iommu_group &each : iommu_groups)
			expect(!each.dma_owner, "DMA still owned");
		expect(type1.opens == 0, "an IOMMU stays open");
		expect(machine.refs == machine_refs, "virtual machine's references");
		for (int i = 0; i < 3; i++)
			if (registered[i])
				remove(i);
		expect(mock::open_descriptors() == 0, "descriptors left");
		expect(mock::live_files() == 0, "files leaked");
		expect(mock::live_nodes() == 0, "groups leaked");
		expect(mock::live_iommu_groups() == 0, "IOMMU groups leaked");
		expect(mock::live_device_sets() == 0, "device sets leaked");
		expect(mock::taken_indexes() == 0, "indexes leaked");
		for (const iommu_group &each : iommu_groups)
			expect(each.refs == 0, "references to IOMMU groups leaked");
		expect(type1.module_refs == 0, "IOMMU driver's module held");
		vfio_core_unregister_iommu_driver(&type1);
		vfio_core_exit();
	}
};

} // namespace

std::vector<Scenario> model::scenarios()
{
	using W = CoreWorld;
	const auto scenario = &model::scenario<W>;

	return {
		scenario("two opens of a group",
			 [](W &w) {
				 w.add(0);
				 w.thread([&w] { w.group = mock::open_group("5"); });
				 w.thread([&w] { w.group2 = mock::open_group("5"); });
				 w.at_end = [&w] {
					 W::expect((w.group > 0) + (w.group2 > 0) == 1,
						   "not one opener");
				 };
			 }),
		scenario("open and close | open and close",
			 [](W &w) {
				 w.add(0);
				 w.thread([&w] {
					 w.group = mock::open_group("5");
					 W::close(w.group);
				 });
				 w.thread([&w] {
					 w.group2 = mock::open_group("5");
					 W::close(w.group2);
				 });
			 }),
		scenario("open group, SET_CONTAINER | unregister",
			 [](W &w) {
				 w.add(0);
				 w.container = W::open_container();
				 w.thread([&w] {
					 w.group = mock::open_group("5");
					 if (w.group > 0)
						 W::set_container(w.group, w.container);
				 });
				 w.thread([&w] { w.remove(0); });
			 }),
		scenario("SET_CONTAINER | UNSET_CONTAINER | close of the container",
			 [](W &w) {
				 w.add(0);
				 w.container = W::open_container();
				 w.group = mock::open_group("5");
				 w.thread([&w] { W::set_container(w.group, w.container); });
				 w.thread([&w] { W::unset_container(w.group); });
				 w.thread([&w] { W::close(w.container); });
			 }),
		scenario("SET_CONTAINER | SET_CONTAINER of two containers",
			 [](W &w) {
				 w.add(0);
				 w.container = W::open_container();
				 w.container2 = W::open_container();
				 w.group = mock::open_group("5");
				 w.thread([&w] {
					 w.result[0] = W::set_container(w.group, w.container);
				 });
				 w.thread([&w] {
					 w.result[1] = W::set_container(w.group, w.container2);
				 });
				 w.at_end = [&w] {
					 W::expect((w.result[0] == 0) != (w.result[1] == 0),
						   "not one container");
				 };
			 }),
		scenario("SET_IOMMU | UNSET_CONTAINER",
			 [](W &w) {
				 w.add(0);
				 w.open_all(false);
				 w.thread([&w] { W::set_iommu(w.container); });
				 w.thread([&w] { W::unset_container(w.group); });
			 }),
		scenario("SET_IOMMU | SET_IOMMU",
			 [](W &w) {
				 w.add(0);
				 w.open_all(false);
				 w.thread([&w] { w.result[0] = W::set_iommu(w.container); });
				 w.thread([&w] { w.result[1] = W::set_iommu(w.container); });
				 w.at_end = [&w] {
					 W::expect((w.result[0] == 0) != (w.result[1] == 0),
						   "not one IOMMU");
				 };
			 }),
		scenario("SET_IOMMU | a second group joins",
			 [](W &w) {
				 w.add(0);
				 w.add(2);
				 w.open_all(false);
				 w.group2 = mock::open_group("6");
				 w.thread([&w] { w.result[0] = W::set_iommu(w.container); });
				 w.thread([&w] {
					 w.result[1] = W::set_container(w.group2, w.container);
				 });
				 w.at_end = [&w] {
					 W::expect(!w.result[0] && !w.result[1],
						   "one of them failed");
					 W::expect(w.type1.latest.load()->groups.size() == 2,
						   "a group is not attached");
				 };
			 }),
		scenario("ioctl of the IOMMU | last group leaves",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.thread([&w] {
					 mock::ioctl(w.container, VFIO_IOMMU_GET_INFO, u64{0});
				 });
				 w.thread([&w] { W::unset_container(w.group); });
			 }),
		scenario("ioctl of the IOMMU | last group leaves | CHECK_EXTENSION",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.thread([&w] {
					 mock::ioctl(w.container, VFIO_IOMMU_GET_INFO, u64{0});
				 });
				 w.thread([&w] { W::close(w.group); });
				 w.thread([&w] {
					 W::expect(mock::ioctl(w.container, VFIO_CHECK_EXTENSION,
							       u64{VFIO_TYPE1v2_IOMMU}) == 1,
						   "extension lost");
				 });
			 }),
		scenario("two groups leave",
			 [](W &w) {
				 w.add(0);
				 w.add(2);
				 w.open_all();
				 w.group2 = mock::open_group("6");
				 W::set_container(w.group2, w.container);
				 w.thread([&w] { W::close(w.group); });
				 w.thread([&w] { W::unset_container(w.group2); });
			 }),
		scenario("GET_DEVICE_FD, close | unregister",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.thread([&w] {
					 w.open_device();
					 W::close(w.device);
				 });
				 w.thread([&w] { w.remove(0); });
			 }),
		scenario("GET_DEVICE_FD | GET_DEVICE_FD of one device",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.thread([&w] { w.open_device(); });
				 w.thread([&w] { w.device2 = W::device_fd(w.group, "dev0"); });
				 w.at_end = [&w] {
					 W::expect(w.device > 0 && w.device2 > 0 && w.opened == 1,
						   "not opened once for both");
				 };
			 }),
		scenario("GET_DEVICE_FD | UNSET_CONTAINER",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.thread([&w] { w.open_device(); });
				 w.thread([&w] { w.result[1] = W::unset_container(w.group); });
				 w.at_end = [&w] {
					 W::expect((w.device > 0) != (w.result[1] == 0),
						   "a device is open without a container");
				 };
			 }),
		scenario("GET_DEVICE_FD | close of the group",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.thread([&w] { w.open_device(); });
				 w.thread([&w] { W::close(w.group); });
			 }),
		scenario("two devices of a set open | close",
			 [](W &w) {
				 w.set = 77;
				 w.add(0);
				 w.add(1);
				 w.open_all();
				 w.device2 = W::device_fd(w.group, "dev1");
				 w.thread([&w] { w.open_device(); });
				 w.thread([&w] { W::close(w.device2); });
			 }),
		scenario("close of a device | close of its group",
			 [](W &w) {
				 w.start_with_device();
				 w.thread([&w] { W::close(w.device); });
				 w.thread([&w] { W::close(w.group); });
			 }),
		scenario("close of a device | of its group | of the container",
			 [](W &w) {
				 w.start_with_device();
				 w.thread([&w] { W::close(w.device); });
				 w.thread([&w] { W::close(w.group); });
				 w.thread([&w] { W::close(w.container); });
			 }),
		scenario("close of a device | unregister",
			 [](W &w) {
				 w.start_with_device();
				 w.thread([&w] { W::close(w.device); });
				 w.thread([&w] { w.remove(0); });
			 }),
		scenario("close of the group | unregister of the last device",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.thread([&w] { W::close(w.group); });
				 w.thread([&w] { w.remove(0); });
			 }),
		scenario("register | unregister of its sibling",
			 [](W &w) {
				 w.add(0);
				 w.thread([&w] { w.add(1); });
				 w.thread([&w] { w.remove(0); });
			 }),
		scenario("register | register | open",
			 [](W &w) {
				 w.set = 77;
				 w.thread([&w] { w.add(0); });
				 w.thread([&w] { w.add(1); });
				 w.thread([&w] { w.group = mock::open_group("5"); });
			 }),
		scenario("set_kvm | GET_DEVICE_FD",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.thread([&w] {
					 ::file *file = mock::file_of(w.group);

					 vfio_core_file_set_kvm(file, w.kvm);
					 vfio_core_file_set_kvm(file, nullptr);
					 w.machine.refs--;
					 w.machine_refs--;
				 });
				 w.thread([&w] { w.open_device(); });
			 }),
		scenario("GET_DEVICE_FD | release of KVM's device",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.drivers_lock_kvm();
				 vfio_core_file_set_kvm(mock::file_of(w.group), w.kvm);
				 w.thread([&w] { w.open_device(); });
				 w.thread([&w] { w.release_kvm(); });
			 }),
		scenario("close of a device | release of KVM's device",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.drivers_lock_kvm();
				 vfio_core_file_set_kvm(mock::file_of(w.group), w.kvm);
				 w.open_device();
				 w.thread([&w] { W::close(w.device); });
				 w.thread([&w] { w.release_kvm(); });
			 }),
		scenario("GET_DEVICE_FD | KVM asks for coherency",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.drivers_lock_kvm();
				 vfio_core_file_set_kvm(mock::file_of(w.group), w.kvm);
				 w.thread([&w] { w.open_device(); });
				 w.thread([&w] {
					 w.kvm_lock.lock();
					 vfio_core_file_enforced_coherent(mock::file_of(w.group));
					 w.kvm_lock.unlock();
				 });
			 }),
		scenario("ioctl of the IOMMU | it goes and comes",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.type1.ioctl = [&w](u32, u64) {
					 point();
					 W::expect(w.type1.opens >= 1 && w.type1.opens <= 2,
						   "more IOMMUs than are used");
					 return 0L;
				 };
				 w.thread([&w] {
					 mock::ioctl(w.container, VFIO_IOMMU_GET_INFO, u64{0});
				 });
				 w.thread([&w] {
					 W::expect(w.renew() == 0, "no new IOMMU");
					 W::expect(w.renew() == 0, "no newer IOMMU");
				 });
				 w.at_end = [&w] {
					 W::expect(w.type1.opens == 1, "an IOMMU stays unused");
				 };
			 }),
		scenario("ioctl of the IOMMU | ioctl | it goes and comes",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.type1.ioctl = [](u32, u64) { return point(), 0L; };
				 for (int i = 0; i < 2; i++)
					 w.thread([&w] {
						 mock::ioctl(w.container, VFIO_IOMMU_GET_INFO,
							     u64{0});
					 });
				 w.thread([&w] { W::expect(w.renew() == 0, "no new IOMMU"); });
				 w.at_end = [&w] {
					 W::expect(w.type1.opens == 1, "an IOMMU stays unused");
				 };
			 }),
		scenario("GET_DEVICE_FD of an open device | unregister",
			 [](W &w) {
				 w.start_with_device();
				 w.ops.request = [&w](u32) { w.result[1] = 1; };
				 w.thread([&w] {
					 const bool going = w.result[1];
					 w.device2 = W::device_fd(w.group, "dev0");
					 W::expect(!going || w.device2 == -ENODEV,
						   "opened while it goes");
					 W::close(w.device);
					 W::close(w.device2);
				 });
				 w.thread([&w] { w.remove(0); });
			 }),
		scenario("CHECK_EXTENSION of NESTING | SET_IOMMU | close of the group",
			 [](W &w) {
				 w.add(0);
				 w.open_all(false);
				 w.type1.extensions.insert(VFIO_TYPE1_NESTING_IOMMU);
				 w.thread([&w] {
					 mock::ioctl(w.container, VFIO_CHECK_EXTENSION,
						     u64{VFIO_TYPE1_NESTING_IOMMU});
				 });
				 w.thread([&w] { W::set_iommu(w.container); });
				 w.thread([&w] { W::close(w.group); });
			 }),
		scenario("enforced_coherent | UNSET_CONTAINER | unregister",
			 [](W &w) {
				 w.add(0);
				 w.open_all();
				 w.thread([&w] {
					 vfio_core_file_enforced_coherent(mock::file_of(w.group));
				 });
				 w.thread([&w] { W::unset_container(w.group); });
				 w.thread([&w] { w.remove(0); });
			 }),
		scenario("SET_IOMMU | the IOMMU's driver unregisters",
			 [](W &w) {
				 w.add(0);
				 w.open_all(false);
				 w.thread([&w] { W::set_iommu(w.container); });
				 w.thread([&w] {
					 // A driver unloads only if nothing holds its module.
					 w.type1.unloading = w.type1.module_refs == 0;
					 if (w.type1.unloading)
						 vfio_core_unregister_iommu_driver(&w.type1);
				 });
			 }),
	};
}
