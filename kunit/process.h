/* SPDX-License-Identifier: GPL-2.0 */
/*
 * User memory for suites. Modules are loaded by a process, and suites begin in
 * it; but each test runs in a kthread, which borrows the address space here.
 */
#ifndef KUNIT_PROCESS_H
#define KUNIT_PROCESS_H

#include <kunit/test.h>
#include <linux/kthread.h>
#include <linux/sched/mm.h>

/* Of the process that loads the module, while its suites run. */
extern struct mm_struct *process_mm;

static inline int process_suite_init(struct kunit_suite *suite)
{
	process_mm = current->mm;
	if (!process_mm)
		return -ESRCH;
	mmget(process_mm);
	return 0;
}

static inline void process_suite_exit(struct kunit_suite *suite)
{
	mmput(process_mm);
	process_mm = NULL;
}

static inline void process_enter(void)
{
	/* A test that is aborted takes this reference with its thread. */
	mmget(process_mm);
	kthread_use_mm(process_mm);
}

/* When a test was aborted this runs in the process itself. */
static inline void process_leave(void)
{
	if (!(current->flags & PF_KTHREAD))
		return;
	kthread_unuse_mm(process_mm);
	mmput(process_mm);
}

#endif
