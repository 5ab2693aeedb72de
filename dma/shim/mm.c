// SPDX-License-Identifier: GPL-2.0
#include <linux/cred.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "dma/shim/mm.h"

struct mm_struct *shim_current_mm(void)
{
	return current->mm;
}

void shim_caller_get(struct shim_caller *caller)
{
	caller->mm = current->mm;
	mmgrab(caller->mm);
	caller->leader = get_task_struct(current->group_leader);
	caller->cred = get_current_cred();
}

void shim_caller_put(const struct shim_caller *caller)
{
	put_cred(caller->cred);
	put_task_struct(caller->leader);
	mmdrop(caller->mm);
}

bool shim_caller_is(const struct shim_caller *caller)
{
	return caller->mm == current->mm &&
	       caller->leader == current->group_leader &&
	       caller->cred == current_cred();
}

void shim_task_describe(struct task_struct *task, struct shim_task_info *info)
{
	static_assert(SHIM_TASK_NAME == TASK_COMM_LEN);
	get_task_comm(info->name, task);
	info->pid = task_tgid_nr(task);
	info->memlock = task_rlimit(task, RLIMIT_MEMLOCK);
}

bool shim_mm_get_live(struct mm_struct *mm)
{
	return mmget_not_zero(mm);
}

void shim_mm_put_live(struct mm_struct *mm)
{
	mmput(mm);
}

int shim_mm_account(struct mm_struct *mm, struct task_struct *task, u64 npages,
		    bool no_limit)
{
	int ret = mmap_write_lock_killable(mm);

	if (ret)
		return ret;
	ret = __account_locked_vm(mm, npages, true, task, no_limit);
	mmap_write_unlock(mm);
	return ret;
}

void shim_mm_unaccount(struct mm_struct *mm, struct task_struct *task,
		       u64 npages)
{
	mmap_write_lock(mm);
	__account_locked_vm(mm, npages, false, task, true);
	mmap_write_unlock(mm);
}

u64 shim_mm_locked(const struct mm_struct *mm)
{
	return READ_ONCE(mm->locked_vm);
}

void shim_mm_use(struct mm_struct *mm)
{
	kthread_use_mm(mm);
}

void shim_mm_unuse(struct mm_struct *mm)
{
	kthread_unuse_mm(mm);
}
