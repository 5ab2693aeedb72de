/* SPDX-License-Identifier: GPL-2.0 */
/* Threads of the kernel's that work for the calling process. */
#ifndef SHIM_WORKER_H
#define SHIM_WORKER_H

#include "shim/base.h"

struct mm_struct;
struct shim_worker;

SHIM_BEGIN

/**
 * shim_worker_start() - run a function in a thread, in an address space
 * @mm: a live address space, which stays live until the worker is joined
 * @run: the function
 * @arg: its argument
 *
 * The worker has the caller's credentials, scheduling policy, nice value, I/O
 * priority and I/O control group, and the memory nodes that the caller's cpuset
 * allows. Of the CPUs that the caller may run on, it runs on those of the node
 * where the caller is now. Its memory is charged to the control group of the
 * address space, its time to the caller's groups of cgroup v1; v2 has no way for
 * that. No signal reaches it. shim_worker_cannot_take() tells what the worker
 * would lack.
 *
 * Context: a process; may sleep.
 * Return: the worker, or NULL if there is no memory or no thread.
 */
struct shim_worker *shim_worker_start(struct mm_struct *mm,
				      void (*run)(void *arg), void *arg);

/**
 * shim_worker_wait() - wait for a worker's function to return
 * @worker: the worker
 *
 * Context: may sleep.
 * Return: false if a fatal signal to the caller ended the wait before.
 */
bool shim_worker_wait(struct shim_worker *worker);

/**
 * shim_worker_join() - wait for a worker's function to return, and free it
 * @worker: the worker
 *
 * Context: may sleep; nothing ends the wait.
 */
void shim_worker_join(struct shim_worker *worker);

/** shim_caller_cpus() - how many CPUs a worker of the caller may run on */
u32 shim_caller_cpus(void);

/* The caller has a memory policy of its own, by set_mempolicy(). */
#define SHIM_CALLER_MEMPOLICY 1
/* The caller is scheduled by a real-time policy or a deadline. */
#define SHIM_CALLER_REALTIME 2
/* The caller's new hugetlb pages are charged to a group other than root. */
#define SHIM_CALLER_HUGETLB_GROUP 4
/* Memory for the caller must not wait for disks: PR_SET_IO_FLUSHER, say. */
#define SHIM_CALLER_NOIO 8

/**
 * shim_worker_cannot_take() - what the caller has and a worker would not
 *
 * Context: a process or a kthread.
 * Return: SHIM_CALLER_* bits.
 */
u32 shim_worker_cannot_take(void);

/** shim_killed() - whether a fatal signal to the caller is pending */
bool shim_killed(void);

SHIM_END

#endif
