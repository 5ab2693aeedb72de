// SPDX-License-Identifier: GPL-2.0
#include "memory.hpp"

#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include "dma/shim/mm.h"
#include "dma/shim/worker.h"
#include "shim/cred.h"

namespace mock {

namespace {

thread_local Process *current_process;
thread_local mm_struct *borrowed_mm;

struct Window {
	u64 address;
	size_t size;
	bool writable;
};
thread_local std::vector<Window> windows;

} // namespace

mm_struct *mm_in_use()
{
	return borrowed_mm ? borrowed_mm : current_process ? &current_process->mm : nullptr;
}

Process::~Process()
{
	exit();
	if (mm.grabs || mm.users)
		violation("address space still has %lld grabs, %lld users", mm.grabs.load(),
			  mm.users.load());
	if (task.refs)
		violation("task still has %lld references", task.refs.load());
}

void Process::exit()
{
	if (std::exchange(alive_, false)) {
		const std::lock_guard guard(mm.mutex);

		if (--mm.users == 0)
			mm.segments.clear();
	}
}

As::As(Process *process) : before_(std::exchange(current_process, process))
{
}

As::~As()
{
	current_process = before_;
}

Process *current()
{
	return current_process;
}

UserWindow::UserWindow(const void *memory, size_t size, bool writable)
	: address_(reinterpret_cast<u64>(memory))
{
	windows.push_back({address_, size, writable});
}

UserWindow::~UserWindow()
{
	std::erase_if(windows, [&](const Window &window) { return window.address == address_; });
}

bool UserWindow::allows(u64 address, size_t size, bool write)
{
	for (const Window &window : windows)
		if (address >= window.address && size <= window.size &&
		    address - window.address <= window.size - size)
			return window.writable || !write;
	return false;
}

constexpr u64 kPages = 0x1000;

::page *page_of(u64 pfn)
{
	return reinterpret_cast<::page *>(kPages + pfn * 64);
}

u64 pfn_of(const ::page *page)
{
	return (reinterpret_cast<u64>(page) - kPages) / 64;
}

} // namespace mock

using namespace mock;

void mm_struct::unmap(u64 uva, u64 npages)
{
	const u64 end = uva + npages * kPage;
	const std::lock_guard guard(mutex);
	auto at = segments.lower_bound(uva);

	if (at != segments.begin()) {
		auto before = std::prev(at);
		const u64 offset = (uva - before->first) / kPage;

		if (offset < before->second.npages) {
			Segment rest = before->second;

			before->second.npages = offset;
			rest.npages -= offset;
			rest.pfn += offset * rest.stride;
			at = segments.emplace(uva, rest).first;
		}
	}
	while (at != segments.end() && at->first < end) {
		Segment rest = at->second;
		const u64 gone = (end - at->first) / kPage;

		at = segments.erase(at);
		if (gone < rest.npages) {
			rest.npages -= gone;
			rest.pfn += gone * rest.stride;
			segments.emplace(end, rest);
		}
	}
}

void mm_struct::map(u64 uva, u64 npages, u64 pfn, bool writable, Kind kind, u64 stride)
{
	unmap(uva, npages);

	const std::lock_guard guard(mutex);
	segments[uva] = {npages, pfn, stride, writable, kind};
}

bool mm_struct::find(u64 uva, Page &page) const
{
	const std::lock_guard guard(mutex);
	auto at = segments.upper_bound(uva);

	if (at == segments.begin())
		return false;
	--at;
	const u64 offset = (uva - at->first) / kPage;
	if (offset >= at->second.npages)
		return false;
	page = {at->second.pfn + offset * at->second.stride, at->second.writable, at->second.kind};
	return true;
}

mm_struct *shim_current_mm(void)
{
	return mm_in_use();
}

// Credentials differ in one right here.
struct cred {};
static const cred kMayLock, kMayNotLock;

static const cred *current_cred()
{
	return current_process->task.ipc_lock ? &kMayLock : &kMayNotLock;
}

void shim_caller_get(shim_caller *caller)
{
	if (!current_process)
		fatal("a kthread has no process to refer to");
	*caller = {&current_process->mm, &current_process->task, current_cred()};
	caller->mm->grabs++;
	caller->leader->refs++;
}

void shim_caller_put(const shim_caller *caller)
{
	if (caller->mm->grabs-- <= 0)
		violation("address space dropped more often than grabbed");
	if (caller->leader->refs-- <= 0)
		violation("task put more often than got");
}

bool shim_caller_is(const shim_caller *caller)
{
	return current_process && caller->mm == &current_process->mm &&
	       caller->leader == &current_process->task && caller->cred == current_cred();
}

u64 shim_mm_locked(const mm_struct *mm)
{
	return mm->locked_vm;
}

void shim_task_describe(task_struct *task, shim_task_info *info)
{
	const u64 limit = task->rlimit_pages;

	*info = {"process", 77, limit == ~u64{0} ? limit : limit * kPage};
}

bool shim_mm_get_live(mm_struct *mm)
{
	const std::lock_guard guard(mm->mutex);

	if (mm->grabs <= 0)
		violation("address space used without a grab");
	if (mm->users == 0)
		return false;
	mm->users++;
	return true;
}

void shim_mm_put_live(mm_struct *mm)
{
	const std::lock_guard guard(mm->mutex);

	if (mm->users <= 0)
		violation("address space put more often than got");
	else if (--mm->users == 0)
		mm->segments.clear();
}

int shim_mm_account(mm_struct *mm, task_struct *task, u64 npages, bool no_limit)
{
	const PseudoLock mmap_lock("mmap_lock");
	const std::lock_guard guard(mm->mutex);

	if (mm->users <= 0)
		violation("charge to a dead address space");
	if (npages == 0 || npages > ~u64{0} / 2)
		violation("charge of %lld pages", static_cast<s64>(npages));
	if (plan.hit(Fail::kAccount) || task->fatal_signal)
		return -EINTR;
	if (!no_limit && mm->locked_vm + npages > task->rlimit_pages)
		return -ENOMEM;
	mm->locked_vm += npages;
	return 0;
}

void shim_mm_unaccount(mm_struct *mm, task_struct *, u64 npages)
{
	const PseudoLock mmap_lock("mmap_lock");
	const std::lock_guard guard(mm->mutex);

	if (mm->users <= 0)
		violation("uncharge of a dead address space");
	if (npages > mm->locked_vm)
		violation("uncharge of %lld pages of %lld", static_cast<s64>(npages),
			  static_cast<s64>(mm->locked_vm));
	mm->locked_vm -= npages;
}

void shim_mm_use(mm_struct *mm)
{
	if (current_process || borrowed_mm)
		violation("shim_mm_use() by a task that has an address space");
	borrowed_mm = mm;
}

void shim_mm_unuse(mm_struct *mm)
{
	if (borrowed_mm != mm)
		violation("shim_mm_unuse() of another address space");
	borrowed_mm = nullptr;
}

struct shim_worker {
	std::thread thread;
};

shim_worker *shim_worker_start(mm_struct *mm, void (*run)(void *arg), void *arg)
{
	if (plan.hit(Fail::kWorker))
		return nullptr;
	return new shim_worker{std::thread([=] {
		shim_mm_use(mm);
		run(arg);
		shim_mm_unuse(mm);
	})};
}

bool shim_worker_wait(shim_worker *)
{
	return !shim_killed();
}

void shim_worker_join(shim_worker *worker)
{
	worker->thread.join();
	delete worker;
}

u32 shim_caller_cpus(void)
{
	return 4;
}

bool shim_caller_is_special(void)
{
	return current_process && current_process->task.special;
}

bool shim_killed(void)
{
	return current_process && current_process->task.fatal_signal;
}

bool shim_capable_ipc_lock(void)
{
	return current_process && current_process->task.ipc_lock;
}

bool shim_capable_sys_admin(void)
{
	return current_process && current_process->task.sys_admin;
}

bool shim_capable_sys_rawio(void)
{
	return current_process && current_process->task.sys_rawio;
}
