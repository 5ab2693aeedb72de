/* SPDX-License-Identifier: GPL-2.0 */
/* Kernel threads that work for the calling process. */
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
 * that. No signal reaches it. See shim_caller_is_special() for what it lacks.
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

/**
 * shim_caller_is_special() - whether the caller has what a worker would lack
 *
 * Return: true if the caller has a memory policy of its own (set_mempolicy()), is
 * scheduled by a real-time policy or a deadline, charges hugetlb pages to a group
 * other than root, or must not wait for disks (PR_SET_IO_FLUSHER, for example).
 */
bool shim_caller_is_special(void);

/** shim_killed() - whether a fatal signal to the caller is pending */
bool shim_killed(void);

SHIM_END

#endif
