// SPDX-License-Identifier: GPL-2.0
//
// Result and TRY, ownership, references, lists, units, guards, warnings.
#include <array>
#include <vector>

#include "host_test.hpp"
#include "mock/memory.hpp"
#include "vocab/list.hpp"
#include "vocab/lock.hpp"
#include "vocab/memory.hpp"
#include "vocab/uaccess.hpp"
#include "vocab/units.hpp"

using namespace vfio;

namespace {

class Vocab : public HostTest {};

// Counts its lives.
struct Tracked : ListNode<Tracked>, ListNode<struct OtherTag> {
	static inline int alive;

	explicit Tracked(int value = 0) : value(value)
	{
		alive++;
	}

	~Tracked()
	{
		alive--;
	}

	RefCount &refs()
	{
		return refs_;
	}

	const int value;
	RefCount refs_;
};

// Moves, and is empty after that.
struct Moving {
	explicit Moving(int *ended) : ended(ended)
	{
	}

	Moving(Moving &&other) : ended(vfio::exchange(other.ended, nullptr))
	{
	}

	~Moving()
	{
		if (ended)
			(*ended)++;
	}

	int *ended;
};

Result<int> half_of(int value)
{
	if (value % 2)
		return Error(EINVAL);
	return value / 2;
}

Result<int> quarter_of(int value)
{
	return TRY(half_of(TRY(half_of(value))));
}

Result<void> check(int value)
{
	TRY(Result<void>::from_negative(value));
	return {};
}

TEST_F(Vocab, ResultAndTry)
{
	EXPECT_EQ(quarter_of(8).value(), 2);
	EXPECT_FALSE(quarter_of(6).ok());
	EXPECT_EQ(quarter_of(6).error(), Error(EINVAL));
	EXPECT_EQ(quarter_of(6).error().negative(), -EINVAL);
	EXPECT_EQ(quarter_of(8).negative_or_value(), 2);
	EXPECT_EQ(quarter_of(7).negative_or_value(), -EINVAL);
	EXPECT_TRUE(check(0).ok());
	EXPECT_EQ(check(0).negative(), 0);
	EXPECT_EQ(check(-ENOMEM).negative(), -ENOMEM);
	EXPECT_TRUE(check(5).ok()) << "what is not negative is no error";
}

TEST_F(Vocab, ResultEndsItsValueOnce)
{
	int ended = 0;
	{
		Result<Moving> result = Moving(&ended);
		Result<Moving> moved = vfio::move(result);
		EXPECT_EQ(ended, 0);
		Moving taken = moved.take();
		EXPECT_EQ(moved.value().ended, nullptr);
		EXPECT_EQ(ended, 0);
	}
	EXPECT_EQ(ended, 1);
	{
		Result<Moving> error = Error(ENOMEM);
		Result<Moving> moved = vfio::move(error);
		EXPECT_EQ(moved.error().negative(), -ENOMEM);
	}
	EXPECT_EQ(ended, 1);
}

TEST_F(Vocab, UniquePtr)
{
	{
		Result<UniquePtr<Tracked>> made = make<Tracked>(7);
		ASSERT_TRUE(made.ok());
		UniquePtr<Tracked> pointer = made.take();
		EXPECT_EQ(pointer->value, 7);
		EXPECT_EQ((*pointer).value, 7);
		EXPECT_EQ(Tracked::alive, 1);
		UniquePtr<Tracked> other = make<Tracked>(8).take();
		pointer = vfio::move(other);
		EXPECT_FALSE(other);
		EXPECT_EQ(pointer->value, 8);
		EXPECT_EQ(Tracked::alive, 1);
		UniquePtr<Tracked> &same = pointer;
		pointer = vfio::move(same);
		EXPECT_EQ(pointer->value, 8);
		Tracked *raw = pointer.release();
		EXPECT_EQ(Tracked::alive, 1);
		destroy(raw);
		EXPECT_EQ(Tracked::alive, 0);
		pointer.reset();
	}
	mock::plan.fail(mock::Fail::kAlloc);
	EXPECT_EQ(make<Tracked>().error(), Error(ENOMEM));
	EXPECT_EQ(Tracked::alive, 0) << "nothing constructed at null";
	destroy<Tracked>(nullptr);
}

namespace {

std::vector<int> given_back;

void give_back(int number)
{
	given_back.push_back(number);
}

using Number = Owned<int, give_back, -1>;

} // namespace

TEST_F(Vocab, Owned)
{
	given_back.clear();
	{
		Number none;
		EXPECT_FALSE(none);
		Number zero(0);
		EXPECT_TRUE(zero);
		Number moved = vfio::move(zero);
		EXPECT_FALSE(zero);
		EXPECT_EQ(moved.get(), 0);
		EXPECT_TRUE(given_back.empty());

		Number other(5);
		moved = vfio::move(other);
		EXPECT_EQ(given_back, std::vector<int>{0}) << "assigning gives back first";
		Number &same = moved;
		moved = vfio::move(same);
		EXPECT_EQ(moved.get(), 5);

		Number handed(6);
		EXPECT_EQ(handed.release(), 6);
		EXPECT_EQ(given_back, std::vector<int>{0}) << "a caller has it now";
		none.reset(7);
		EXPECT_EQ(none.get(), 7);
	}
	EXPECT_EQ(given_back, (std::vector<int>{0, 5, 7})) << "each once";
}

static u32 count_of(const RefCount &count)
{
	static_assert(sizeof(count) == sizeof(u32));
	return __atomic_load_n(reinterpret_cast<const u32 *>(&count), __ATOMIC_ACQUIRE);
}

TEST_F(Vocab, RefPtr)
{
	RefPtr<Tracked> first = RefPtr<Tracked>::adopt(make<Tracked>(1).take().release());
	EXPECT_EQ(count_of(first->refs()), 1u);
	{
		RefPtr<Tracked> second = first;
		EXPECT_EQ(count_of(first->refs()), 2u);
		RefPtr<Tracked> third = vfio::move(second);
		EXPECT_FALSE(second);
		EXPECT_EQ(count_of(first->refs()), 2u);
		RefPtr<Tracked> fourth = RefPtr<Tracked>::share(*third);
		EXPECT_EQ(count_of(first->refs()), 3u);
		fourth = first;
		EXPECT_EQ(count_of(first->refs()), 3u);
		fourth = RefPtr<Tracked>::adopt(make<Tracked>(2).take().release());
		EXPECT_EQ(count_of(first->refs()), 2u);
		EXPECT_EQ(Tracked::alive, 2);
	}
	EXPECT_EQ(Tracked::alive, 1);
	RefPtr<Tracked> &same = first;
	first = same;
	EXPECT_EQ(count_of(first->refs()), 1u);
	first.reset();
	EXPECT_EQ(Tracked::alive, 0);
	first.reset();
}

TEST_F(Vocab, RefCountEdges)
{
	RefCount count(0);

	EXPECT_FALSE(count.try_get());
	count.restart();
	EXPECT_TRUE(count.try_get());
	EXPECT_FALSE(count.put());
	EXPECT_TRUE(count.put());

	expect_warning("reference taken on a dead object");
	count.get();
	EXPECT_GE(count_of(count), 0x8000'0000u) << "never freed";
	expect_warning("reference count out of range");
	EXPECT_FALSE(count.put()) << "one too many";
	EXPECT_FALSE(count.put()) << "and it stays so";
	EXPECT_TRUE(count.try_get());
	EXPECT_FALSE(count.put()) << "never freed";

	RefCount top(0x8000'0000 - 1);
	EXPECT_TRUE(top.try_get());
	EXPECT_TRUE(top.try_get());
	EXPECT_FALSE(top.put());
	EXPECT_GE(count_of(top), 0x8000'0000u) << "saturated";
}

TEST_F(Vocab, WarnOnce)
{
	expect_warning("a test of warnings");
	for (int i = 0; i < 3; i++)
		EXPECT_TRUE(WARN_ONCE_IF(i >= 0, "a test of warnings"));
	EXPECT_FALSE(WARN_ONCE_IF(false, "never"));
	const auto warnings = mock::take_warnings();
	EXPECT_LE(warnings.size(), 1u) << "zero only if this test runs again";
}

TEST_F(Vocab, Defer)
{
	int ran = 0;
	{
		const Defer deferred([&] { ran++; });
		Defer dismissed([&] { ran += 10; });
		dismissed.dismiss();
		EXPECT_EQ(ran, 0);
	}
	EXPECT_EQ(ran, 1);
}

std::vector<int> values(const List<Tracked> &list)
{
	std::vector<int> result;

	for (const Tracked &element : list)
		result.push_back(element.value);
	return result;
}

TEST_F(Vocab, List)
{
	Tracked a(1), b(2), c(3), d(4);
	List<Tracked> list, other;
	List<Tracked, OtherTag> by_tag;

	EXPECT_TRUE(list.empty());
	EXPECT_FALSE(list.singular());
	EXPECT_EQ(list.front(), nullptr);
	EXPECT_EQ(list.back(), nullptr);
	EXPECT_EQ(list.pop_front(), nullptr);
	list.push_back(b);
	EXPECT_TRUE(list.singular());
	list.push_front(a);
	list.push_back(d);
	list.insert_before(d, c);
	EXPECT_EQ(values(list), (std::vector{1, 2, 3, 4}));
	EXPECT_EQ(list.next(a), &b);
	EXPECT_EQ(list.prev(a), nullptr);
	EXPECT_EQ(list.next(d), nullptr);
	EXPECT_EQ(list.prev(d), &c);

	by_tag.push_back(c);
	by_tag.push_back(a);
	EXPECT_EQ(by_tag.next(c), &a);
	by_tag.remove(c);
	by_tag.remove(a);
	EXPECT_EQ(values(list), (std::vector{1, 2, 3, 4}));

	list.remove(b);
	list.remove(a);
	EXPECT_EQ(values(list), (std::vector{3, 4}));
	other.push_back(a);
	list.swap(other);
	EXPECT_EQ(values(list), (std::vector{1}));
	EXPECT_EQ(values(other), (std::vector{3, 4}));
	other.take_all(list);
	EXPECT_EQ(values(other), (std::vector{3, 4, 1}));
	EXPECT_TRUE(list.empty());
	list.swap(other);
	EXPECT_EQ(values(list), (std::vector{3, 4, 1}));
	EXPECT_TRUE(other.empty());
	EXPECT_EQ(list.pop_front(), &c);
	EXPECT_FALSE(static_cast<ListNode<Tracked> &>(c).linked());
	EXPECT_TRUE(static_cast<ListNode<Tracked> &>(d).linked());
}

TEST_F(Vocab, RangeEdges)
{
	using R = IovaRange;

	EXPECT_EQ(R::of_size({0}, 0).error(), Error(EINVAL));
	EXPECT_EQ(R::of_size({kU64Max}, 0).error(), Error(EINVAL));
	EXPECT_EQ(R::of_size({kU64Max}, 1).value(), (R{{kU64Max}, {kU64Max}}));
	EXPECT_EQ(R::of_size({kU64Max}, 2).error(), Error(EOVERFLOW));
	EXPECT_EQ(R::of_size({0}, kU64Max).value(), (R{{0}, {kU64Max - 1}}));
	EXPECT_EQ(R::of_size({1}, kU64Max).value(), (R{{1}, {kU64Max}}));
	EXPECT_EQ(R::of_size({2}, kU64Max).error(), Error(EOVERFLOW));
	EXPECT_EQ(R::of_size({kU64Max - 4095}, 4096).value().npages(), 1u);
	EXPECT_EQ(kAllIova.npages(), u64{1} << 52);
	EXPECT_EQ(kAllIova.size(), 0u) << "2^64 has no room";

	const R low{{0}, {9}}, high{{10}, {kU64Max}};
	EXPECT_FALSE(low.overlaps(high));
	EXPECT_FALSE(high.overlaps(low));
	EXPECT_TRUE(kAllIova.overlaps(low));
	EXPECT_TRUE(kAllIova.contains(high));
	EXPECT_FALSE(high.contains(kAllIova));
	EXPECT_TRUE(low.contains(Iova{9}));
	EXPECT_FALSE(low.contains(Iova{10}));
	EXPECT_TRUE((R{{5}, {5}}).overlaps(R{{5}, {5}}));
	EXPECT_EQ(smallest_shift(0x40201000), 12u);
	EXPECT_EQ(smallest_shift(u64{1} << 63), 63u);
	EXPECT_EQ(phys_of(Pfn{3}).value, 0x3000u);
	EXPECT_TRUE(Iova{0x3000}.aligned(0x1000));
	EXPECT_FALSE(Iova{0x3001}.aligned(0x1000));
}

constinit LockClass guard_class = {"guard", {}};
constinit LockClass sem_class = {"sem", {}};

struct Locked {
	Mutex mutex{guard_class};
	RwSem sem{sem_class};
};

// What a guard does, the mock's locks judge: a lock left over is fatal.
TEST_F(Vocab, GuardsUnlockAndRelock) __no_lock_analysis
{
	Locked locked;
	{
		const Guard guard(locked.mutex);
		{
			const Unguard unlocked(locked.mutex);
			const Guard inner(locked.mutex);
		}
	}
	{
		const Guard guard(locked.mutex);
		const ReadGuard read(locked.sem);
	}
	const WriteGuard write(locked.sem);
}

TEST_F(Vocab, UserCopies)
{
	std::array<u8, 4> bytes = {1, 2, 3, 4};
	std::array<u8, 4> to = {};
	const mock::UserWindow window(bytes.data(), bytes.size());
	const UserVa at{reinterpret_cast<u64>(bytes.data())};

	EXPECT_TRUE(copy_in(to.data(), at, 4).ok());
	EXPECT_EQ(to, bytes);
	EXPECT_EQ(copy_in(to.data(), at + 1, 4).error(), Error(EFAULT));
	to = {9, 9, 9, 9};
	EXPECT_TRUE(copy_out(at + 2, to.data(), 2).ok());
	EXPECT_EQ(bytes, (std::array<u8, 4>{1, 2, 9, 9}));
	EXPECT_EQ(copy_out({0}, to.data(), 2).error(), Error(EFAULT));
}

} // namespace
