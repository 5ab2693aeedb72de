/* SPDX-License-Identifier: GPL-2.0 */
/* The calling task, for messages. */
#ifndef SHIM_TASK_H
#define SHIM_TASK_H

#include "shim/base.h"

/**
 * struct shim_task - how a message names a task
 * @name: its command
 * @pid: its number
 */
struct shim_task {
	char name[16];
	int pid;
};

SHIM_BEGIN

/**
 * shim_current_task() - the caller
 * @task: where to put it
 */
void shim_current_task(struct shim_task *task);

SHIM_END

#endif
