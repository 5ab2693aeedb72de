// SPDX-License-Identifier: GPL-2.0
//
// Parents, types and mediated devices: names, counts, the order in which they
// come and go, each step failing in turn.
#include <thread>

#include "mdev_world.hpp"
#include "vfio_mdev/mdev.hpp"

namespace {

using Strings = std::vector<std::string>;

// --- UUIDs -----------------------------------------------------------------

class MdevUuid : public HostTest {};

const std::string kGood = "00112233-4455-6677-8899-aAbBcCdDeEfF";

TEST_F(MdevUuid, BytesAreAGuids)
{
	vfio::Result<vfio::Uuid> uuid = vfio::Uuid::parse(kGood.data(), kGood.size());

	ASSERT_TRUE(uuid.ok());
	const u8 want[] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
			   0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
	for (int i = 0; i < 16; i++)
		EXPECT_EQ(uuid.value().bytes[i], want[i]) << i;
}

TEST_F(MdevUuid, EachPlaceOfIt)
{
	for (size_t at = 0; at < kGood.size(); at++)
		for (int c = 0; c < 256; c++) {
			std::string text = kGood;
			text[at] = static_cast<char>(c);
			const bool dash = at == 8 || at == 13 || at == 18 || at == 23;
			const bool want = dash ? c == '-' : isxdigit(c) != 0;
			EXPECT_EQ(vfio::Uuid::parse(text.data(), text.size()).ok(), want) << text;
		}
}

TEST_F(MdevUuid, Sizes)
{
	const std::string text = kGood + "\n" + std::string(60, 'a');

	for (size_t size = 0; size <= text.size(); size++) {
		// Its own memory: the sanitizer sees a read past its end.
		const std::vector<char> written(text.begin(),
						text.begin() + static_cast<ssize_t>(size));
		EXPECT_EQ(vfio::Uuid::parse(written.data(), size).ok(), size == 36 || size == 37)
			<< size;
	}
}

// --- drivers, parents, types -----------------------------------------------

class MdevParents : public MdevTest {};

TEST_F(MdevParents, ADriverNeedsADeviceApi)
{
	mdev_driver other;

	other.device_api = false;
	EXPECT_EQ(mdev_core_register_driver(&other), -EINVAL);
	EXPECT_FALSE(other.registered);
	other.device_api = true;
	mock::plan.fail(mock::Fail::kDriver);
	EXPECT_EQ(mdev_core_register_driver(&other), -EBUSY);
	EXPECT_EQ(mdev_core_register_driver(&other), 0);
}

TEST_F(MdevParents, TypesAndTheirNames)
{
	ASSERT_EQ(register_parent(), 0);
	EXPECT_EQ(types[0].directory, "gpu-small");
	EXPECT_EQ(types[1].directory, "gpu-big");
	EXPECT_TRUE(parent.linked);
	EXPECT_EQ(mock::take_uevents(), Strings{"0000:00:02.0 MDEV_STATE=registered"});
	unregister_parent();
	EXPECT_EQ(mock::take_uevents(), Strings{"0000:00:02.0 MDEV_STATE=unregistered"});
	EXPECT_FALSE(parent.linked);
	EXPECT_TRUE(types[0].directory.empty());
}

TEST_F(MdevParents, LongNames)
{
	dev.driver = std::string(300, 'd');
	types[0].name = std::string(200, 't');
	types[1].name = "";
	ASSERT_EQ(register_parent(), 0);
	EXPECT_EQ(types[0].directory, dev.driver + "-" + types[0].name);
	EXPECT_EQ(types[1].directory, dev.driver + "-");
	unregister_parent();
}

TEST_F(MdevParents, TwoTypesOfOneName)
{
	types[1].name = types[0].name;
	EXPECT_EQ(register_parent(), -EEXIST);
	EXPECT_TRUE(types[0].directory.empty());
	EXPECT_TRUE(mock::take_uevents().empty());
}

TEST_F(MdevParents, WithoutTypes)
{
	ASSERT_EQ(mdev_core_register_parent(&parent, &dev, &driver, nullptr, 0), 0);
	unregister_parent();
}

TEST_F(MdevParents, WithoutTheLink)
{
	mock::plan.fail(mock::Fail::kFd);
	ASSERT_EQ(register_parent(), 0) << "it is only a convenience";
	EXPECT_FALSE(parent.linked);
	unregister_parent();
}

// --- counting --------------------------------------------------------------

class MdevCount : public MdevTest {};

TEST_F(MdevCount, ByTheBus)
{
	driver.max_instances = 2;
	ASSERT_EQ(register_parent(), 0);
	EXPECT_EQ(mock::read_available(types[0]), 2);
	EXPECT_EQ(create(types[0], uuid(1)), 0);
	EXPECT_EQ(mock::read_available(types[1]), 1) << "all types share them";
	EXPECT_EQ(create(types[1], uuid(2)), 0);
	EXPECT_EQ(mock::read_available(types[0]), 0);
	EXPECT_EQ(create(types[0], uuid(3)), -EUSERS);
	EXPECT_EQ(create(types[0], uuid(2)), -EEXIST) << "that comes first";
	EXPECT_EQ(mock::bus_devices(), (Strings{uuid(1), uuid(2)}));
	EXPECT_EQ(remove(uuid(1)), 0);
	EXPECT_EQ(mock::read_available(types[0]), 1);
	EXPECT_EQ(create(types[0], uuid(3)), 0);
	unregister_parent();
}

TEST_F(MdevCount, NoneAtAll)
{
	driver.max_instances = 0;
	ASSERT_EQ(register_parent(), 0);
	EXPECT_EQ(create(types[0], uuid(1)), -EUSERS);
	unregister_parent();
}

TEST_F(MdevCount, ByTheDriver)
{
	driver.max_instances = 0;
	driver.get_available = [this](mdev_type *type) { return type == &types[0] ? 7u : 9u; };
	ASSERT_EQ(register_parent(), 0);
	EXPECT_EQ(mock::read_available(types[0]), 7);
	EXPECT_EQ(mock::read_available(types[1]), 9);
	for (unsigned i = 0; i < 12; i++)
		EXPECT_EQ(create(types[0], uuid(i)), 0);
	driver.probe = [](mdev_device *) { return -ENOSPC; };
	EXPECT_EQ(create(types[0], uuid(12)), -ENOSPC);
	unregister_parent();
}

TEST_F(MdevCount, KeptUntilTheLastReference)
{
	driver.max_instances = 1;
	ASSERT_EQ(register_parent(), 0);
	ASSERT_EQ(create(types[0], uuid(1)), 0);
	mdev_device *mdev = mock::bus_device(uuid(1));
	mock::get_mdev(mdev);
	EXPECT_EQ(remove(uuid(1)), 0);
	EXPECT_TRUE(mock::bus_devices().empty());
	EXPECT_EQ(create(types[0], uuid(1)), -EEXIST);
	EXPECT_EQ(create(types[0], uuid(2)), -EUSERS);
	mock::put_mdev(mdev);
	EXPECT_EQ(create(types[0], uuid(1)), 0);
	unregister_parent();
}

// --- a device's life -------------------------------------------------------

class MdevLife : public MdevTest {};

TEST_F(MdevLife, CreatedAndRemoved)
{
	Strings seen;
	driver.probe = [&](mdev_device *mdev) {
		EXPECT_TRUE(mdev->on_bus);
		EXPECT_FALSE(mdev->linked);
		seen.push_back("probe " + mdev->name);
		return 0;
	};
	driver.remove = [&](mdev_device *mdev) {
		EXPECT_FALSE(mdev->linked);
		seen.push_back("remove " + mdev->name);
	};
	ASSERT_EQ(register_parent(), 0);
	EXPECT_EQ(mock::write_create(types[1], uuid(1) + "\n"), 37);
	mdev_device *mdev = mock::bus_device(uuid(1));
	ASSERT_TRUE(mdev);
	EXPECT_EQ(mdev->type, &types[1]);
	EXPECT_EQ(types[1].devices, std::set<mdev_device *>{mdev});
	EXPECT_EQ(mock::write_create(types[0], "no UUID"), -EINVAL);
	EXPECT_EQ(mock::write_remove(uuid(1), "0"), 1);
	EXPECT_EQ(mock::write_remove(uuid(1), "x"), -EINVAL);
	EXPECT_EQ(mock::write_remove(uuid(1), "0x8\n"), 4);
	EXPECT_EQ(seen, (Strings{"probe " + uuid(1), "remove " + uuid(1)}));
	EXPECT_EQ(remove(uuid(1)), -ENOENT);
	unregister_parent();
}

TEST_F(MdevLife, OneUuidInTheWorld)
{
	device second_dev = {"0000:00:03.0", "gpu"};
	mdev_parent second;
	mdev_type type = {.name = "other"};
	mdev_type *list[] = {&type};

	ASSERT_EQ(register_parent(), 0);
	ASSERT_EQ(mdev_core_register_parent(&second, &second_dev, &driver, list, 1), 0);
	ASSERT_EQ(create(types[0], uuid(1)), 0);
	EXPECT_EQ(create(type, uuid(1)), -EEXIST);
	EXPECT_EQ(mock::read_available(type), 4);
	unregister_parent();
	EXPECT_EQ(create(type, uuid(1)), 0);
	mdev_core_unregister_parent(second.core);
}

TEST_F(MdevLife, RefusedByItsDriver)
{
	driver.probe = [&](mdev_device *mdev) {
		EXPECT_EQ(remove(mdev->name), -EAGAIN) << "it is not complete";
		EXPECT_TRUE(mdev->has_remove_file) << "and keeps its file";
		EXPECT_EQ(create(types[0], mdev->name), -EEXIST);
		return -ENXIO;
	};
	driver.remove = [](mdev_device *) { ADD_FAILURE() << "it was never bound"; };
	ASSERT_EQ(register_parent(), 0);
	EXPECT_EQ(create(types[0], uuid(1)), -ENXIO);
	EXPECT_EQ(mock::read_available(types[0]), 4);
	EXPECT_TRUE(mock::bus_devices().empty());
	unregister_parent();
}

TEST_F(MdevLife, UnregisteringTakesThemAll)
{
	Strings removed;
	driver.remove = [&](mdev_device *mdev) {
		removed.push_back(mdev->name);
		EXPECT_EQ(create(types[1], uuid(9)), -ENODEV) << "the door is shut";
		if (mock::bus_device(uuid(2))) {
			EXPECT_EQ(remove(uuid(2)), -ENODEV);
		}
	};
	ASSERT_EQ(register_parent(), 0);
	for (unsigned i = 1; i <= 3; i++)
		ASSERT_EQ(create(types[i % 2], uuid(i)), 0);
	unregister_parent();
	EXPECT_EQ(removed, (Strings{uuid(1), uuid(2), uuid(3)}));
}

TEST_F(MdevLife, TheDeviceOutlivesItsParent)
{
	ASSERT_EQ(register_parent(), 0);
	ASSERT_EQ(create(types[0], uuid(1)), 0);
	mdev_device *mdev = mock::bus_device(uuid(1));
	mock::get_mdev(mdev);
	unregister_parent();
	parent = {};
	mock::put_mdev(mdev);
}

TEST_F(MdevLife, TwoRemovalsAndOneThatWaits)
{
	std::atomic<bool> open = true, waiting = false;
	driver.remove = [&](mdev_device *mdev) {
		if (mdev->name != uuid(1))
			return;
		waiting = true;
		while (open)
			std::this_thread::yield();
	};
	ASSERT_EQ(register_parent(), 0);
	ASSERT_EQ(create(types[0], uuid(1)), 0);
	mdev_core_device *core = mock::bus_device(uuid(1))->core;
	std::thread first([&] { EXPECT_EQ(remove(uuid(1)), 0); });
	while (!waiting)
		std::this_thread::yield();
	EXPECT_EQ(mdev_core_remove(core, "1", 1), 1) << "one who was in the file already";
	EXPECT_EQ(remove(uuid(1)), -ENOENT);

	// Unregistering waits for the removal, and nobody comes in meanwhile.
	std::atomic<bool> gone = false;
	std::thread second([&] {
		unregister_parent();
		gone = true;
	});
	while (create(types[0], uuid(2)) != -ENODEV)
		remove(uuid(2));
	EXPECT_FALSE(gone);
	open = false;
	first.join();
	second.join();
	EXPECT_TRUE(gone);
}

// Every step of everything fails in turn; nothing is left behind.
TEST_F(MdevLife, Sweep)
{
	for (u64 nth = 1;; nth++) {
		SCOPED_TRACE(nth);
		mock::plan.reset();
		mock::plan.fail_nth(nth);
		if (register_parent() == 0) {
			const long first = create(types[0], uuid(1));
			const long second = create(types[1], uuid(2));
			const bool failed = mock::plan.fired();
			EXPECT_EQ(mock::bus_devices().size(),
				  static_cast<size_t>(first == 0) + (second == 0));
			EXPECT_EQ(mock::read_available(types[0]), 4 - (first == 0) - (second == 0));
			mock::plan.reset();
			EXPECT_EQ(create(types[0], uuid(1)), first == 0 ? -EEXIST : 0);
			EXPECT_EQ(remove(uuid(1)), 0);
			unregister_parent();
			if (!failed) {
				EXPECT_GT(nth, 10u);
				break;
			}
		}
		EXPECT_EQ(mock::live_mdevs(), 0u);
		EXPECT_EQ(mock::live_directories(), 0u);
		if (HasFailure())
			break;
	}
}

} // namespace
