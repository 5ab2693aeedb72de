// SPDX-License-Identifier: GPL-2.0
//
// User addresses that are taken away and given back: UNMAP_DMA and MAP_DMA
// with their VADDR flags, the change of owner that comes with it.
#include "type1_container.hpp"

namespace {

class Type1Vaddr : public Type1Test {
protected:
	void SetUp() override
	{
		Type1Test::SetUp();
		ASSERT_EQ(c.attach(group), 0);
		ASSERT_EQ(c.map(0x10000, uva(0), 4 * kPage), 0);
		ASSERT_EQ(c.map(0x20000, uva(8), 2 * kPage), 0);
	}

	void TearDown() override
	{
		c.detach(group);
		c.close();
		Type1Test::TearDown();
	}

	s64 take(u64 iova, u64 size)
	{
		return c.unmap(iova, size, VFIO_DMA_UNMAP_FLAG_VADDR);
	}

	long give(u64 iova, u64 at, u64 size)
	{
		return c.map(iova, at, size, VFIO_DMA_MAP_FLAG_VADDR);
	}

	Container c;
	iommu_group group{&hardware};
};

TEST_F(Type1Vaddr, TakenAndGivenBack)
{
	EXPECT_EQ(take(0x10000, 4 * kPage), static_cast<s64>(4 * kPage));
	EXPECT_EQ(group.domain->ptes.size(), 6u) << "the device sees nothing of it";
	EXPECT_EQ(locked(), 6u);
	EXPECT_EQ(take(0x10000, 4 * kPage), -EINVAL) << "already";
	EXPECT_EQ(take(0, 0x100000), -EINVAL) << "one of two already";
	EXPECT_EQ(give(0x20000, uva(8), 2 * kPage), -EINVAL) << "not taken";
	EXPECT_EQ(give(0x10000, uva(8), 2 * kPage), -EINVAL) << "not the same range";
	EXPECT_EQ(give(0x30000, uva(8), kPage), -ENOENT);
	EXPECT_EQ(give(0x10000, uva(20), 4 * kPage), 0);
	EXPECT_EQ(give(0x10000, uva(20), 4 * kPage), -EINVAL);
	EXPECT_EQ(c.unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR),
		  static_cast<s64>(6 * kPage));
	EXPECT_EQ(give(0x10000, uva(20), 4 * kPage), 0);
	EXPECT_EQ(give(0x20000, uva(8), 2 * kPage), 0);
}

TEST_F(Type1Vaddr, NothingThatNeedsAddressesWorksMeanwhile)
{
	iommu_group emulated, other(&hardware);
	u8 byte = 0;

	ASSERT_EQ(take(0x10000, 4 * kPage), static_cast<s64>(4 * kPage));
	EXPECT_EQ(c.attach(emulated, true), -EBUSY);
	EXPECT_EQ(c.attach(other), -EBUSY);
	expect_warning("pages pinned while addresses are updated");
	EXPECT_EQ(c.pin(emulated, 0x10000, 1), -EBUSY);
	expect_warning("memory copied while addresses are updated");
	EXPECT_EQ(c.rw(0x10000, &byte, 1, false), -EBUSY);
	EXPECT_EQ(c.map(0x30000, uva(30), kPage), 0) << "others may come";
	EXPECT_EQ(c.unmap(0x10000, 4 * kPage), static_cast<s64>(4 * kPage)) << "and go";
	EXPECT_EQ(c.attach(emulated, true), 0);
	EXPECT_EQ(take(0x20000, 2 * kPage), -EBUSY) << "with devices that pin";
	c.detach(emulated);
}

TEST_F(Type1Vaddr, BadRequests)
{
	EXPECT_EQ(take(0x11000, kPage), -EINVAL);
	EXPECT_EQ(take(0x10000, 0), -EINVAL);
	EXPECT_EQ(take(0x50000, kPage), 0);
	EXPECT_EQ(c.map(0x10000, uva(0), 4 * kPage, VFIO_DMA_MAP_FLAG_VADDR | kRead), -EINVAL);
	EXPECT_EQ(give(0x10000, uva(0) + 1, 4 * kPage), -EINVAL);
}

TEST_F(Type1Vaddr, OwnerChanges)
{
	mock::Process heir;

	heir.task.rlimit_pages = 4;
	ASSERT_EQ(c.unmap_all(VFIO_DMA_UNMAP_FLAG_VADDR), static_cast<s64>(6 * kPage));
	{
		const mock::As as_heir(&heir);
		EXPECT_EQ(give(0x10000, 0x5000, 4 * kPage), 0);
		EXPECT_EQ(heir.mm.locked_vm, 4u);
		EXPECT_EQ(locked(), 2u);
		EXPECT_EQ(give(0x20000, 0x50000, 2 * kPage), -ENOMEM);
		EXPECT_EQ(locked(), 2u);
		heir.task.ipc_lock = true;
		EXPECT_EQ(give(0x20000, 0x50000, 2 * kPage), 0);
	}
	EXPECT_EQ(locked(), 0u);
	EXPECT_EQ(heir.mm.locked_vm, 6u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(6 * kPage));
	EXPECT_EQ(heir.mm.locked_vm, 0u);
}

// As across exec: the old address space is gone before the new one takes over.
TEST_F(Type1Vaddr, OldOwnerGone)
{
	mock::Process before;

	before.mm.map(kUva, 4, 0x700);
	{
		const mock::As as_before(&before);
		ASSERT_EQ(c.map(0x40000, kUva, 4 * kPage), 0);
		ASSERT_EQ(take(0x40000, 4 * kPage), static_cast<s64>(4 * kPage));
	}
	before.exit();
	EXPECT_EQ(give(0x40000, kUva, 4 * kPage), 0);
	EXPECT_EQ(locked(), 10u);
	EXPECT_EQ(c.unmap(0x40000, 4 * kPage), static_cast<s64>(4 * kPage));
	EXPECT_EQ(locked(), 6u);
}

} // namespace
