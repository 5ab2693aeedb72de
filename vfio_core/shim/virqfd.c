// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>
#include <linux/workqueue.h>

#include "vfio_core/entry.h"
#include "vfio_core/shim/virqfd.h"

/* Of the kernel's struct; the kernel's drivers know no more of it than its address. */
struct owned_virqfd {
	struct virqfd virqfd;
	struct work_struct wait_work;
};

static struct workqueue_struct *virqfd_works;
static DEFINE_SPINLOCK(virqfd_lock);

static struct owned_virqfd *owned(struct virqfd *virqfd)
{
	return container_of(virqfd, struct owned_virqfd, virqfd);
}

int shim_virqfd_init(void)
{
	virqfd_works = alloc_ordered_workqueue("vfio-virqfd", 0);
	return virqfd_works ? 0 : -ENOMEM;
}

void shim_virqfd_exit(void)
{
	destroy_workqueue(virqfd_works);
}

static int on_event(wait_queue_entry_t *wait, unsigned int mode, int sync,
		    void *key)
{
	__poll_t events = key_to_poll(key);

	vfio_core_virqfd_event(container_of(wait, struct virqfd, wait),
			       (events & EPOLLIN) != 0,
			       (events & EPOLLHUP) != 0);
	return 0;
}

static void on_poll(struct file *file, wait_queue_head_t *queue,
		    poll_table *table)
{
	add_wait_queue(queue, &container_of(table, struct virqfd, pt)->wait);
}

static void call_thread(struct work_struct *work)
{
	struct virqfd *virqfd = container_of(work, struct virqfd, inject);

	virqfd->thread(virqfd->opaque, virqfd->data);
}

static void shut_down(struct work_struct *work)
{
	vfio_core_virqfd_shutdown(container_of(work, struct virqfd, shutdown));
}

static void wait_for_thread(struct work_struct *work)
{
	struct owned_virqfd *own =
		container_of(work, struct owned_virqfd, wait_work);

	flush_work(&own->virqfd.inject);
}

struct virqfd *shim_virqfd_create(const struct shim_virqfd_calls *calls,
				  struct virqfd **slot)
{
	struct owned_virqfd *made = kzalloc(sizeof(*made), GFP_KERNEL_ACCOUNT);

	if (!made)
		return NULL;
	made->virqfd.opaque = calls->opaque;
	made->virqfd.handler = calls->handler;
	made->virqfd.thread = calls->thread;
	made->virqfd.data = calls->data;
	made->virqfd.pvirqfd = slot;
	INIT_WORK(&made->virqfd.inject, call_thread);
	INIT_WORK(&made->virqfd.shutdown, shut_down);
	INIT_WORK(&made->wait_work, wait_for_thread);
	return &made->virqfd;
}

void shim_virqfd_free(struct virqfd *virqfd)
{
	kfree(owned(virqfd));
}

struct virqfd **shim_virqfd_slot(const struct virqfd *virqfd)
{
	return virqfd->pvirqfd;
}

int shim_virqfd_bind(struct virqfd *virqfd, struct file *file)
{
	virqfd->eventfd = eventfd_ctx_fileget(file);
	return PTR_ERR_OR_ZERO(virqfd->eventfd);
}

void shim_virqfd_unbind(struct virqfd *virqfd)
{
	eventfd_ctx_put(virqfd->eventfd);
}

bool shim_virqfd_watch(struct virqfd *virqfd, struct file *file)
{
	init_waitqueue_func_entry(&virqfd->wait, on_event);
	init_poll_funcptr(&virqfd->pt, on_poll);
	return (vfs_poll(file, &virqfd->pt) & EPOLLIN) != 0;
}

void shim_virqfd_unwatch(struct virqfd *virqfd)
{
	u64 count;

	eventfd_ctx_remove_wait_queue(virqfd->eventfd, &virqfd->wait, &count);
	flush_work(&virqfd->inject);
}

void shim_virqfd_consume(struct virqfd *virqfd)
{
	u64 count;

	eventfd_ctx_do_read(virqfd->eventfd, &count);
}

bool shim_virqfd_handle(struct virqfd *virqfd)
{
	return !virqfd->handler ||
	       virqfd->handler(virqfd->opaque, virqfd->data);
}

bool shim_virqfd_has_thread(const struct virqfd *virqfd)
{
	return virqfd->thread;
}

void shim_virqfd_queue_thread(struct virqfd *virqfd)
{
	schedule_work(&virqfd->inject);
}

void shim_virqfd_queue_shutdown(struct virqfd *virqfd)
{
	queue_work(virqfd_works, &virqfd->shutdown);
}

void shim_virqfd_queue_wait(struct virqfd *virqfd)
{
	queue_work(virqfd_works, &owned(virqfd)->wait_work);
}

void shim_virqfd_drain(void)
{
	flush_workqueue(virqfd_works);
}

unsigned long shim_virqfd_lock(void)
{
	unsigned long flags;

	spin_lock_irqsave(&virqfd_lock, flags);
	__release(&virqfd_lock); /* for sparse, which sees no pair */
	return flags;
}

void shim_virqfd_unlock(unsigned long flags)
{
	__acquire(&virqfd_lock);
	spin_unlock_irqrestore(&virqfd_lock, flags);
}
