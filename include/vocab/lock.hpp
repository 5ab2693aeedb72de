// SPDX-License-Identifier: GPL-2.0
//
// Mutex, RwSem and WaitQueue: the kernel's, through the shim. Only guards release the
// locks, and but for RwSem::take() only they take them. Each lock has a static LockClass,
// by which lockdep knows it.
//
// In an atomic context only an RwSem can be used: the kernel's releases it with interrupts
// off, while a mutex would be released with a spinlock that interrupts do not expect to
// find taken.
#pragma once

#include "shim/lock.h"
#include "vocab/annotations.hpp"
#include "vocab/utility.hpp"

namespace vfio {

using LockClass = shim_lock_class;

// What a caller may do.
enum class Context {
	// Wait: for a lock, for memory, for the hardware.
	kSleeps,
	// None of that: it holds a spinlock and interrupts are off.
	kAtomic,
};

// For a guard of a lock that the caller has taken already.
struct AlreadyTaken {};

class __lock_capability("mutex") Mutex : Immovable
{
public:
	explicit Mutex(LockClass & lock_class)
	{
		shim_mutex_init(&mutex_, &lock_class);
	}

	~Mutex()
	{
		shim_mutex_destroy(&mutex_);
	}

	// Takes the mutex if that needs no waiting. Returns whether it is taken: the caller then
	// makes a guard that releases it.
	bool try_take() __tries_lock(true)
	{
		return shim_mutex_trylock(&mutex_);
	}

	// Tells the analysis of locks that the caller holds the mutex, where it cannot see
	// so: the mutex is known by another name.
	void assume_held() const __asserts_lock(this)
	{
	}

private:
	friend class Guard;
	friend class PairGuard;
	friend class Unguard;
	friend class WaitQueue;

	shim_mutex mutex_;
};

class __lock_capability("rwsem") RwSem : Immovable
{
public:
	explicit RwSem(LockClass & lock_class)
	{
		shim_rwsem_init(&sem_, &lock_class);
	}

	// Takes the semaphore exclusively or shared; where the caller may not wait, only if
	// that is possible at once. Returns whether it is taken: the caller then makes a
	// guard that releases it.
	bool take(Context context) __tries_lock(true)
	{
		if (context == Context::kAtomic)
			return shim_rwsem_write_trylock(&sem_);
		shim_rwsem_write_lock(&sem_);
		return true;
	}

	bool take_shared(Context context) __tries_lock_shared(true)
	{
		if (context == Context::kAtomic)
			return shim_rwsem_read_trylock(&sem_);
		shim_rwsem_read_lock(&sem_);
		return true;
	}

	// As Mutex::assume_held().
	void assume_held() const __asserts_lock(this)
	{
	}

	void assume_held_shared() const __asserts_lock_shared(this)
	{
	}

private:
	friend class ReadGuard;
	friend class ReadUnguard;
	friend class WriteGuard;

	shim_rwsem sem_;
};

class __scoped_guard Guard : Immovable {
public:
	explicit Guard(Mutex &mutex) __acquires_lock(mutex) : mutex_(mutex)
	{
		shim_mutex_lock(&mutex_.mutex_);
	}

	Guard(Mutex &mutex, AlreadyTaken) __must_hold(mutex) : mutex_(mutex)
	{
	}

	~Guard() __releases_lock()
	{
		shim_mutex_unlock(&mutex_.mutex_);
	}

private:
	Mutex &mutex_;
};

// Locks two mutexes of one class, in the order of their addresses, so that two threads with the
// same pair never wait for each other.
class __scoped_guard PairGuard : Immovable {
public:
	PairGuard(Mutex &a, Mutex &b) __acquires_lock(a, b)
		: first_(&a < &b ? a : b), second_(&a < &b ? b : a)
	{
		shim_mutex_lock(&first_.mutex_);
		shim_mutex_lock_second(&second_.mutex_);
	}

	~PairGuard() __releases_lock()
	{
		shim_mutex_unlock(&second_.mutex_);
		shim_mutex_unlock(&first_.mutex_);
	}

private:
	Mutex &first_;
	Mutex &second_;
};

// Unlocks a mutex that the caller holds, and locks it again at the end of the
// scope.
class __scoped_guard Unguard : Immovable {
public:
	explicit Unguard(Mutex &mutex) __releases_lock(mutex) : mutex_(mutex)
	{
		shim_mutex_unlock(&mutex_.mutex_);
	}

	~Unguard() __releases_lock()
	{
		shim_mutex_lock(&mutex_.mutex_);
	}

private:
	Mutex &mutex_;
};

class __scoped_guard ReadGuard : Immovable {
public:
	explicit ReadGuard(RwSem &sem) __acquires_lock_shared(sem) : sem_(sem)
	{
		shim_rwsem_read_lock(&sem_.sem_);
	}

	ReadGuard(RwSem &sem, AlreadyTaken) __must_hold_shared(sem) : sem_(sem)
	{
	}

	~ReadGuard() __releases_lock_generic()
	{
		shim_rwsem_read_unlock(&sem_.sem_);
	}

private:
	RwSem &sem_;
};

// Releases a semaphore that the caller holds shared, and takes it shared again at the end
// of the scope.
class __scoped_guard ReadUnguard : Immovable {
public:
	explicit ReadUnguard(RwSem &sem) __releases_lock_shared(sem) : sem_(sem)
	{
		shim_rwsem_read_unlock(&sem_.sem_);
	}

	~ReadUnguard() __releases_lock()
	{
		shim_rwsem_read_lock(&sem_.sem_);
	}

private:
	RwSem &sem_;
};

class __scoped_guard WriteGuard : Immovable {
public:
	explicit WriteGuard(RwSem &sem) __acquires_lock(sem) : sem_(sem)
	{
		shim_rwsem_write_lock(&sem_.sem_);
	}

	WriteGuard(RwSem &sem, AlreadyTaken) __must_hold(sem) : sem_(sem)
	{
	}

	~WriteGuard() __releases_lock()
	{
		shim_rwsem_write_unlock(&sem_.sem_);
	}

private:
	RwSem &sem_;
};

class WaitQueue : Immovable {
public:
	explicit WaitQueue(LockClass &lock_class)
	{
		shim_waitq_init(&waitq_, &lock_class);
	}

	void wake_all()
	{
		shim_waitq_wake_all(&waitq_);
	}

	// Releases the mutex, sleeps until woken, and takes the mutex again.
	// Returns false if the caller should give up, because of a fatal signal
	// or because its kthread must stop.
	bool wait(Mutex &mutex) __must_hold(mutex)
	{
		return shim_waitq_wait_unlocked(&waitq_, &mutex.mutex_) == 0;
	}

	// Sleeps until done() returns true or the time has passed; returns
	// whether it was true. No signal ends the wait. done() is called several
	// times and may not sleep.
	template <class F> bool wait_until(F done, unsigned int seconds)
	{
		return shim_waitq_wait(
			&waitq_, [](const void *f) { return (*static_cast<const F *>(f))(); },
			&done, seconds);
	}

	// The same, for a shorter time.
	template <class F> bool wait_until_us(F done, unsigned int microseconds)
	{
		return shim_waitq_wait_us(
			&waitq_, [](const void *f) { return (*static_cast<const F *>(f))(); },
			&done, microseconds);
	}

	// The same, but a signal ends the wait, too: a fatal one, or any if interruptible. Returns
	// 1 if done() returned true, 0 if the time has passed (0 is for ever), or the negative errno
	// of a system call that a signal has ended.
	template <class F> int wait_signal(F done, u64 ms, bool interruptible)
	{
		return shim_waitq_wait_signal(
			&waitq_, [](const void *f) { return (*static_cast<const F *>(f))(); },
			&done, ms, interruptible);
	}

	// For shims that wait for the queue in another way.
	shim_waitq *handle()
	{
		return &waitq_;
	}

private:
	shim_waitq waitq_;
};

} // namespace vfio
