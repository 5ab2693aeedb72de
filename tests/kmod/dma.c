// SPDX-License-Identifier: GPL-2.0
/*
 * Pinning and CPU access to guest memory as a mediated driver does them, from
 * the caller or from a kernel worker that has no mm. What is pinned is kept by
 * page, so that dma_unmap() and close can give it back.
 */
#include <linux/delay.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "testdev.h"

#define MAX_PAGES ((int)VFIO_PIN_PAGES_MAX_ENTRIES)

enum call_op {
	CALL_PIN,
	CALL_UNPIN,
	CALL_RW,
	CALL_UNPIN_RANGE
};

/* One call of a vfio function, here or in a worker. */
struct call {
	struct work_struct work;
	struct testdev *td;
	enum call_op op;
	u64 iova, last;
	int npage, prot;
	struct page **pages;
	void *data;
	size_t size;
	bool write;
	int ret;
};

void testdev_dma_init(struct testdev *td)
{
	init_rwsem(&td->pinning);
	mutex_init(&td->pin_lock);
	xa_init(&td->pins);
}

/* Returns how many pins it gave back. pin_lock is not held across the unpin. */
static int unpin_range(struct testdev *td, u64 first, u64 last)
{
	unsigned long index;
	int unpinned = 0;
	void *entry;

	for (;;) {
		unsigned long count;

		index = first >> PAGE_SHIFT;
		mutex_lock(&td->pin_lock);
		entry = xa_find(&td->pins, &index, last >> PAGE_SHIFT,
				XA_PRESENT);
		if (entry)
			xa_erase(&td->pins, index);
		mutex_unlock(&td->pin_lock);
		if (!entry)
			return unpinned;

		unpinned += xa_to_value(entry);
		for (count = xa_to_value(entry); count; count--)
			vfio_unpin_pages(&td->vdev,
					 (dma_addr_t)index << PAGE_SHIFT, 1);
	}
}

static void call_do(struct call *call)
{
	struct vfio_device *vdev = &call->td->vdev;

	switch (call->op) {
	case CALL_PIN:
		call->ret = vfio_pin_pages(vdev, call->iova, call->npage,
					   call->prot, call->pages);
		break;
	case CALL_UNPIN:
		vfio_unpin_pages(vdev, call->iova, call->npage);
		call->ret = 0;
		break;
	case CALL_RW:
		call->ret = vfio_dma_rw(vdev, call->iova, call->data,
					call->size, call->write);
		break;
	case CALL_UNPIN_RANGE:
		call->ret = unpin_range(call->td, call->iova, call->last);
		break;
	}
}

static void call_work(struct work_struct *work)
{
	call_do(container_of(work, struct call, work));
}

static void call_run(struct call *call, bool kthread)
{
	if (!kthread) {
		call_do(call);
		return;
	}
	INIT_WORK_ONSTACK(&call->work, call_work);
	schedule_work(&call->work);
	flush_work(&call->work);
	destroy_work_on_stack(&call->work);
}

/* Adds one pin to each page from iova; undoes itself if memory runs out. */
static int pins_add(struct testdev *td, u64 iova, int npage)
{
	unsigned long first = iova >> PAGE_SHIFT, index;
	int i, ret = 0;
	void *entry;

	mutex_lock(&td->pin_lock);
	for (i = 0; i < npage; i++) {
		index = first + i;
		entry = xa_load(&td->pins, index);
		entry = xa_mk_value(entry ? xa_to_value(entry) + 1 : 1);
		ret = xa_err(xa_store(&td->pins, index, entry, GFP_KERNEL));
		if (ret)
			break;
	}
	while (ret && i--) {
		index = first + i;
		entry = xa_load(&td->pins, index);
		if (xa_to_value(entry) == 1)
			xa_erase(&td->pins, index);
		else
			xa_store(&td->pins, index,
				 xa_mk_value(xa_to_value(entry) - 1),
				 GFP_KERNEL);
	}
	mutex_unlock(&td->pin_lock);
	return ret;
}

/* Takes one pin off each page, or none and -ENOENT if one is not pinned. */
static int pins_sub(struct testdev *td, u64 iova, int npage)
{
	unsigned long first = iova >> PAGE_SHIFT;
	int i, ret = 0;
	void *entry;

	mutex_lock(&td->pin_lock);
	for (i = 0; i < npage && !ret; i++)
		if (!xa_load(&td->pins, first + i))
			ret = -ENOENT;
	for (i = 0; i < npage && !ret; i++) {
		entry = xa_load(&td->pins, first + i);
		if (xa_to_value(entry) == 1)
			xa_erase(&td->pins, first + i);
		else
			xa_store(&td->pins, first + i,
				 xa_mk_value(xa_to_value(entry) - 1),
				 GFP_KERNEL);
	}
	mutex_unlock(&td->pin_lock);
	return ret;
}

void testdev_dma_unmap(struct vfio_device *vdev, u64 iova, u64 size)
{
	struct testdev *td = to_testdev(vdev);
	struct call call = {
		.td = td,
		.op = CALL_UNPIN_RANGE,
		.iova = iova,
		.last = iova + size - 1,
	};
	bool worker, ignore = false;

	atomic_inc(&td->slot->unmaps);
	if (READ_ONCE(td->policy) == VFIO_TESTDEV_UNPIN_SLOWLY)
		msleep(11000);
	mutex_lock(&td->pin_lock);
	if (td->nevents == VFIO_TESTDEV_MAX_EVENTS) {
		memmove(td->events, td->events + 1,
			sizeof(td->events) - sizeof(td->events[0]));
		td->nevents--;
		td->lost_events++;
	}
	td->events[td->nevents].iova = iova;
	td->events[td->nevents++].size = size;
	worker = td->policy == VFIO_TESTDEV_UNPIN_WORKER;
	if (td->policy == VFIO_TESTDEV_UNPIN_LATER && td->ignore) {
		td->ignore--;
		ignore = true;
	}
	mutex_unlock(&td->pin_lock);
	if (ignore)
		return;

	down_read(&td->pinning);
	call_run(&call, worker);
	up_read(&td->pinning);
	if (call.ret)
		return;
	/*
	 * Nothing here: other threads may be between their pin and its record,
	 * or the other way around. They come to an end before type1 asks again.
	 */
	down_write(&td->pinning);
	up_write(&td->pinning);
}

void testdev_dma_close(struct testdev *td)
{
	down_read(&td->pinning);
	unpin_range(td, 0, U64_MAX);
	up_read(&td->pinning);
	mutex_lock(&td->pin_lock);
	td->policy = VFIO_TESTDEV_UNPIN_NOW;
	td->ignore = 0;
	td->nevents = 0;
	td->lost_events = 0;
	mutex_unlock(&td->pin_lock);
}

/* Returns an error of the record, and what the pin returned in call->ret. */
static int pin_and_record(struct call *call, bool kthread)
{
	struct testdev *td = call->td;
	int ret = 0;

	down_read(&td->pinning);
	call_run(call, kthread);
	if (call->ret > 0) {
		ret = pins_add(td, call->iova, call->ret);
		if (ret)
			vfio_unpin_pages(&td->vdev, call->iova, call->ret);
	}
	up_read(&td->pinning);
	return ret;
}

int testdev_pin(struct testdev *td, u64 iova, int npage, int prot)
{
	struct call call = {
		.td = td,
		.op = CALL_PIN,
		.iova = iova,
		.npage = npage,
		.prot = prot,
	};
	int ret;

	call.pages = kcalloc(MAX_PAGES, sizeof(*call.pages), GFP_KERNEL);
	if (!call.pages)
		return -ENOMEM;
	ret = pin_and_record(&call, false);
	kfree(call.pages);
	return ret ?: call.ret;
}

static int pin_pfns(const struct vfio_testdev_pin *pin, struct page **pages)
{
	u64 __user *pfns = u64_to_user_ptr(pin->pfns);
	int i;

	for (i = 0; pfns && i < pin->ret; i++)
		if (put_user((u64)page_to_pfn(pages[i]), &pfns[i]))
			return -EFAULT;
	return 0;
}

static long ioctl_pin(struct testdev *td, void __user *arg)
{
	struct vfio_testdev_pin pin;
	struct call call = { .td = td, .op = CALL_PIN };
	struct page **pages;
	int ret = 0;

	if (copy_from_user(&pin, arg, sizeof(pin)))
		return -EFAULT;
	pages = kcalloc(MAX_PAGES, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	call.iova = pin.iova;
	call.npage = pin.npage;
	call.pages = pin.flags & VFIO_TESTDEV_NO_PAGES ? NULL : pages;
	if (pin.prot & VFIO_TESTDEV_PROT_READ)
		call.prot |= IOMMU_READ;
	if (pin.prot & VFIO_TESTDEV_PROT_WRITE)
		call.prot |= IOMMU_WRITE;
	ret = pin_and_record(&call, pin.flags & VFIO_TESTDEV_KTHREAD);
	pin.ret = call.ret;
	if (!ret && pin.ret > 0)
		ret = pin_pfns(&pin, pages);
	kfree(pages);
	if (!ret && copy_to_user(arg, &pin, sizeof(pin)))
		ret = -EFAULT;
	return ret;
}

static long ioctl_unpin(struct testdev *td, void __user *arg)
{
	struct vfio_testdev_pin pin;
	struct call call = { .td = td, .op = CALL_UNPIN };
	int ret;

	if (copy_from_user(&pin, arg, sizeof(pin)))
		return -EFAULT;
	/* The core warns about such a count: a driver must not pass it. */
	if (pin.npage <= 0 || pin.npage > MAX_PAGES)
		return -EINVAL;
	call.iova = pin.iova;
	call.npage = pin.npage;
	down_read(&td->pinning);
	ret = pin.flags & VFIO_TESTDEV_RAW ? 0 :
					     pins_sub(td, pin.iova, pin.npage);
	if (!ret)
		call_run(&call, pin.flags & VFIO_TESTDEV_KTHREAD);
	up_read(&td->pinning);
	if (ret)
		return ret;
	pin.ret = call.ret;
	return copy_to_user(arg, &pin, sizeof(pin)) ? -EFAULT : 0;
}

static long ioctl_dma_rw(struct testdev *td, void __user *arg)
{
	struct vfio_testdev_dma_rw rw;
	struct call call = { .td = td, .op = CALL_RW };
	void *data;
	int ret = 0;

	if (copy_from_user(&rw, arg, sizeof(rw)))
		return -EFAULT;
	if (rw.size > SZ_1M)
		return -EINVAL;
	/* One byte at least: size 0 must reach the core with a real buffer. */
	data = kvzalloc(max_t(size_t, rw.size, 1), GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	if (rw.write &&
	    copy_from_user(data, u64_to_user_ptr(rw.data), rw.size)) {
		ret = -EFAULT;
		goto out;
	}
	call.iova = rw.iova;
	call.data = rw.flags & VFIO_TESTDEV_NO_PAGES ? NULL : data;
	call.size = rw.size;
	call.write = rw.write;
	call_run(&call, rw.flags & VFIO_TESTDEV_KTHREAD);
	rw.ret = call.ret;
	if (!rw.write && copy_to_user(u64_to_user_ptr(rw.data), data, rw.size))
		ret = -EFAULT;
	if (!ret && copy_to_user(arg, &rw, sizeof(rw)))
		ret = -EFAULT;
out:
	kvfree(data);
	return ret;
}

static long ioctl_policy(struct testdev *td, void __user *arg)
{
	struct vfio_testdev_policy policy;

	if (copy_from_user(&policy, arg, sizeof(policy)))
		return -EFAULT;
	if (policy.policy > VFIO_TESTDEV_UNPIN_SLOWLY)
		return -EINVAL;
	mutex_lock(&td->pin_lock);
	td->policy = policy.policy;
	td->ignore = policy.ignore;
	mutex_unlock(&td->pin_lock);
	return 0;
}

static long ioctl_events(struct testdev *td, void __user *arg)
{
	struct vfio_testdev_events events;
	int ret = 0;

	if (copy_from_user(&events, arg, sizeof(events)))
		return -EFAULT;
	/*
	 * A fault here may need the mm's lock, which type1 holds while it pins,
	 * but never while it calls dma_unmap(): pin_lock may be held.
	 */
	mutex_lock(&td->pin_lock);
	events.count = td->nevents;
	events.lost = td->lost_events;
	if (copy_to_user(u64_to_user_ptr(events.events), td->events,
			 td->nevents * sizeof(td->events[0])))
		ret = -EFAULT;
	td->nevents = 0;
	td->lost_events = 0;
	mutex_unlock(&td->pin_lock);
	if (!ret && copy_to_user(arg, &events, sizeof(events)))
		ret = -EFAULT;
	return ret;
}

long testdev_dma_ioctl(struct testdev *td, unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case VFIO_TESTDEV_PIN:
		return ioctl_pin(td, arg);
	case VFIO_TESTDEV_UNPIN:
		return ioctl_unpin(td, arg);
	case VFIO_TESTDEV_DMA_RW:
		return ioctl_dma_rw(td, arg);
	case VFIO_TESTDEV_POLICY:
		return ioctl_policy(td, arg);
	default:
		return ioctl_events(td, arg);
	}
}
