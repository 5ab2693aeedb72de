/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Address spaces and tasks: who owns user memory, who is charged for locking
 * it, and copying through another address space.
 *
 * Two references to an address space exist, as in the kernel: a grab keeps the
 * object, a live reference also keeps its memory from being torn down.
 */
#ifndef SHIM_MM_H
#define SHIM_MM_H

#include "shim/base.h"

struct cred;
struct mm_struct;
struct task_struct;

SHIM_BEGIN

/**
 * shim_current_mm() - the caller's address space, borrowed
 *
 * Return: the address space, or NULL in a kthread.
 */
struct mm_struct *shim_current_mm(void);

/**
 * struct shim_caller - a process and its credentials, referred to
 * @mm: its address space, grabbed
 * @leader: its thread group leader
 * @cred: what the calling task may do
 */
struct shim_caller {
	struct mm_struct *mm;
	struct task_struct *leader;
	const struct cred *cred;
};

/**
 * shim_caller_get() - refer to the calling process
 * @caller: where to put it
 *
 * Context: a process; a kthread has no address space.
 */
void shim_caller_get(struct shim_caller *caller);

/**
 * shim_caller_put() - undo shim_caller_get()
 * @caller: what it returned
 */
void shim_caller_put(const struct shim_caller *caller);

/**
 * shim_caller_is() - whether @caller is the calling process with its credentials
 * @caller: what shim_caller_get() returned
 */
bool shim_caller_is(const struct shim_caller *caller);

#define SHIM_TASK_NAME 16

/**
 * struct shim_task_info - what a line of the log says of a task
 * @name: its name, ended by a zero
 * @pid: its process ID
 * @memlock: its RLIMIT_MEMLOCK in bytes, all ones if there is no limit
 */
struct shim_task_info {
	char name[SHIM_TASK_NAME];
	s32 pid;
	u64 memlock;
};

/**
 * shim_task_describe() - collect what a line of the log says of a task
 * @task: a task with a reference
 * @info: where to put it
 */
void shim_task_describe(struct task_struct *task, struct shim_task_info *info);

/**
 * shim_mm_get_live() - keep the memory of an address space
 * @mm: a grabbed address space
 *
 * Return: false if its last user is gone.
 */
bool shim_mm_get_live(struct mm_struct *mm);

/**
 * shim_mm_put_live() - undo shim_mm_get_live()
 * @mm: the address space
 *
 * Context: may sleep.
 */
void shim_mm_put_live(struct mm_struct *mm);

/**
 * shim_mm_account() - charge locked pages
 * @mm: a live address space
 * @task: whose RLIMIT_MEMLOCK binds
 * @npages: pages
 * @no_limit: charge past the limit
 *
 * Context: may sleep, takes the mmap lock.
 * Return: 0, -ENOMEM over the limit, -EINTR on a fatal signal.
 */
int shim_mm_account(struct mm_struct *mm, struct task_struct *task, u64 npages,
		    bool no_limit);

/**
 * shim_mm_unaccount() - undo shim_mm_account()
 * @mm: a live address space
 * @task: as it was charged
 * @npages: pages
 *
 * Context: may sleep, takes the mmap lock. Cannot fail.
 */
void shim_mm_unaccount(struct mm_struct *mm, struct task_struct *task,
		       u64 npages);

/**
 * shim_mm_locked() - how many pages are charged to an address space, by whomever
 * @mm: a grabbed address space
 *
 * Context: any.
 */
u64 shim_mm_locked(const struct mm_struct *mm);

/**
 * shim_mm_use() - let a kthread work in an address space
 * @mm: a live address space; the caller has none of its own
 */
void shim_mm_use(struct mm_struct *mm);

/**
 * shim_mm_unuse() - undo shim_mm_use()
 * @mm: the address space
 */
void shim_mm_unuse(struct mm_struct *mm);

SHIM_END

#endif
