// SPDX-License-Identifier: GPL-2.0
//
// The life of mediated devices, and their pins: what two threads, or three, do
// at the same time. At the end of each run nothing may be left of anything.
#include <cerrno>

#include "explore.hpp"
#include "mock/vfio_pin.hpp"

using namespace model;

namespace {

class BusWorld : public World {
public:
	BusWorld()
	{
		driver.max_instances = 2;
		driver.probe = [this](mdev_device *) {
			point();
			expect(++bound <= 2, "more devices than there may be");
			return 0;
		};
		driver.remove = [this](mdev_device *) { expect(--bound >= 0, "removed twice"); };
		expect(mdev_core_init() == 0, "init");
		expect(mdev_core_register_driver(&driver) == 0, "driver");
		expect(mdev_core_register_parent(&parent, &dev, &driver, list, 2) == 0, "parent");
	}

	static std::string uuid(int number)
	{
		return "01234567-89ab-cdef-0011-00000000000" + std::to_string(number);
	}

	long create(int number)
	{
		const long result = mock::write_create(types[number % 2], uuid(number));

		expect(result == 36 || result == -EEXIST || result == -EUSERS || result == -ENODEV,
		       "create");
		created += result == 36;
		return result;
	}

	void remove(int number)
	{
		const long result = mock::write_remove(uuid(number));

		expect(result == 1 || result == -ENOENT || result == -EAGAIN || result == -ENODEV,
		       "remove");
	}

	void unregister()
	{
		registered = false;
		mdev_core_unregister_parent(parent.core);
		expect(bound == 0, "a device outlives its parent's registration");
		expect(mock::bus_devices().empty(), "and is on the bus");
	}

	void finish() override
	{
		if (registered)
			unregister();
		expect(mock::live_mdevs() == 0, "device left");
		expect(mock::live_directories() == 0, "parent left");
		mdev_core_exit();
	}

	device dev = {"parent", "gpu"};
	mdev_driver driver;
	mdev_type types[2] = {{.name = "a"}, {.name = "b"}};
	mdev_type *list[2] = {&types[0], &types[1]};
	mdev_parent parent;
	bool registered = true;
	int bound = 0;
	int created = 0;
};

class PinsWorld : public World {
public:
	using World::expect;

	PinsWorld()
	{
		vdev.dma_unmap = [this](u64 iova, u64 size) { mdev_pins_drop(pins, iova, size); };
		vdev.map(0, 8, 0x1000);
		expect(mdev_core_pins_create(&vdev, &dev, 0, &pins) == 0, "pins");
	}

	int pin(u64 first, u64 npages)
	{
		return mdev_pins_pin(pins, first << 12, npages, 3);
	}

	u64 unpin(u64 first, u64 npages)
	{
		return mdev_pins_unpin(pins, first << 12, npages);
	}

	u64 drop(u64 first, u64 npages)
	{
		return mdev_pins_drop(pins, first << 12, npages << 12);
	}

	u64 count(u64 page)
	{
		mdev_pin_run run;

		return mdev_pins_find(pins, page << 12, &run) ? run.count : 0;
	}

	void finish() override
	{
		expect(vdev.pins() == mdev_pins_npages(pins), "pinned once each");
		expect(vdev.pins() == mock::dma_mapped(), "mapped once each");
		drop(0, 100);
		expect(vdev.pins() == 0, "pins left");
		mdev_pins_destroy(pins);
	}

	device dev = {"parent", "gpu"};
	vfio_device vdev;
	mdev_pins *pins = nullptr;
};

} // namespace

std::vector<Scenario> model::scenarios()
{
	using B = BusWorld;
	using P = PinsWorld;

	return {
		scenario<B>("create | unregister the parent",
			    [](B &w) {
				    w.threads = {[&w] { w.create(1); }, [&w] { w.unregister(); }};
			    }),
		scenario<B>("create | create, of one UUID",
			    [](B &w) {
				    w.threads = {[&w] { w.create(1); }, [&w] { w.create(1); }};
			    }),
		scenario<B>("create | remove, of one UUID",
			    [](B &w) {
				    w.threads = {[&w] { w.create(1); }, [&w] { w.remove(1); }};
			    }),
		scenario<B>("remove | remove | unregister the parent",
			    [](B &w) {
				    w.create(1);
				    w.threads = {[&w] { w.remove(1); }, [&w] { w.remove(1); },
						 [&w] { w.unregister(); }};
			    }),
		scenario<B>("create | remove another | unregister the parent",
			    [](B &w) {
				    w.create(1);
				    w.threads = {[&w] { w.create(2); }, [&w] { w.remove(1); },
						 [&w] { w.unregister(); }};
			    }),
		scenario<B>("create when one is left | create | remove",
			    [](B &w) {
				    w.create(1);
				    w.threads = {[&w] { w.create(2); }, [&w] { w.create(3); },
						 [&w] { w.remove(1); }};
			    }),
		scenario<P>("pin | pin the same",
			    [](P &w) {
				    w.threads = {[&w] { w.pin(0, 3); }, [&w] { w.pin(1, 3); }};
			    }),
		scenario<P>("pin, unpin | pin, unpin the same",
			    [](P &w) {
				    w.threads = {[&w] {
							 w.pin(0, 2);
							 w.unpin(0, 2);
						 },
						 [&w] {
							 w.pin(1, 2);
							 w.unpin(1, 2);
						 }};
			    }),
		scenario<P>("pin | drop a part",
			    [](P &w) {
				    w.threads = {[&w] { w.pin(0, 3); }, [&w] { w.drop(1, 1); }};
			    }),
		scenario<P>("pin | its user unmaps",
			    [](P &w) {
				    w.pin(2, 1);
				    w.threads = {[&w] { w.pin(0, 2); }, [&w] { w.vdev.unmap(0); }};
			    }),
		scenario<P>("pin | unpin | its user unmaps",
			    [](P &w) {
				    w.pin(1, 1);
				    w.threads = {[&w] { w.pin(0, 2); }, [&w] { w.unpin(1, 1); },
						 [&w] { w.vdev.unmap(0); }};
			    }),
		// What the failing pin takes back is not what was pinned since.
		scenario<P>("pin that fails | drop in it | pin after the drop",
			    [](P &w) {
				    w.pin(0, 1);
				    w.threads = {[&w] { w.pin(0, 9); }, [&w] { w.drop(0, 1); },
						 [&w] {
							 if (w.count(0) == 0 && w.pin(0, 1) == 0)
								 P::expect(w.count(0) != 0,
									   "taken by another");
						 }};
			    }),
		scenario<P>("drop | drop | pin",
			    [](P &w) {
				    w.pin(0, 3);
				    w.threads = {[&w] { w.drop(0, 2); }, [&w] { w.drop(1, 2); },
						 [&w] { w.pin(1, 1); }};
			    }),
	};
}
