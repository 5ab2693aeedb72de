/* SPDX-License-Identifier: GPL-2.0 */
/* Attributes of a task that only some configurations of the kernel have. */
#ifndef COMPAT_TASK_H
#define COMPAT_TASK_H

#include <linux/cgroup.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/sched/rt.h>
#include <linux/version.h>

/* Whether a task is scheduled as a real-time task. */
static inline bool compat_is_realtime(struct task_struct *task)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
	return task_is_realtime(task);
#else
	return rt_or_dl_task_policy(task);
#endif
}

/* Returns the cgroup of a task's I/O, with a reference that the caller puts, or NULL. */
static inline struct cgroup_subsys_state *
compat_io_group(struct task_struct *task)
{
#ifdef CONFIG_BLK_CGROUP
	return task_get_css(task, io_cgrp_id);
#else
	return NULL;
#endif
}

/* Gives a task an I/O priority, which it has where there are block devices. */
static inline void compat_set_ioprio(struct task_struct *task, int ioprio)
{
#ifdef CONFIG_BLOCK
	set_task_ioprio(task, ioprio);
#endif
}

/* Whether a task has a memory policy of its own, from set_mempolicy(). */
static inline bool compat_has_mempolicy(struct task_struct *task)
{
#ifdef CONFIG_NUMA
	return task->mempolicy;
#else
	return false;
#endif
}

/* Whether a task's new hugetlb pages are charged to another cgroup than the root. */
static inline bool compat_has_hugetlb_group(struct task_struct *task)
{
	bool has = false;

#ifdef CONFIG_CGROUP_HUGETLB
	rcu_read_lock();
	has = task_css(task, hugetlb_cgrp_id)->parent;
	rcu_read_unlock();
#endif
	return has;
}

#endif
