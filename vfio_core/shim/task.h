/* SPDX-License-Identifier: GPL-2.0 */
/* The calling task: its address space, and what messages say of it. */
#ifndef SHIM_TASK_H
#define SHIM_TASK_H

#include "shim/base.h"

struct mm_struct;

/**
 * struct shim_task - what a message says of a task
 * @name: its command name
 * @pid: its process ID
 */
struct shim_task {
	char name[16];
	int pid;
};

SHIM_BEGIN

/**
 * shim_current_task() - describe the calling task
 * @task: where to put the description
 */
void shim_current_task(struct shim_task *task);

/**
 * shim_task_mm() - the calling task's address space, borrowed
 *
 * Return: the address space, or NULL in a kthread.
 */
struct mm_struct *shim_task_mm(void);

/**
 * shim_task_grab_mm() - refer to an address space
 * @mm: that of the calling task; the reference does not keep its memory
 */
void shim_task_grab_mm(struct mm_struct *mm);

/**
 * shim_task_drop_mm() - undo shim_task_grab_mm()
 * @mm: the address space
 *
 * Context: may sleep.
 */
void shim_task_drop_mm(struct mm_struct *mm);

SHIM_END

#endif
