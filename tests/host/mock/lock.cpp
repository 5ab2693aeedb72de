// SPDX-License-Identifier: GPL-2.0
//
// Locks over pthread's, which sanitizers know, and a checker of their order:
// lock classes are the nodes of a graph, an edge says that one was taken while
// another was held, and a cycle is a deadlock that waits to happen.
#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <pthread.h>
#include <set>
#include <time.h>

#include "report.hpp"
#include "shim/lock.h"
#include "shim/time.h"

namespace mock {

namespace {

struct Held {
	const void *lock;
	const char *class_name;
};

thread_local std::vector<Held> held;
// Edges that this thread has told the graph of.
thread_local std::set<std::pair<const char *, const char *>> told;
thread_local u64 told_epoch;

std::mutex graph_mutex;
std::atomic<u64> epoch = 1;
std::map<std::string, std::set<std::string>> graph;

bool reaches(const std::string &from, const std::string &to)
{
	if (from == to)
		return true;
	for (const std::string &next : graph[from])
		if (reaches(next, to))
			return true;
	return false;
}

void note_order(const char *from, const char *to)
{
	if (told_epoch != epoch) {
		told.clear();
		told_epoch = epoch;
	}
	if (!told.emplace(from, to).second)
		return;

	const std::lock_guard guard(graph_mutex);
	if (reaches(to, from))
		violation("lock order: %s taken under %s", to, from);
	else
		graph[from].insert(to);
}

void check_free(const void *lock, const char *class_name)
{
	for (const Held &other : held)
		if (other.lock == lock)
			fatal("%s locked by its holder", class_name);
}

// second: the caller may hold another lock of the class.
void acquire(const void *lock, const char *class_name, bool second = false)
{
	for (const Held &other : held)
		if (!second || other.class_name != class_name)
			note_order(other.class_name, class_name);
	held.push_back({lock, class_name});
}

void release(const void *lock, const char *class_name)
{
	const auto found = std::find_if(held.rbegin(), held.rend(),
					[&](const Held &other) { return other.lock == lock; });

	if (found == held.rend())
		fatal("%s unlocked by a stranger", class_name);
	held.erase(std::next(found).base());
}

struct MockMutex {
	pthread_mutex_t mutex;
	const char *class_name;
};

struct MockRwSem {
	pthread_rwlock_t lock;
	const char *class_name;
};

struct MockWaitQueue {
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	u64 generation;
};

template <class T, class S> T &in(S *storage)
{
	static_assert(sizeof(T) <= sizeof(storage->storage));
	return *reinterpret_cast<T *>(storage->storage);
}

} // namespace

void forget_lock_order()
{
	const std::lock_guard guard(graph_mutex);

	graph.clear();
	epoch++;
}

bool holds_lock_in(const void *memory, size_t size)
{
	const auto *begin = static_cast<const char *>(memory);

	for (const Held &lock : held) {
		const auto *at = static_cast<const char *>(lock.lock);

		if (at >= begin && at < begin + size)
			return true;
	}
	return false;
}

bool forget_held(const void *lock)
{
	return std::erase_if(held, [&](const Held &other) { return other.lock == lock; }) != 0;
}

PseudoLock::PseudoLock(const char *name) : name_(name)
{
	acquire(this, name_);
}

PseudoLock::~PseudoLock()
{
	release(this, name_);
}

} // namespace mock

using namespace mock;

void shim_mutex_init(shim_mutex *mutex, shim_lock_class *lock_class)
{
	auto &mine = in<MockMutex>(mutex);

	pthread_mutex_init(&mine.mutex, nullptr);
	mine.class_name = lock_class->name;
}

void shim_mutex_destroy(shim_mutex *mutex)
{
	auto &mine = in<MockMutex>(mutex);

	if (pthread_mutex_trylock(&mine.mutex) != 0)
		fatal("%s destroyed while held", mine.class_name);
	pthread_mutex_unlock(&mine.mutex);
	pthread_mutex_destroy(&mine.mutex);
	memset(mutex, 0x6b, sizeof(*mutex));
}

void shim_mutex_lock(shim_mutex *mutex)
{
	auto &mine = in<MockMutex>(mutex);

	note_sleep("shim_mutex_lock");
	check_free(mutex, mine.class_name);
	acquire(mutex, mine.class_name);
	pthread_mutex_lock(&mine.mutex);
}

void shim_mutex_lock_second(shim_mutex *mutex)
{
	auto &mine = in<MockMutex>(mutex);

	check_free(mutex, mine.class_name);
	acquire(mutex, mine.class_name, true);
	pthread_mutex_lock(&mine.mutex);
}

// What is only tried cannot be waited for: the order of locks does not matter.
bool shim_mutex_trylock(shim_mutex *mutex)
{
	auto &mine = in<MockMutex>(mutex);

	if (pthread_mutex_trylock(&mine.mutex) != 0)
		return false;
	held.push_back({mutex, mine.class_name});
	return true;
}

void shim_mutex_unlock(shim_mutex *mutex)
{
	auto &mine = in<MockMutex>(mutex);

	release(mutex, mine.class_name);
	pthread_mutex_unlock(&mine.mutex);
}

void shim_rwsem_init(shim_rwsem *sem, shim_lock_class *lock_class)
{
	auto &mine = in<MockRwSem>(sem);

	pthread_rwlock_init(&mine.lock, nullptr);
	mine.class_name = lock_class->name;
}

void shim_rwsem_read_lock(shim_rwsem *sem)
{
	auto &mine = in<MockRwSem>(sem);

	note_sleep("shim_rwsem_read_lock");
	check_free(sem, mine.class_name);
	acquire(sem, mine.class_name);
	pthread_rwlock_rdlock(&mine.lock);
}

bool shim_rwsem_read_trylock(shim_rwsem *sem)
{
	auto &mine = in<MockRwSem>(sem);

	if (pthread_rwlock_tryrdlock(&mine.lock) != 0)
		return false;
	held.push_back({sem, mine.class_name});
	return true;
}

void shim_rwsem_read_unlock(shim_rwsem *sem)
{
	auto &mine = in<MockRwSem>(sem);

	release(sem, mine.class_name);
	pthread_rwlock_unlock(&mine.lock);
}

void shim_rwsem_write_lock(shim_rwsem *sem)
{
	auto &mine = in<MockRwSem>(sem);

	note_sleep("shim_rwsem_write_lock");
	check_free(sem, mine.class_name);
	acquire(sem, mine.class_name);
	pthread_rwlock_wrlock(&mine.lock);
}

bool shim_rwsem_write_trylock(shim_rwsem *sem)
{
	auto &mine = in<MockRwSem>(sem);

	if (pthread_rwlock_trywrlock(&mine.lock) != 0)
		return false;
	held.push_back({sem, mine.class_name});
	return true;
}

void shim_rwsem_write_unlock(shim_rwsem *sem)
{
	shim_rwsem_read_unlock(sem);
}

void shim_waitq_init(shim_waitq *waitq, shim_lock_class *)
{
	auto &mine = in<MockWaitQueue>(waitq);

	pthread_mutex_init(&mine.mutex, nullptr);
	pthread_cond_init(&mine.wake, nullptr);
	mine.generation = 0;
}

void shim_waitq_wake_all(shim_waitq *waitq)
{
	auto &mine = in<MockWaitQueue>(waitq);

	pthread_mutex_lock(&mine.mutex);
	mine.generation++;
	pthread_cond_broadcast(&mine.wake);
	pthread_mutex_unlock(&mine.mutex);
}

int shim_waitq_wait_unlocked(shim_waitq *waitq, shim_mutex *mutex)
{
	auto &mine = in<MockWaitQueue>(waitq);

	pthread_mutex_lock(&mine.mutex);
	const u64 before = mine.generation;
	shim_mutex_unlock(mutex);
	while (mine.generation == before)
		pthread_cond_wait(&mine.wake, &mine.mutex);
	pthread_mutex_unlock(&mine.mutex);
	shim_mutex_lock(mutex);
	return 0;
}

// Seconds are milliseconds here, so that a test of a time-out takes no time.
bool shim_waitq_wait(shim_waitq *waitq, bool (*done)(const void *arg), const void *arg,
		     unsigned int seconds)
{
	auto &mine = in<MockWaitQueue>(waitq);
	timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += static_cast<long>(seconds) * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;

	int ret = 0;
	pthread_mutex_lock(&mine.mutex);
	while (!done(arg) && ret == 0)
		ret = pthread_cond_timedwait(&mine.wake, &mine.mutex, &until);
	pthread_mutex_unlock(&mine.mutex);
	return done(arg);
}

bool shim_waitq_wait_us(shim_waitq *waitq, bool (*done)(const void *arg), const void *arg,
			unsigned int microseconds)
{
	return shim_waitq_wait(waitq, done, arg, (microseconds + 999) / 1000);
}

std::atomic<bool> mock::waits_interrupted;

// A signal is noticed within a millisecond.
int shim_waitq_wait_signal(shim_waitq *waitq, bool (*done)(const void *arg), const void *arg,
			   u64 ms, bool interruptible)
{
	note_sleep("shim_waitq_wait_signal");
	for (u64 waited = 0; ms == 0 || waited < ms; waited++) {
		if (shim_waitq_wait(waitq, done, arg, 1))
			return 1;
		if (interruptible && waits_interrupted)
			return -EINTR;
	}
	return 0;
}

u64 shim_now_ns(void)
{
	timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<u64>(now.tv_sec) * 1000000000 + static_cast<u64>(now.tv_nsec);
}

// Ticks of 4 ms.
u64 shim_ticks_to_ms(u64 ticks)
{
	return 4 * ticks;
}

std::atomic<u64> mock::rescheds;

void shim_cond_resched(void)
{
	// All of the mock sleeps where it must; a yield would only cost time.
	note_sleep("shim_cond_resched");
	rescheds++;
}
