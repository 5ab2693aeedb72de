// SPDX-License-Identifier: GPL-2.0
//
// Locks of the explored threads, in place of tests/host/mock/lock.cpp. Taking
// one is a point; a thread that cannot go on is not run until it can.
#include <cstring>

#include "mock/report.hpp"
#include "races.hpp"
#include "shim/lock.h"
#include "shim/time.h"

using namespace model;

namespace {

constexpr int kFree = -1;

struct ModelMutex {
	const char *name;
	int owner;
	Clock clock;
};

struct ModelRwSem {
	const char *name;
	int writer;
	u32 readers;
	u32 waiting_writers;
	Clock clock;
	// What readers released: orders only what a writer does.
	Clock readers_clock;
};

struct ModelWaitQueue {
	u64 generation;
};

template <class T, class S> T &in(S *storage)
{
	static_assert(sizeof(T) <= sizeof(storage->storage));
	return *reinterpret_cast<T *>(storage->storage);
}

} // namespace

void shim_mutex_init(shim_mutex *mutex, shim_lock_class *lock_class)
{
	in<ModelMutex>(mutex) = {lock_class->name, kFree, {}};
}

void shim_mutex_destroy(shim_mutex *mutex)
{
	auto &mine = in<ModelMutex>(mutex);

	if (mine.owner != kFree)
		fail("%s destroyed while held", mine.name);
	memset(mutex, 0x6b, sizeof(*mutex));
}

void shim_mutex_lock(shim_mutex *mutex)
{
	auto &mine = in<ModelMutex>(mutex);

	if (mine.owner == current())
		fail("%s locked by its holder", mine.name);
	wait_for(mine.name, [&] { return mine.owner == kFree; });
	mine.owner = current();
	acquire(mine.clock);
	note_held(mutex, mine.name);
}

void shim_mutex_lock_second(shim_mutex *mutex)
{
	shim_mutex_lock(mutex);
}

bool shim_mutex_trylock(shim_mutex *mutex)
{
	auto &mine = in<ModelMutex>(mutex);

	point();
	if (mine.owner != kFree)
		return false;
	mine.owner = current();
	acquire(mine.clock);
	note_held(mutex, mine.name);
	return true;
}

void shim_mutex_unlock(shim_mutex *mutex)
{
	auto &mine = in<ModelMutex>(mutex);

	if (mine.owner != current())
		fail("%s unlocked by a stranger", mine.name);
	mine.owner = kFree;
	release(mine.clock);
	note_released(mutex);
}

void shim_rwsem_init(shim_rwsem *sem, shim_lock_class *lock_class)
{
	in<ModelRwSem>(sem) = {lock_class->name, kFree, 0, 0, {}, {}};
}

// As the kernel's, it lets no reader past a writer that waits.
void shim_rwsem_read_lock(shim_rwsem *sem)
{
	auto &mine = in<ModelRwSem>(sem);

	wait_for(mine.name, [&] { return mine.writer == kFree && mine.waiting_writers == 0; });
	mine.readers++;
	acquire(mine.clock);
	note_held(sem, mine.name);
}

// Who only tries is not stopped by a writer that waits.
bool shim_rwsem_read_trylock(shim_rwsem *sem)
{
	auto &mine = in<ModelRwSem>(sem);

	point();
	if (mine.writer != kFree)
		return false;
	mine.readers++;
	acquire(mine.clock);
	note_held(sem, mine.name);
	return true;
}

void shim_rwsem_read_unlock(shim_rwsem *sem)
{
	auto &mine = in<ModelRwSem>(sem);

	if (mine.readers == 0)
		fail("%s unlocked by a stranger", mine.name);
	mine.readers--;
	release(mine.readers_clock);
	note_released(sem);
}

void shim_rwsem_write_lock(shim_rwsem *sem)
{
	auto &mine = in<ModelRwSem>(sem);
	const auto free = [&] { return mine.writer == kFree && mine.readers == 0; };

	point();
	if (!free()) {
		mine.waiting_writers++;
		wait_for(mine.name, free);
		mine.waiting_writers--;
	}
	mine.writer = current();
	acquire(mine.clock);
	acquire(mine.readers_clock);
	note_held(sem, mine.name);
}

bool shim_rwsem_write_trylock(shim_rwsem *sem)
{
	auto &mine = in<ModelRwSem>(sem);

	point();
	if (mine.writer != kFree || mine.readers)
		return false;
	mine.writer = current();
	acquire(mine.clock);
	acquire(mine.readers_clock);
	note_held(sem, mine.name);
	return true;
}

void shim_rwsem_write_unlock(shim_rwsem *sem)
{
	auto &mine = in<ModelRwSem>(sem);

	if (mine.writer != current())
		fail("%s unlocked by a stranger", mine.name);
	mine.writer = kFree;
	release(mine.clock);
	note_released(sem);
}

void shim_waitq_init(shim_waitq *waitq, shim_lock_class *)
{
	in<ModelWaitQueue>(waitq).generation = 0;
}

void shim_waitq_wake_all(shim_waitq *waitq)
{
	in<ModelWaitQueue>(waitq).generation++;
}

int shim_waitq_wait_unlocked(shim_waitq *waitq, shim_mutex *mutex)
{
	auto &mine = in<ModelWaitQueue>(waitq);
	const u64 before = mine.generation;

	shim_mutex_unlock(mutex);
	wait_for("a wait queue", [&] { return mine.generation != before; });
	shim_mutex_lock(mutex);
	return 0;
}

// Time does not pass here: what would go on after a time-out is a deadlock.
bool shim_waitq_wait(shim_waitq *waitq, bool (*done)(const void *arg), const void *arg,
		     unsigned int)
{
	auto &mine = in<ModelWaitQueue>(waitq);

	for (;;) {
		const u64 before = mine.generation;

		if (done(arg))
			return true;
		wait_for("a wait queue", [&] { return mine.generation != before; });
	}
}

bool shim_waitq_wait_us(shim_waitq *waitq, bool (*done)(const void *arg), const void *arg,
			unsigned int)
{
	return shim_waitq_wait(waitq, done, arg, 0);
}

int shim_waitq_wait_signal(shim_waitq *waitq, bool (*done)(const void *arg), const void *arg, u64,
			   bool)
{
	return shim_waitq_wait(waitq, done, arg, 0);
}

// Time does not pass.
u64 shim_now_ns(void)
{
	return 0;
}

u64 shim_ticks_to_ms(u64 ticks)
{
	return ticks;
}

void shim_cond_resched(void)
{
	point();
}
