// SPDX-License-Identifier: GPL-2.0
//
// Fake physical memory, address spaces and processes.
//
// Physical pages are numbers with a count of pins and, once touched, 4 KiB of
// contents. An address space is a set of segments: user addresses that stand
// for pages in steps. Pages from kDevicePfn on have no struct page.
//
// What the core copies to and from is either a segment, or a UserWindow: real
// memory of the test, which serves for the structures of ioctls.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "report.hpp"

struct page;

namespace mock {

constexpr u64 kPage = 4096;
constexpr u64 kDevicePfn = u64{1} << 40;

enum class Kind {
	kOrdinary,
	kReserved, // pinnable, but the kernel's own
	kBar,	   // a device's memory, without struct pages
	kRamMap,   // memory mapped without struct pages that does have them
};

// Physical memory, of all address spaces.
namespace phys {

void pin(u64 pfn);
void unpin(u64 pfn, bool dirty);
// What shim_page_run() is to say of a page.
void set_marks(u64 pfn, u64 marks);
u64 marks(u64 pfn);
// How often a page is pinned; all of them together.
u64 pins(u64 pfn);
u64 all_pins();
// Every page that is pinned, and how often.
std::map<u64, u64> pinned();
// Dirty marks left by unpinning; forgets them.
bool take_dirty(u64 pfn);
// The contents of a page.
u8 *contents(u64 pfn);
// Forgets all.
void reset();

// Called by the IOMMU's mock for the PTEs that it sets and clears.
void mapped(u64 pfn);
void unmapped(u64 pfn);

} // namespace phys

struct Segment {
	u64 npages;
	u64 pfn;
	u64 stride; // from one page's pfn to the next's: 1 is contiguous
	bool writable;
	Kind kind;
};

struct Page {
	u64 pfn;
	bool writable;
	Kind kind;
};

} // namespace mock

struct mm_struct {
	// User memory. Replaces what is there.
	void map(u64 uva, u64 npages, u64 pfn, bool writable = true,
		 mock::Kind kind = mock::Kind::kOrdinary, u64 stride = 1);
	void unmap(u64 uva, u64 npages);
	// The page at an address; false if there is none.
	bool find(u64 uva, mock::Page &page) const;

	mutable std::mutex mutex;
	std::map<u64, mock::Segment> segments;
	u64 locked_vm = 0;
	std::atomic<s64> grabs = 0;
	std::atomic<s64> users = 1;
	// Pinning fails with ENOMEM.
	std::atomic<bool> out_of_memory = false;
	// The most pages that one call pins.
	u64 pin_batch = ~u64{0};
	// From this address on shim_pin_own() fails, as behind a protection key.
	u64 closed_from = ~u64{0};
	// How often memory without struct pages was looked up.
	std::atomic<u64> follows = 0;
};

struct task_struct {
	std::atomic<s64> refs = 0;
	std::atomic<u64> rlimit_pages = ~u64{0};
	std::atomic<bool> ipc_lock = false;
	std::atomic<bool> sys_rawio = false;
	std::atomic<bool> sys_admin = false;
	std::atomic<bool> fatal_signal = false;
	std::atomic<bool> special = false;
};

namespace mock {

// A process: checks at its end that nobody refers to it any more.
class Process {
public:
	Process() = default;
	~Process();

	// Its memory goes, as when it is killed.
	void exit();

	mm_struct mm;
	task_struct task;

private:
	bool alive_ = true;
};

// Lets the thread be a process, or a kthread, for a scope.
class As {
public:
	explicit As(Process *process);
	~As();

	As(const As &) = delete;

private:
	Process *const before_;
};

Process *current();
// The address space that the thread works in, or nullptr.
mm_struct *mm_in_use();

// Real memory that is the calling thread's user memory for a scope.
class UserWindow {
public:
	UserWindow(const void *memory, size_t size, bool writable = true);
	~UserWindow();

	UserWindow(const UserWindow &) = delete;

	static bool allows(u64 address, size_t size, bool write);

private:
	const u64 address_;
};

// The nth copy to userspace from now on first runs body() in another thread and
// waits for it: so a test decides what others do to the core at that moment.
void before_copy_out(u64 nth, std::function<void()> body);

// If set, is run before user memory is pinned, each time, by the thread that pins.
extern std::function<void()> on_pin;

// A struct page, as drivers get it.
::page *page_of(u64 pfn);
u64 pfn_of(const ::page *page);

} // namespace mock
