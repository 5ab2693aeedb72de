// SPDX-License-Identifier: GPL-2.0
#include "races.hpp"

#include <cstdio>
#include <cstring>
#include <map>
#include <unistd.h>

#include "mock/report.hpp"
#include "shim/alloc.h"
#include "shim/slab.h"

namespace model {

namespace {

// An access to some bytes of a word; no access if bytes is 0.
struct Access {
	u32 at;
	u8 bytes;
	const void *code;
};

struct Word {
	Access reads[kMaxThreads];
	Access writes[kMaxThreads];
	bool freed;
};

// Open addressing; entries of earlier runs do not count.
constexpr size_t kTableSize = size_t{1} << 16;
struct Entry {
	u64 word;
	u64 run;
	Word data;
};
Entry table[kTableSize];
u64 run;
size_t used;

Clock clocks[kMaxThreads + 1];
Clock orders[static_cast<int>(Order::kCount)];
// What atomics at an address have released.
std::map<const volatile void *, Clock> atomics;
std::vector<void *> quarantine;
std::vector<void *> page_quarantine;

Word &word_of(u64 word)
{
	for (size_t at = (word * 0x9e37'79b9'7f4a'7c15ULL) >> 48;; at = (at + 1) % kTableSize) {
		Entry &entry = table[at];

		if (entry.run == run && entry.word == word)
			return entry.data;
		if (entry.run != run) {
			if (++used > kTableSize / 2)
				fail("more memory than the table has room for");
			entry = {word, run, {}};
			return entry.data;
		}
	}
}

std::string line_of(const void *code)
{
	char command[200], line[200] = "?";

	snprintf(command, sizeof(command), "addr2line -sCfpe /proc/%d/exe %p", getpid(),
		 static_cast<const char *>(code) - 1);
	if (FILE *pipe = popen(command, "r")) {
		if (fgets(line, sizeof(line), pipe))
			line[strcspn(line, "\n")] = 0;
		pclose(pipe);
	}
	return line;
}

void check(const Access (&before)[kMaxThreads], int me, u8 bytes, const void *code,
	   const char *what, const char *earlier)
{
	for (int other = 0; other < kMaxThreads; other++)
		if (other != me && (before[other].bytes & bytes) &&
		    before[other].at > clocks[me].of[other])
			fail("data race: thread %d %s in %s, thread %d %s in %s", me, what,
			     line_of(code).c_str(), other, earlier,
			     line_of(before[other].code).c_str());
}

void access_word(u64 word, u8 bytes, bool write, const void *code)
{
	const int me = current();
	Word &data = word_of(word);

	if (data.freed)
		fail("thread %d uses freed memory in %s", me, line_of(code).c_str());
	check(data.writes, me, bytes, code, write ? "writes" : "reads", "wrote");
	if (write)
		check(data.reads, me, bytes, code, "writes", "read");

	Access &mine = (write ? data.writes : data.reads)[me];
	const u32 now = clocks[me].of[me];

	if (mine.at == now)
		mine.bytes |= bytes;
	else
		mine = {now, bytes, code};
}

void access(const volatile void *memory, size_t size, bool write, const void *code)
{
	if (!exploring())
		return;

	const u64 address = reinterpret_cast<u64>(memory);
	const u64 here = reinterpret_cast<u64>(__builtin_frame_address(0));

	// The thread's own stack.
	if (address - here < (u64{1} << 20))
		return;
	for (u64 at = address; at < address + size;) {
		const u64 offset = at % 8;
		const u64 n = std::min(8 - offset, address + size - at);

		access_word(at / 8, static_cast<u8>(((1u << n) - 1) << offset), write, code);
		at += n;
	}
}

void freed(void *memory)
{
	const size_t size = mock::size_of(memory);
	const auto *code = __builtin_return_address(0);

	if (mock::holds_lock_in(memory, size))
		fail("memory freed with a lock in it that is held");
	access(memory, size, true, code);
	for (u64 at = reinterpret_cast<u64>(memory) / 8, end = at + size / 8; at < end; at++)
		word_of(at).freed = true;
}

bool acquires(int order)
{
	return order == __ATOMIC_CONSUME || order == __ATOMIC_ACQUIRE ||
	       order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

bool releases(int order)
{
	return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

} // namespace

void acquire(const Clock &clock)
{
	clocks[current()].join(clock);
}

void release(Clock &clock)
{
	const int me = current();

	clock.join(clocks[me]);
	clocks[me].of[me]++;
}

void acquire(Order order)
{
	acquire(orders[static_cast<int>(order)]);
}

void release(Order order)
{
	release(orders[static_cast<int>(order)]);
}

void begin_races()
{
	run++;
	used = 0;
	memset(clocks, 0, sizeof(clocks));
	memset(orders, 0, sizeof(orders));
	atomics.clear();
	for (int i = 0; i <= kMaxThreads; i++)
		clocks[i].of[i] = 1;
}

extern "C" {
void __real_shim_free(void *memory);
void __real_shim_free_page(void *page);
}

void end_races()
{
	for (void *memory : quarantine)
		__real_shim_free(memory);
	for (void *page : page_quarantine)
		__real_shim_free_page(page);
	quarantine.clear();
	page_quarantine.clear();
}

// An atomic operation: a point, an access, an order.
template <class T, class F>
T atomic(const volatile T *memory, int order, bool writes, const void *code, F operation)
{
	if (!exploring())
		return operation();
	point();
	// Atomics race with nothing but plain accesses, which are not looked for.
	if (word_of(reinterpret_cast<u64>(memory) / 8).freed)
		fail("thread %d uses freed memory in %s", current(), line_of(code).c_str());
	if (acquires(order) && atomics.contains(memory))
		acquire(atomics[memory]);
	if (writes && releases(order))
		release(atomics[memory]);
	return operation();
}

} // namespace model

using namespace model;

extern "C" {

void __wrap_shim_free(void *memory)
{
	if (!memory || !exploring())
		return __real_shim_free(memory);
	freed(memory);
	quarantine.push_back(memory);
}

void __wrap_shim_free_page(void *page)
{
	if (!page || !exploring())
		return __real_shim_free_page(page);
	page_quarantine.push_back(page);
}

void __wrap_shim_slab_free(shim_slab *, void *object)
{
	__wrap_shim_free(object);
}

void __wrap_shim_slab_free_many(shim_slab *, size_t count, void **objects)
{
	for (size_t i = 0; i < count; i++)
		__wrap_shim_free(objects[i]);
}

/* What -fsanitize=thread calls. */

void __tsan_init(void)
{
}

void __tsan_func_entry(void *)
{
}

void __tsan_func_exit(void)
{
}

#define ACCESS(name, size, write)                                         \
	void __tsan_##name(void *memory)                                  \
	{                                                                 \
		access(memory, size, write, __builtin_return_address(0)); \
	}
#define ACCESSES(size)                            \
	ACCESS(read##size, size, false)           \
	ACCESS(write##size, size, true)           \
	ACCESS(unaligned_read##size, size, false) \
	ACCESS(unaligned_write##size, size, true)
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

void __tsan_read_range(void *memory, size_t size)
{
	access(memory, size, false, __builtin_return_address(0));
}

void __tsan_write_range(void *memory, size_t size)
{
	access(memory, size, true, __builtin_return_address(0));
}

#define ATOMICS(bits)                                                                              \
	u##bits __tsan_atomic##bits##_load(const volatile u##bits *memory, int order)              \
	{                                                                                          \
		return atomic(memory, order, false, __builtin_return_address(0),                   \
			      [&] { return *memory; });                                            \
	}                                                                                          \
	void __tsan_atomic##bits##_store(volatile u##bits *memory, u##bits value, int order)       \
	{                                                                                          \
		atomic(memory, order, true, __builtin_return_address(0), [&] {                     \
			*memory = value;                                                           \
			return value;                                                              \
		});                                                                                \
	}                                                                                          \
	u##bits __tsan_atomic##bits##_exchange(volatile u##bits *memory, u##bits value, int order) \
	{                                                                                          \
		return atomic(memory, order, true, __builtin_return_address(0), [&] {              \
			const u##bits before = *memory;                                            \
			*memory = value;                                                           \
			return before;                                                             \
		});                                                                                \
	}                                                                                          \
	u##bits __tsan_atomic##bits##_fetch_add(volatile u##bits *memory, u##bits value,           \
						int order)                                         \
	{                                                                                          \
		return atomic(memory, order, true, __builtin_return_address(0), [&] {              \
			const u##bits before = *memory;                                            \
			*memory = static_cast<u##bits>(before + value);                            \
			return before;                                                             \
		});                                                                                \
	}                                                                                          \
	u##bits __tsan_atomic##bits##_fetch_sub(volatile u##bits *memory, u##bits value,           \
						int order)                                         \
	{                                                                                          \
		return __tsan_atomic##bits##_fetch_add(memory, static_cast<u##bits>(-value),       \
						       order);                                     \
	}                                                                                          \
	u##bits __tsan_atomic##bits##_fetch_or(volatile u##bits *memory, u##bits value, int order) \
	{                                                                                          \
		return atomic(memory, order, true, __builtin_return_address(0), [&] {              \
			const u##bits before = *memory;                                            \
			*memory = before | value;                                                  \
			return before;                                                             \
		});                                                                                \
	}                                                                                          \
	u##bits __tsan_atomic##bits##_fetch_and(volatile u##bits *memory, u##bits value,           \
						int order)                                         \
	{                                                                                          \
		return atomic(memory, order, true, __builtin_return_address(0), [&] {              \
			const u##bits before = *memory;                                            \
			*memory = before & value;                                                  \
			return before;                                                             \
		});                                                                                \
	}                                                                                          \
	/* Its failure orders less than its success, which is not looked for. */                   \
	bool __tsan_atomic##bits##_compare_exchange_strong(                                        \
		volatile u##bits *memory, u##bits *expected, u##bits value, int order, int)        \
	{                                                                                          \
		const u##bits wanted = *expected;                                                  \
		*expected = atomic(memory, order, true, __builtin_return_address(0), [&] {         \
			const u##bits before = *memory;                                            \
			if (before == wanted)                                                      \
				*memory = value;                                                   \
			return before;                                                             \
		});                                                                                \
		return *expected == wanted;                                                        \
	}                                                                                          \
	bool __tsan_atomic##bits##_compare_exchange_weak(volatile u##bits *memory,                 \
							 u##bits *expected, u##bits value,         \
							 int order, int failure)                   \
	{                                                                                          \
		return __tsan_atomic##bits##_compare_exchange_strong(memory, expected, value,      \
								     order, failure);              \
	}                                                                                          \
	u##bits __tsan_atomic##bits##_compare_exchange_val(                                        \
		volatile u##bits *memory, u##bits expected, u##bits value, int order, int failure) \
	{                                                                                          \
		__tsan_atomic##bits##_compare_exchange_strong(memory, &expected, value, order,     \
							      failure);                            \
		return expected;                                                                   \
	}
ATOMICS(8)
ATOMICS(32)
ATOMICS(64)

} // extern "C"
