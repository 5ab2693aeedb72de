// SPDX-License-Identifier: GPL-2.0
#include <linux/cgroup.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/cpuset.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/ioprio.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <uapi/linux/sched/types.h>

#include "compat/task.h"
#include "dma/shim/worker.h"

struct shim_worker {
	struct task_struct *task;
	struct mm_struct *mm;
	struct completion done;
	void (*run)(void *arg);
	void *arg;
	/* Taken from the caller; the thread applies them to itself. */
	const struct cred *cred;
	struct cgroup_subsys_state *io_group;
	nodemask_t mems;
	int ioprio;
	/* Those of the caller's node that the caller may run on. */
	struct cpumask cpus;
};

static void caller_cpus(struct cpumask *cpus)
{
	cpumask_and(cpus, current->cpus_ptr, cpumask_of_node(numa_node_id()));
}

static int worker_main(void *arg)
{
	struct shim_worker *worker = arg;
	struct mem_cgroup *group = get_mem_cgroup_from_mm(worker->mm);
	struct mem_cgroup *before = set_active_memcg(group);
	const struct cred *cred;

	/* A thread of the kernel that starts is given CPUs by the kernel from 6.14 on. */
	set_cpus_allowed_ptr(current, &worker->cpus);
	/* Needs rights that the caller's credentials may not have. */
	compat_set_ioprio(current, worker->ioprio);
	cred = override_creds(worker->cred);
	set_mems_allowed(worker->mems);
	kthread_associate_blkcg(worker->io_group);
	kthread_use_mm(worker->mm);
	worker->run(worker->arg);
	kthread_unuse_mm(worker->mm);
	kthread_associate_blkcg(NULL);
	revert_creds(cred);
	set_active_memcg(before);
	mem_cgroup_put(group);
	complete_all(&worker->done);
	return 0;
}

/* Puts a worker into the caller's cgroups and its policy. */
static int worker_join_caller(struct shim_worker *worker)
{
	struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = current->policy,
		.sched_nice = task_nice(current),
	};

	return cgroup_attach_task_all(current, worker->task) ?:
		       sched_setattr_nocheck(worker->task, &attr);
}

static void worker_free(struct shim_worker *worker)
{
	if (worker->io_group)
		css_put(worker->io_group);
	put_cred(worker->cred);
	kfree(worker);
}

struct shim_worker *shim_worker_start(struct mm_struct *mm,
				      void (*run)(void *arg), void *arg)
{
	struct shim_worker *worker =
		kmalloc(sizeof(*worker), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!worker)
		return NULL;
	worker->mm = mm;
	worker->run = run;
	worker->arg = arg;
	worker->cred = get_current_cred();
	worker->io_group = compat_io_group(current);
	worker->mems = cpuset_current_mems_allowed;
	worker->ioprio = get_current_ioprio();
	caller_cpus(&worker->cpus);
	init_completion(&worker->done);
	worker->task = kthread_create(worker_main, worker, "vfio-pin/%d",
				      current->tgid);
	ret = PTR_ERR_OR_ZERO(worker->task);
	if (ret)
		goto free;
	ret = worker_join_caller(worker);
	if (ret)
		goto stop;
	/* It may end before it is joined. */
	get_task_struct(worker->task);
	wake_up_process(worker->task);
	return worker;
stop:
	kthread_stop(worker->task);
free:
	worker_free(worker);
	return NULL;
}

bool shim_worker_wait(struct shim_worker *worker)
{
	return wait_for_completion_killable(&worker->done) == 0;
}

void shim_worker_join(struct shim_worker *worker)
{
	/* The thread itself must be gone before our code may be. */
	wait_for_completion(&worker->done);
	kthread_stop(worker->task);
	put_task_struct(worker->task);
	worker_free(worker);
}

u32 shim_caller_cpus(void)
{
	return cpumask_weight_and(current->cpus_ptr,
				  cpumask_of_node(numa_node_id()));
}

bool shim_caller_is_special(void)
{
	/*
	 * A kernel thread is in no autogroup: if it is idle, it runs only when nobody else
	 * wants to, while an idle caller has the whole share of its group.
	 */
	return compat_has_mempolicy(current) | compat_is_realtime(current) |
	       (current->policy == SCHED_IDLE) |
	       compat_has_hugetlb_group(current) |
	       ((current->flags & PF_MEMALLOC_NOIO) != 0);
}

bool shim_killed(void)
{
	return fatal_signal_pending(current);
}
