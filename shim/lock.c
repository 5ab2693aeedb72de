// SPDX-License-Identifier: GPL-2.0
#include <linux/kthread.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/jiffies.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "shim/lock.h"

static struct lock_class_key *key_of(struct shim_lock_class *lock_class)
{
	return (struct lock_class_key *)lock_class->storage;
}

static struct mutex *mutex_of(struct shim_mutex *mutex)
{
	static_assert(sizeof(struct mutex) <= sizeof(struct shim_mutex));
	return (struct mutex *)mutex->storage;
}

static struct rw_semaphore *rwsem_of(struct shim_rwsem *sem)
{
	static_assert(sizeof(struct rw_semaphore) <= sizeof(struct shim_rwsem));
	return (struct rw_semaphore *)sem->storage;
}

static wait_queue_head_t *waitq_of(struct shim_waitq *waitq)
{
	static_assert(sizeof(wait_queue_head_t) <= sizeof(struct shim_waitq));
	return (wait_queue_head_t *)waitq->storage;
}

void shim_mutex_init(struct shim_mutex *mutex,
		     struct shim_lock_class *lock_class)
{
	__mutex_init(mutex_of(mutex), lock_class->name, key_of(lock_class));
}

void shim_mutex_destroy(struct shim_mutex *mutex)
{
	mutex_destroy(mutex_of(mutex));
}

void shim_mutex_lock(struct shim_mutex *mutex)
{
	mutex_lock(mutex_of(mutex));
}

void shim_mutex_lock_second(struct shim_mutex *mutex)
{
	mutex_lock_nested(mutex_of(mutex), SINGLE_DEPTH_NESTING);
}

bool shim_mutex_trylock(struct shim_mutex *mutex)
{
	return mutex_trylock(mutex_of(mutex));
}

void shim_mutex_unlock(struct shim_mutex *mutex)
{
	mutex_unlock(mutex_of(mutex));
}

void shim_rwsem_init(struct shim_rwsem *sem, struct shim_lock_class *lock_class)
{
	__init_rwsem(rwsem_of(sem), lock_class->name, key_of(lock_class));
}

void shim_rwsem_read_lock(struct shim_rwsem *sem)
{
	down_read(rwsem_of(sem));
}

bool shim_rwsem_read_trylock(struct shim_rwsem *sem)
{
	return down_read_trylock(rwsem_of(sem));
}

void shim_rwsem_read_unlock(struct shim_rwsem *sem)
{
	up_read(rwsem_of(sem));
}

void shim_rwsem_write_lock(struct shim_rwsem *sem)
{
	down_write(rwsem_of(sem));
}

bool shim_rwsem_write_trylock(struct shim_rwsem *sem)
{
	return down_write_trylock(rwsem_of(sem));
}

void shim_rwsem_write_unlock(struct shim_rwsem *sem)
{
	up_write(rwsem_of(sem));
}

void shim_waitq_init(struct shim_waitq *waitq,
		     struct shim_lock_class *lock_class)
{
	__init_waitqueue_head(waitq_of(waitq), lock_class->name,
			      key_of(lock_class));
}

void shim_waitq_wake_all(struct shim_waitq *waitq)
{
	/* With its barrier: whoever begins to wait now sees what the caller has changed. */
	if (wq_has_sleeper(waitq_of(waitq)))
		wake_up_all(waitq_of(waitq));
}

int shim_waitq_wait_unlocked(struct shim_waitq *waitq, struct shim_mutex *mutex)
{
	DEFINE_WAIT(entry);
	bool stop;

	prepare_to_wait(waitq_of(waitq), &entry, TASK_KILLABLE);
	mutex_unlock(mutex_of(mutex));
	schedule();
	mutex_lock(mutex_of(mutex));
	finish_wait(waitq_of(waitq), &entry);

	stop = fatal_signal_pending(current) ||
	       ((current->flags & PF_KTHREAD) && kthread_should_stop());
	return stop ? -EINTR : 0;
}

bool shim_waitq_wait(struct shim_waitq *waitq, bool (*done)(const void *arg),
		     const void *arg, unsigned int seconds)
{
	return wait_event_timeout(*waitq_of(waitq), done(arg),
				  (long)seconds * HZ) != 0;
}

bool shim_waitq_wait_us(struct shim_waitq *waitq, bool (*done)(const void *arg),
			const void *arg, unsigned int microseconds)
{
	return wait_event_timeout(*waitq_of(waitq), done(arg),
				  usecs_to_jiffies(microseconds)) != 0;
}

int shim_waitq_wait_signal(struct shim_waitq *waitq,
			   bool (*done)(const void *arg), const void *arg,
			   u64 ms, bool interruptible)
{
	wait_queue_head_t *queue = waitq_of(waitq);
	long left = MAX_SCHEDULE_TIMEOUT;

	if (ms)
		left = nsecs_to_jiffies64(ms * NSEC_PER_MSEC) + 1;
	if (interruptible)
		left = wait_event_interruptible_timeout(*queue, done(arg),
							left);
	else
		left = wait_event_killable_timeout(*queue, done(arg), left);
	return left > 0 ? 1 : left;
}

void shim_cond_resched(void)
{
	cond_resched();
}
