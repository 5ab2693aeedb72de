// SPDX-License-Identifier: GPL-2.0
//
// The life of groups, containers and devices: what two threads, or three, do
// at the same time.
#include "core_world.hpp"

using namespace model;

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
