/* SPDX-License-Identifier: GPL-2.0 */
/* Threads of the kernel's that work for the calling process. */
#ifndef SHIM_WORKER_H
#define SHIM_WORKER_H

#include "base.h"

struct mm_struct;
struct shim_worker;

SHIM_BEGIN

/**
 * shim_worker_start() - run a function in a thread, in an address space
 * @mm: a live address space, which stays live until the worker is joined
 * @run: the function
 * @arg: its argument
 *
 * Its memory is charged to the control group of the address space, its time to
 * the caller's groups of cgroup v1; with v2 there is no way to. No signal
 * reaches it.
 *
 * Context: may sleep.
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

/** shim_online_cpus() - how many CPUs are online */
u32 shim_online_cpus(void);

/** shim_killed() - whether a fatal signal to the caller is pending */
bool shim_killed(void);

SHIM_END

#endif
