// SPDX-License-Identifier: GPL-2.0
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "vfio_core/shim/task.h"

void shim_current_task(struct shim_task *task)
{
	get_task_comm(task->name, current);
	task->pid = task_pid_nr(current);
}
