// SPDX-License-Identifier: GPL-2.0
#include "report.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

#include "shim/alloc.h"
#include "shim/log.h"
#include "shim/seq.h"
#include "shim/slab.h"

struct seq_file {
	std::string text;
};

namespace mock {

namespace {

std::mutex report_mutex;
std::vector<std::string> violations;
std::vector<std::string> warnings;
std::vector<std::string> log_lines;

std::string format_string(const char *format, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	return text;
}

void log_line(const char *format, va_list args)
{
	const std::lock_guard guard(report_mutex);

	// What a caller of bad ioctls could say without end.
	if (log_lines.size() < 1000)
		log_lines.push_back(format_string(format, args));
}

std::vector<std::string> take(std::vector<std::string> &from)
{
	const std::lock_guard guard(report_mutex);

	return std::exchange(from, {});
}

thread_local int atomic_sections;

std::atomic<s64> blocks;
std::atomic<s64> bytes;
std::atomic<u64> taken;
std::atomic<u64> taken_certainly;

// Before each block. The size is the one that was asked for: what the C library has room for
// may be more, and not the same each time.
struct alignas(16) BlockHead {
	size_t size;
};

// block has room for a head and size bytes. Returns where these begin.
void *count(void *block, size_t size)
{
	static_cast<BlockHead *>(block)->size = size;
	taken.fetch_add(1, std::memory_order_relaxed);
	blocks.fetch_add(1, std::memory_order_relaxed);
	bytes.fetch_add(static_cast<s64>(size), std::memory_order_relaxed);
	return static_cast<BlockHead *>(block) + 1;
}

// Returns the block that count() was given, nullptr for nullptr.
void *uncount(void *memory)
{
	if (!memory)
		return nullptr;

	BlockHead *block = static_cast<BlockHead *>(memory) - 1;

	if (holds_lock_in(memory, block->size))
		violation("memory freed with a lock in it that is held");
	blocks.fetch_sub(1, std::memory_order_relaxed);
	bytes.fetch_sub(static_cast<s64>(block->size), std::memory_order_relaxed);
	return block;
}

constexpr size_t kLargestAlloc = size_t{4} << 20;
constexpr size_t kLargestVAlloc = size_t{1} << 31;

} // namespace

FailPlan plan;

void violation(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	const std::string text = format_string(format, args);
	va_end(args);

	const std::lock_guard guard(report_mutex);
	// The first say enough.
	if (violations.size() < 20)
		violations.push_back(text);
}

void fatal(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "mock: %s\n", format_string(format, args).c_str());
	va_end(args);
	abort();
}

std::vector<std::string> take_violations()
{
	return take(violations);
}

std::vector<std::string> take_warnings()
{
	return take(warnings);
}

std::vector<std::string> take_log()
{
	return take(log_lines);
}

const char *name_of(Fail kind)
{
	static const char *const names[] = {
		"alloc",      "valloc",	     "pin",	     "follow",	       "account",
		"copy_in",    "copy_out",    "domain_alloc", "domain_nesting", "domain_attach",
		"domain_map", "reserve_msi", "reserved",     "capable",	       "worker",
		"file",	      "fd",	     "claim_dma",    "node",	       "index",
		"device",     "driver",	     "user_pages",   "module",	       "group",
		"none",
	};
	static_assert(sizeof(names) / sizeof(names[0]) == static_cast<size_t>(Fail::kCount) + 1);

	return names[static_cast<int>(kind)];
}

void FailPlan::reset()
{
	for (auto &left : left_)
		left = 0;
	left_of_all_ = 0;
	fired_ = false;
	what_ = Fail::kCount;
}

void FailPlan::fail(Fail kind, u64 nth)
{
	left_[static_cast<int>(kind)] = nth;
}

void FailPlan::fail_nth(u64 nth)
{
	left_of_all_ = nth;
}

bool FailPlan::hit(Fail kind)
{
	const auto count_down = [](std::atomic<u64> &left) {
		u64 n = left.load(std::memory_order_relaxed);

		while (n && !left.compare_exchange_weak(n, n - 1, std::memory_order_relaxed))
			;
		return n == 1;
	};
	const bool one = count_down(left_[static_cast<int>(kind)]);
	const bool any = count_down(left_of_all_);

	if (one || any) {
		fired_ = true;
		what_ = kind;
	}
	return one || any;
}

seq_file *new_seq()
{
	return new seq_file;
}

std::string take_seq(seq_file *seq)
{
	const std::string text = seq->text;

	delete seq;
	return text;
}

size_t size_of(const void *memory)
{
	return (static_cast<const BlockHead *>(memory) - 1)->size;
}

s64 live_blocks()
{
	return blocks;
}

s64 live_bytes()
{
	return bytes;
}

AtomicSection::AtomicSection()
{
	atomic_sections++;
}

AtomicSection::~AtomicSection()
{
	atomic_sections--;
}

void note_sleep(const char *shim)
{
	if (atomic_sections)
		violation("%s in an atomic section", shim);
}

u64 blocks_taken()
{
	return taken;
}

u64 blocks_taken_certainly()
{
	return taken_certainly;
}

} // namespace mock

using namespace mock;

// The two heaps are the two of the standard library that a sanitizer can tell
// apart.
void *shim_alloc(size_t size)
{
	note_sleep("shim_alloc");
	if (size == 0)
		violation("shim_alloc(0)");
	if (plan.hit(Fail::kAlloc) || size > kLargestAlloc)
		return nullptr;

	void *memory = count(::operator new(sizeof(BlockHead) + size), size);
	__builtin_memset(memory, 0, size);
	return memory;
}

// Not cleared in the kernel: here it is full of what nobody expects.
void *shim_alloc_object(size_t size)
{
	void *memory = shim_alloc(size);

	if (memory)
		__builtin_memset(memory, 0xa5, size);
	return memory;
}

void *shim_alloc_object_certainly(size_t size)
{
	note_sleep("shim_alloc_object_certainly");
	if (size == 0 || size >= 4096)
		violation("shim_alloc_object_certainly(%zu)", size);
	taken_certainly.fetch_add(1, std::memory_order_relaxed);

	void *memory = count(::operator new(sizeof(BlockHead) + size), size);
	__builtin_memset(memory, 0xa5, size);
	return memory;
}

void *shim_alloc_page(void)
{
	return shim_alloc_object(4096);
}

void shim_free_page(void *page)
{
	shim_free(page);
}

void shim_free(void *memory)
{
	::operator delete(uncount(memory));
}

bool shim_slab_create(shim_slab *, const char *)
{
	note_sleep("shim_slab_create");
	return !plan.hit(Fail::kAlloc);
}

void shim_slab_remove(shim_slab *)
{
}

void *shim_slab_alloc(shim_slab *slab)
{
	return shim_alloc_object(slab->size);
}

void shim_slab_free(shim_slab *, void *object)
{
	shim_free(object);
}

void shim_slab_free_many(shim_slab *, size_t count, void **objects)
{
	for (size_t i = 0; i < count; i++)
		shim_free(objects[i]);
}

void *shim_valloc(size_t size)
{
	note_sleep("shim_valloc");
	if (size == 0)
		violation("shim_valloc(0)");
	if (plan.hit(Fail::kVAlloc) || size > kLargestVAlloc)
		return nullptr;

	void *block = calloc(1, sizeof(BlockHead) + size);

	return block ? count(block, size) : nullptr;
}

void shim_vfree(void *memory)
{
	free(uncount(memory));
}

void shim_log_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line(format, args);
	va_end(args);
}

void shim_seq_printf(seq_file *seq, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	seq->text += format_string(format, args);
	va_end(args);
}

void shim_warn(const char *what)
{
	const std::lock_guard guard(report_mutex);

	warnings.push_back(what);
}
