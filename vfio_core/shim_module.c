// SPDX-License-Identifier: GPL-2.0
#include <linux/kmod.h>
#include <linux/panic.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "shim/module.h"
#include "shim/task.h"

void shim_module_load(const char *name)
{
	request_module("%s", name);
}

void shim_taint_user(void)
{
	add_taint(TAINT_USER, LOCKDEP_STILL_OK);
}

void shim_current_task(struct shim_task *task)
{
	get_task_comm(task->name, current);
	task->pid = task_pid_nr(current);
}
