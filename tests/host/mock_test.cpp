// SPDX-License-Identifier: GPL-2.0
//
// The mock sees what it is there to see.
#include "dma/shim/mm.h"
#include "dma/shim/pin.h"
#include "host_test.hpp"
#include "mock/memory.hpp"
#include "shim/alloc.h"
#include "shim/lock.h"
#include "shim/uaccess.h"

namespace {

class Mock : public HostTest {
protected:
	static void expect_violation(const std::string &text)
	{
		const std::vector<std::string> violations = mock::take_violations();

		ASSERT_EQ(violations.size(), 1u);
		EXPECT_NE(violations[0].find(text), std::string::npos) << violations[0];
	}
};

shim_lock_class class_a = {"a", {}};
shim_lock_class class_b = {"b", {}};

struct TestMutex : shim_mutex {
	explicit TestMutex(shim_lock_class &lock_class)
	{
		shim_mutex_init(this, &lock_class);
	}
};

TEST_F(Mock, LockInversion)
{
	TestMutex a(class_a), b(class_b);

	shim_mutex_lock(&a);
	shim_mutex_lock(&b);
	shim_mutex_unlock(&a);
	shim_mutex_lock(&a);
	shim_mutex_unlock(&a);
	shim_mutex_unlock(&b);
	expect_violation("lock order: a taken under b");
	shim_mutex_destroy(&a);
	shim_mutex_destroy(&b);
}

TEST_F(Mock, TwoLocksOfAClass)
{
	TestMutex a(class_a), other(class_a);

	shim_mutex_lock(&a);
	shim_mutex_lock(&other);
	shim_mutex_unlock(&other);
	shim_mutex_unlock(&a);
	expect_violation("lock order: a taken under a");
}

TEST_F(Mock, MmapLockIsOrderedToo)
{
	TestMutex a(class_a);
	u32 word = 0;
	const mock::UserWindow window(&word, sizeof(word));

	shim_mutex_lock(&a);
	EXPECT_TRUE(shim_copy_from_user(&word, reinterpret_cast<u64>(&word), sizeof(word)));
	shim_mutex_unlock(&a);
	const mock::PseudoLock mmap_lock("mmap_lock");
	shim_mutex_lock(&a);
	shim_mutex_unlock(&a);
	expect_violation("lock order: a taken under mmap_lock");
}

using MockDeathTest = Mock;

TEST_F(MockDeathTest, LockMisuse)
{
	// The other style executes the program again, which an emulated program cannot.
	GTEST_FLAG_SET(death_test_style, "fast");
	TestMutex a(class_a);

	EXPECT_DEATH(shim_mutex_unlock(&a), "a unlocked by a stranger");
	EXPECT_DEATH((shim_mutex_lock(&a), shim_mutex_lock(&a)), "a locked by its holder");
	EXPECT_DEATH((shim_mutex_lock(&a), shim_mutex_destroy(&a)), "a destroyed while held");
}

TEST_F(Mock, MemoryFreedWithAHeldLock)
{
	auto *mutex = static_cast<shim_mutex *>(shim_alloc(sizeof(shim_mutex)));

	shim_mutex_init(mutex, &class_a);
	shim_mutex_lock(mutex);
	shim_free(static_cast<void *>(mutex));
	expect_violation("memory freed with a lock in it");
	// The list of held locks must not outlive the test.
	EXPECT_TRUE(mock::forget_held(mutex));
}

TEST_F(Mock, LeakAndPlan)
{
	const s64 blocks = mock::live_blocks();

	mock::plan.fail(mock::Fail::kAlloc, 2);
	void *first = shim_alloc(1);
	EXPECT_NE(first, nullptr);
	EXPECT_FALSE(mock::plan.fired());
	EXPECT_EQ(shim_alloc(1), nullptr);
	EXPECT_TRUE(mock::plan.fired());
	EXPECT_EQ(mock::live_blocks(), blocks + 1);
	EXPECT_GE(mock::live_bytes(), 1);
	shim_free(first);
	EXPECT_EQ(mock::live_blocks(), blocks);

	mock::plan.fail_nth(1);
	EXPECT_EQ(shim_valloc(1), nullptr);
	EXPECT_EQ(mock::plan.what(), mock::Fail::kVAlloc);
}

TEST_F(Mock, UnbalancedUnpin)
{
	shim_unpin(5, 1, false);
	expect_violation("unpinned more often");
}

TEST_F(Mock, UnpinOfAMappedPage)
{
	mock::phys::pin(5);
	mock::phys::mapped(5);
	shim_unpin(5, 1, false);
	expect_violation("unpinned while a domain maps it");
	mock::phys::unmapped(5);
}

TEST_F(Mock, SegmentsSplit)
{
	mock::Process process;
	mock::Page page;

	process.mm.map(0x10000, 16, 100);
	process.mm.map(0x14000, 4, 500, true, mock::Kind::kOrdinary, 2);
	process.mm.unmap(0x18000, 1);
	EXPECT_TRUE(process.mm.find(0x13000, page));
	EXPECT_EQ(page.pfn, 103u);
	EXPECT_TRUE(process.mm.find(0x16000, page));
	EXPECT_EQ(page.pfn, 504u);
	EXPECT_FALSE(process.mm.find(0x18000, page));
	EXPECT_TRUE(process.mm.find(0x19000, page));
	EXPECT_EQ(page.pfn, 109u);
	EXPECT_FALSE(process.mm.find(0x20000, page));
	process.mm.unmap(0x15000, 8);
	EXPECT_TRUE(process.mm.find(0x14000, page));
	EXPECT_FALSE(process.mm.find(0x15000, page));
	EXPECT_TRUE(process.mm.find(0x1d000, page));
	EXPECT_EQ(page.pfn, 113u);
}

TEST_F(Mock, UserMemory)
{
	mock::Process process;
	const mock::As as(&process);
	u64 value = 0x1122334455667788, back = 0;

	process.mm.map(0x10000, 1, 100);
	process.mm.map(0x11000, 1, 7, false);
	EXPECT_TRUE(shim_copy_to_user(0x10ff8, &value, 8));
	EXPECT_FALSE(shim_copy_to_user(0x10ffc, &value, 8)) << "read-only page";
	EXPECT_TRUE(shim_copy_from_user(&back, 0x10ff4, 8));
	u32 halves[2];
	memcpy(halves, &value, sizeof(value));
	const u32 zero_and_first[] = {0, halves[0]};
	EXPECT_EQ(memcmp(&back, zero_and_first, sizeof(back)), 0);
	EXPECT_FALSE(shim_copy_from_user(&back, 0x11ffc, 8));
	EXPECT_FALSE(shim_access_ok(~u64{0}, 2));
	EXPECT_FALSE(shim_access_ok(u64{1} << 47, 0));
	EXPECT_TRUE(shim_access_ok(0x1000, 8));
}

} // namespace
