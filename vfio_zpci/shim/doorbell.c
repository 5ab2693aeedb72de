// SPDX-License-Identifier: GPL-2.0
#include <linux/preempt.h>
#include <linux/vfio.h>
#include <linux/workqueue.h>

#include "vfio_zpci/entry.h"
#include "vfio_zpci/shim/doorbell.h"

static struct workqueue_struct *doorbell_works;

static struct work_struct *work_of(struct shim_doorbell *doorbell)
{
	static_assert(sizeof(struct work_struct) <= sizeof(doorbell->work));
	return (struct work_struct *)doorbell->work;
}

/* Works may take long, so that they have no CPU of their own. */
int shim_doorbells_init(void)
{
	doorbell_works = alloc_workqueue("vfio-zpci", WQ_UNBOUND, 0);
	return doorbell_works ? 0 : -ENOMEM;
}

void shim_doorbells_exit(void)
{
	destroy_workqueue(doorbell_works);
}

static int on_event(void *opaque, void *unused)
{
	struct shim_doorbell *doorbell = opaque;

	zpci_doorbell_rung(doorbell->owner);
	return 0; /* there is no thread of the virqfd's to call */
}

static void on_work(struct work_struct *work)
{
	struct shim_doorbell *doorbell =
		container_of((u64 *)work, struct shim_doorbell, work[0]);

	zpci_doorbell_work(doorbell->owner);
}

void shim_doorbell_init(struct shim_doorbell *doorbell,
			struct zpci_doorbell *owner)
{
	doorbell->owner = owner;
	doorbell->virqfd = NULL;
	INIT_WORK(work_of(doorbell), on_work);
}

int shim_doorbell_bind(struct shim_doorbell *doorbell, int eventfd)
{
	return vfio_virqfd_enable(doorbell, on_event, NULL, NULL,
				  &doorbell->virqfd, eventfd);
}

void shim_doorbell_unbind(struct shim_doorbell *doorbell)
{
	vfio_virqfd_disable(&doorbell->virqfd);
	cancel_work_sync(work_of(doorbell));
}

void shim_doorbell_defer(struct shim_doorbell *doorbell)
{
	queue_work(doorbell_works, work_of(doorbell));
}

bool shim_in_task(void)
{
	return in_task();
}
