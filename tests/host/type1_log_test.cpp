// SPDX-License-Identifier: GPL-2.0
//
// What the log says when pages cannot be mapped or pinned: for whom, how many, and
// which cause, RLIMIT_MEMLOCK or memory.
#include "type1_container.hpp"

namespace {

using Lines = std::vector<std::string>;

class Type1Log : public Type1Test {
protected:
	void SetUp() override
	{
		Type1Test::SetUp();
		process.task.ipc_lock = false;
		mock::take_log();
	}

	// A container with a group that has an IOMMU.
	struct Attached : Container {
		explicit Attached(mock::Hardware &hardware) : group{&hardware}
		{
			EXPECT_EQ(attach(group), 0);
		}

		~Attached()
		{
			detach(group);
		}

		iommu_group group;
	};

	static Lines over(const std::string &what, u64 limit)
	{
		return {"device: task process (77) cannot " + what +
			" pages: over RLIMIT_MEMLOCK of " + std::to_string(limit) +
			" bytes: error -12"};
	}

	static Lines no_memory(const std::string &what)
	{
		return {"device: task process (77) cannot " + what +
			" pages: out of memory, RLIMIT_MEMLOCK is 18446744073709551615 bytes: "
			"error -12"};
	}
};

TEST_F(Type1Log, MappingOverTheLimit)
{
	Attached c(hardware);

	process.task.rlimit_pages = 3;
	EXPECT_EQ(c.map(0, uva(0), 4 * kPage), -ENOMEM);
	EXPECT_EQ(mock::take_log(), over("map 4", 3 * kPage));
	process.task.rlimit_pages = 0;
	EXPECT_EQ(c.map(0, uva(0), kPage), -ENOMEM);
	EXPECT_EQ(mock::take_log(), over("map 1", 0));
}

TEST_F(Type1Log, MappingWithoutMemory)
{
	Attached c(hardware);

	for (u64 npages : {1, 4}) {
		// One page is tried in two ways.
		process.mm.out_of_memory = true;
		EXPECT_EQ(c.map(0, uva(0), npages * kPage), -ENOMEM);
		process.mm.out_of_memory = false;
		EXPECT_EQ(mock::take_log(), no_memory("map " + std::to_string(npages)));
	}
}

TEST_F(Type1Log, OtherErrorsAreNotLogged)
{
	Attached c(hardware);

	EXPECT_EQ(c.map(0, 0x1000, 4 * kPage), -EFAULT);
	mock::plan.fail(mock::Fail::kAccount, 1);
	EXPECT_EQ(c.map(0, uva(0), 4 * kPage), -EINTR);
	mock::plan.reset();
	EXPECT_EQ(mock::take_log(), Lines{});
}

TEST_F(Type1Log, Pins)
{
	Container c;
	iommu_group emulated;
	{
		ASSERT_EQ(c.attach(emulated, true), 0);
		PinningDevice device(c, emulated);

		ASSERT_EQ(c.map(0, uva(0), 8 * kPage), 0);
		process.task.rlimit_pages = 2;
		EXPECT_EQ(device.pin(0, 3), -ENOMEM);
		EXPECT_EQ(mock::take_log(), over("pin 3", 2 * kPage));
		ASSERT_EQ(device.pin(0, 2), 2);
		EXPECT_EQ(device.pin(2 * kPage, 1), -ENOMEM);
		EXPECT_EQ(mock::take_log(), over("pin 1", 2 * kPage));
		process.task.rlimit_pages = ~u64{0};
		process.mm.out_of_memory = true;
		EXPECT_EQ(device.pin(2 * kPage, 1), -ENOMEM);
		EXPECT_EQ(mock::take_log(), no_memory("pin 1"));
		EXPECT_EQ(device.pin(2 * kPage, 4), -ENOMEM);
		EXPECT_EQ(mock::take_log(), no_memory("pin 4"));
		process.mm.out_of_memory = false;
		EXPECT_EQ(c.unmap_all(), static_cast<s64>(8 * kPage));
	}
	c.detach(emulated);
	c.close();
}

TEST_F(Type1Log, GroupThatJoins)
{
	Container c;
	iommu_group emulated, group{&hardware};

	ASSERT_EQ(c.attach(emulated, true), 0);
	ASSERT_EQ(c.map(0, uva(0), 4 * kPage), 0);
	process.task.rlimit_pages = 3;
	EXPECT_EQ(c.attach(group), -ENOMEM);
	EXPECT_EQ(mock::take_log(), over("map 4", 3 * kPage));
	c.detach(emulated);
	c.close();
}

} // namespace
