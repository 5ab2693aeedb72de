/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sleeping locks, and waiting. The core provides the storage of each lock, whose
 * size is in shim-sizes.h, and its lock class, by which lockdep tells the locks
 * apart. Functions that lock or wait may sleep, but for those that only try.
 */
#ifndef SHIM_LOCK_H
#define SHIM_LOCK_H

#include "base.h"

/** struct shim_lock_class - storage of one lockdep class, static */
struct shim_lock_class {
	const char *name;
	u64 storage[SHIM_LOCK_CLASS_WORDS];
};

/** struct shim_mutex - storage of a mutex */
struct shim_mutex {
	u64 storage[SHIM_MUTEX_WORDS];
};

/** struct shim_rwsem - storage of a reader-writer semaphore */
struct shim_rwsem {
	u64 storage[SHIM_RWSEM_WORDS];
};

/** struct shim_waitq - storage of a wait queue head */
struct shim_waitq {
	u64 storage[SHIM_WAITQ_WORDS];
};

SHIM_BEGIN

/**
 * shim_mutex_init() - make a mutex, unlocked
 * @mutex: storage
 * @lock_class: its lock class
 */
void shim_mutex_init(struct shim_mutex *mutex,
		     struct shim_lock_class *lock_class);

/**
 * shim_mutex_destroy() - end the use of a mutex, which is unlocked
 * @mutex: the mutex
 */
void shim_mutex_destroy(struct shim_mutex *mutex);

/**
 * shim_mutex_lock() - take a mutex
 * @mutex: the mutex
 */
void shim_mutex_lock(struct shim_mutex *mutex);

/**
 * shim_mutex_lock_second() - take a mutex while holding another of its lock class
 * @mutex: the mutex
 *
 * All who take two of the class take them in one order, which lockdep cannot check.
 */
void shim_mutex_lock_second(struct shim_mutex *mutex);

/**
 * shim_mutex_trylock() - take a mutex, if that needs no waiting
 * @mutex: the mutex
 *
 * Return: whether it is taken.
 */
bool shim_mutex_trylock(struct shim_mutex *mutex);

/**
 * shim_mutex_unlock() - release a mutex that the caller holds
 * @mutex: the mutex
 */
void shim_mutex_unlock(struct shim_mutex *mutex);

/**
 * shim_rwsem_init() - make a reader-writer semaphore, unlocked
 * @sem: storage
 * @lock_class: its lock class
 */
void shim_rwsem_init(struct shim_rwsem *sem,
		     struct shim_lock_class *lock_class);

/**
 * shim_rwsem_read_lock() - take a semaphore shared
 * @sem: the semaphore
 */
void shim_rwsem_read_lock(struct shim_rwsem *sem);

/**
 * shim_rwsem_read_trylock() - take a semaphore shared, if that needs no waiting
 * @sem: the semaphore
 *
 * Context: any but interrupts.
 * Return: whether it is taken.
 */
bool shim_rwsem_read_trylock(struct shim_rwsem *sem);

/**
 * shim_rwsem_read_unlock() - release a semaphore that is held shared
 * @sem: the semaphore
 *
 * Context: any but interrupts.
 */
void shim_rwsem_read_unlock(struct shim_rwsem *sem);

/**
 * shim_rwsem_write_lock() - take a semaphore exclusively
 * @sem: the semaphore
 */
void shim_rwsem_write_lock(struct shim_rwsem *sem);

/**
 * shim_rwsem_write_trylock() - take a semaphore exclusively, if that needs no waiting
 * @sem: the semaphore
 *
 * Context: any but interrupts.
 * Return: whether it is taken.
 */
bool shim_rwsem_write_trylock(struct shim_rwsem *sem);

/**
 * shim_rwsem_write_unlock() - release a semaphore that is held exclusively
 * @sem: the semaphore
 *
 * Context: any but interrupts.
 */
void shim_rwsem_write_unlock(struct shim_rwsem *sem);

/**
 * shim_waitq_init() - make a wait queue
 * @waitq: storage
 * @lock_class: the lock class of its inner lock
 */
void shim_waitq_init(struct shim_waitq *waitq,
		     struct shim_lock_class *lock_class);

/**
 * shim_waitq_wake_all() - wake all threads that wait
 * @waitq: the queue
 */
void shim_waitq_wake_all(struct shim_waitq *waitq);

/**
 * shim_waitq_wait_unlocked() - release a mutex, sleep until woken, take it again
 * @waitq: the queue
 * @mutex: a mutex that the caller holds
 *
 * The caller is on the queue before the mutex is released, so that it never misses
 * the wake-up of a thread that takes the mutex. A fatal signal and the stopping of
 * a kthread wake the caller too. Wake-ups may be spurious: the caller tests its
 * condition again.
 *
 * Return: 0, or -EINTR if a fatal signal is pending or the kthread must stop.
 */
int shim_waitq_wait_unlocked(struct shim_waitq *waitq,
			     struct shim_mutex *mutex);

/**
 * shim_waitq_wait() - sleep until a condition holds or time has passed
 * @waitq: the queue
 * @done: the condition, called with @arg; it may not sleep
 * @arg: its argument
 * @seconds: how long to wait at most
 *
 * No signal ends the wait.
 *
 * Return: whether the condition holds.
 */
bool shim_waitq_wait(struct shim_waitq *waitq, bool (*done)(const void *arg),
		     const void *arg, unsigned int seconds);

/**
 * shim_waitq_wait_us() - shim_waitq_wait(), for a shorter time
 * @waitq: the queue
 * @done: the condition, called with @arg; it may not sleep
 * @arg: its argument
 * @microseconds: how long to wait at most; the kernel rounds up to its ticks
 *
 * Return: whether the condition holds.
 */
bool shim_waitq_wait_us(struct shim_waitq *waitq, bool (*done)(const void *arg),
			const void *arg, unsigned int microseconds);

/**
 * shim_waitq_wait_signal() - sleep until a condition holds, time has passed, or a signal comes
 * @waitq: the queue
 * @done: the condition, called with @arg; it may not sleep
 * @arg: its argument
 * @ms: how many milliseconds to wait at most; 0 is for ever
 * @interruptible: whether any signal ends the wait, and not only a fatal one
 *
 * Return: 1 if the condition holds, 0 if the time has passed; otherwise the negative errno by
 * which a system call says that a signal ended it.
 */
int shim_waitq_wait_signal(struct shim_waitq *waitq,
			   bool (*done)(const void *arg), const void *arg,
			   u64 ms, bool interruptible);

/**
 * shim_cond_resched() - let other threads run if the scheduler wants it
 */
void shim_cond_resched(void);

SHIM_END

#endif
