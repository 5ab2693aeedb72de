// SPDX-License-Identifier: GPL-2.0
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/string.h>

#include "vfio_core/shim/task.h"

void shim_current_task(struct shim_task *task)
{
	get_task_comm(task->name, current);
	task->pid = task_pid_nr(current);
}

struct mm_struct *shim_task_mm(void)
{
	return current->mm;
}

void shim_task_grab_mm(struct mm_struct *mm)
{
	mmgrab(mm);
}

void shim_task_drop_mm(struct mm_struct *mm)
{
	mmdrop(mm);
}
