// SPDX-License-Identifier: GPL-2.0
#include "mdev_world.hpp"

void MdevTest::SetUp()
{
	HostTest::SetUp();
	mock::take_uevents();
	driver.max_instances = 4;
	ASSERT_EQ(mdev_core_init(), 0);
	ASSERT_EQ(mdev_core_register_driver(&driver), 0);
}

void MdevTest::TearDown()
{
	EXPECT_TRUE(mock::bus_devices().empty());
	EXPECT_EQ(mock::live_mdevs(), 0u) << "devices leaked";
	EXPECT_EQ(mock::live_directories(), 0u) << "parents leaked";
	mdev_core_exit();
	HostTest::TearDown();
}

std::string MdevTest::uuid(unsigned number)
{
	char text[40];

	snprintf(text, sizeof(text), "01234567-89ab-cdef-0011-%012x", number);
	return text;
}
