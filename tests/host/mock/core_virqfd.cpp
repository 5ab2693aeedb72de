// SPDX-License-Identifier: GPL-2.0
//
// Eventfds, the works of virqfds, and trees of ranges. Works run when a test has them run, or
// when something waits for them.
#include "core_virqfd.hpp"

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>

#include "vfio_core/shim/iova_ranges.h"

using namespace mock;

struct virqfd {
	shim_virqfd_calls calls;
	virqfd **slot;
	MockEvent *event = nullptr;
	bool watched = false;
};

namespace {

std::mutex slots;
std::vector<std::function<void()>> thread_works, works;
u64 virqfds;

} // namespace

namespace mock {

std::map<const file *, MockEvent *> eventfds;

MockEvent::MockEvent() : fd(open_other()), file_(file_of(fd))
{
	eventfds[file_] = this;
}

MockEvent::~MockEvent()
{
	if (fd >= 0)
		close();
	if (refs || !watchers.empty())
		violation("eventfd gone with %lld references, %zu watchers",
			  static_cast<long long>(refs), watchers.size());
}

void MockEvent::tell(bool signaled, bool closed)
{
	// The kernel goes on with the next although the one before may have left.
	for (virqfd *one : std::vector<virqfd *>(watchers))
		vfio_core_virqfd_event(one, signaled, closed);
}

void MockEvent::signal()
{
	counter++;
	tell(true, false);
}

void MockEvent::close()
{
	eventfds.erase(file_);
	mock::close(std::exchange(fd, -1));
	tell(false, true);
}

u64 live_virqfds()
{
	return virqfds;
}

void run_virqfd_threads()
{
	for (auto &work : std::exchange(thread_works, {}))
		work();
}

} // namespace mock

int shim_virqfd_init(void)
{
	return 0;
}

void shim_virqfd_exit(void)
{
}

virqfd *shim_virqfd_create(const shim_virqfd_calls *calls, virqfd **slot)
{
	if (plan.hit(Fail::kAlloc))
		return nullptr;
	virqfds++;
	return new virqfd{*calls, slot};
}

void shim_virqfd_free(virqfd *virqfd)
{
	if (virqfd->event)
		violation("virqfd freed with its eventfd");
	virqfds--;
	delete virqfd;
}

virqfd **shim_virqfd_slot(const virqfd *virqfd)
{
	return virqfd->slot;
}

int shim_virqfd_bind(virqfd *virqfd, file *file)
{
	const auto found = eventfds.find(file);

	if (found == eventfds.end())
		return -EINVAL;
	virqfd->event = found->second;
	virqfd->event->refs++;
	return 0;
}

void shim_virqfd_unbind(virqfd *virqfd)
{
	if (virqfd->watched)
		violation("virqfd loses an eventfd that it watches");
	virqfd->event->refs--;
	virqfd->event = nullptr;
}

bool shim_virqfd_watch(virqfd *virqfd, file *)
{
	virqfd->event->watchers.push_back(virqfd);
	virqfd->watched = true;
	return virqfd->event->counter != 0;
}

void shim_virqfd_unwatch(virqfd *virqfd)
{
	if (!std::erase(virqfd->event->watchers, virqfd))
		violation("virqfd watches nothing");
	virqfd->watched = false;
	run_virqfd_threads();
}

void shim_virqfd_consume(virqfd *virqfd)
{
	virqfd->event->counter = 0;
}

bool shim_virqfd_handle(virqfd *virqfd)
{
	return !virqfd->calls.handler ||
	       virqfd->calls.handler(virqfd->calls.opaque, virqfd->calls.data);
}

bool shim_virqfd_has_thread(const virqfd *virqfd)
{
	return virqfd->calls.thread;
}

void shim_virqfd_queue_thread(virqfd *virqfd)
{
	thread_works.push_back(
		[virqfd] { virqfd->calls.thread(virqfd->calls.opaque, virqfd->calls.data); });
}

void shim_virqfd_queue_shutdown(virqfd *virqfd)
{
	works.push_back([virqfd] { vfio_core_virqfd_shutdown(virqfd); });
}

void shim_virqfd_queue_wait(virqfd *)
{
	works.push_back(run_virqfd_threads);
}

void shim_virqfd_drain(void)
{
	for (auto &work : std::exchange(works, {}))
		work();
}

unsigned long shim_virqfd_lock(void)
{
	slots.lock();
	return 17;
}

void shim_virqfd_unlock(unsigned long flags)
{
	if (flags != 17)
		violation("virqfds unlocked with flags of another lock");
	slots.unlock();
}

/* Ranges. */

interval_tree_node *shim_iova_ranges_after(rb_root_cached *root, u64 first)
{
	interval_tree_node *found = nullptr;

	for (interval_tree_node *one : root->ranges)
		if (one->first >= first && (!found || one->first < found->first))
			found = one;
	return found;
}

u64 shim_iova_range_first(const interval_tree_node *range)
{
	return range->first;
}

u64 shim_iova_range_last(const interval_tree_node *range)
{
	return range->last;
}

void shim_iova_ranges_join(rb_root_cached *root, interval_tree_node *range,
			   interval_tree_node *next)
{
	if (!std::erase(root->ranges, next))
		violation("a range joined that is not in the tree");
	if (range->last >= next->first)
		violation("ranges joined in the wrong order");
	range->last = next->last;
}
