/* SPDX-License-Identifier: GPL-2.0 */
/* The calling task, for messages. */
#ifndef SHIM_TASK_H
#define SHIM_TASK_H

#include "shim/base.h"

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

SHIM_END

#endif
