// SPDX-License-Identifier: GPL-2.0
//
// The kernel around vfio_core, as scenarios see it: devices, an IOMMU driver, a virtual machine.
// At the end of each run everything is closed and unregistered, and then nothing may be left of
// anything.
#pragma once

#include <cerrno>
#include <cstring>

#include "explore.hpp"
#include "mock/core.hpp"
#include "shim/lock.h"
#include "shim/uapi.h"

namespace model {

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
		vfio_iommu_driver_extend(&type1, &mock::kIommuExtension);
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

} // namespace model
