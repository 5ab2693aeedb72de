// SPDX-License-Identifier: GPL-2.0
#include <linux/cgroup.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "shim/worker.h"

struct shim_worker {
	struct task_struct *task;
	struct mm_struct *mm;
	struct completion done;
	void (*run)(void *arg);
	void *arg;
};

static int worker_main(void *arg)
{
	struct shim_worker *worker = arg;
	struct mem_cgroup *group = get_mem_cgroup_from_mm(worker->mm);
	struct mem_cgroup *before = set_active_memcg(group);

	kthread_use_mm(worker->mm);
	worker->run(worker->arg);
	kthread_unuse_mm(worker->mm);
	set_active_memcg(before);
	mem_cgroup_put(group);
	complete_all(&worker->done);
	return 0;
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
	init_completion(&worker->done);
	worker->task = kthread_create(worker_main, worker, "vfio-pin/%d",
				      current->tgid);
	ret = PTR_ERR_OR_ZERO(worker->task);
	if (ret)
		goto free;
	ret = cgroup_attach_task_all(current, worker->task);
	if (ret)
		goto stop;
	/* It may end before it is joined. */
	get_task_struct(worker->task);
	wake_up_process(worker->task);
	return worker;
stop:
	kthread_stop(worker->task);
free:
	kfree(worker);
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
	kfree(worker);
}

u32 shim_online_cpus(void)
{
	return num_online_cpus();
}

bool shim_killed(void)
{
	return fatal_signal_pending(current);
}
