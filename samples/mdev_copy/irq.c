// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts: one MSI, and the request to let the device go, each an eventfd
 * that userspace sets, clears or triggers.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "copy.h"

static int mc_event_of(u32 index)
{
	switch (index) {
	case VFIO_PCI_MSI_IRQ_INDEX:
		return MC_EVENT_MSI;
	case VFIO_PCI_REQ_IRQ_INDEX:
		return MC_EVENT_REQUEST;
	default:
		return -EINVAL;
	}
}

long mc_irq_info(struct mc *mc, void __user *arg)
{
	const unsigned long size = offsetofend(struct vfio_irq_info, count);
	struct vfio_irq_info info;

	if (copy_from_user(&info, arg, size))
		return -EFAULT;
	if (info.argsz < size || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info.flags = 0;
	info.count = 0;
	if (mc_event_of(info.index) >= 0) {
		info.flags = VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE;
		info.count = 1;
	}
	return copy_to_user(arg, &info, size) ? -EFAULT : 0;
}

void mc_signal_locked(struct mc *mc, enum mc_event event)
{
	lockdep_assert_held(&mc->lock);
	if (mc->events[event])
		compat_eventfd_signal(mc->events[event]);
}

static void mc_set_event(struct mc *mc, int event, struct eventfd_ctx *ctx)
{
	mutex_lock(&mc->lock);
	swap(mc->events[event], ctx);
	mutex_unlock(&mc->lock);
	if (ctx)
		eventfd_ctx_put(ctx);
}

void mc_irq_release(struct mc *mc)
{
	int event;

	for (event = 0; event < MC_EVENTS; event++)
		mc_set_event(mc, event, NULL);
}

static long mc_set_eventfd(struct mc *mc, int event, s32 fd)
{
	struct eventfd_ctx *ctx = NULL;

	if (fd < -1)
		return -EINVAL;
	if (fd >= 0) {
		ctx = eventfd_ctx_fdget(fd);
		if (IS_ERR(ctx))
			return PTR_ERR(ctx);
	}
	mc_set_event(mc, event, ctx);
	return 0;
}

static long mc_trigger(struct mc *mc, int event)
{
	mutex_lock(&mc->lock);
	mc_signal_locked(mc, event);
	mutex_unlock(&mc->lock);
	return 0;
}

long mc_set_irqs(struct mc *mc, void __user *arg)
{
	const unsigned long minsz = offsetofend(struct vfio_irq_set, count);
	struct vfio_irq_set set;
	size_t size = 0;
	u8 *data = NULL;
	int event;
	long ret;

	if (copy_from_user(&set, arg, minsz))
		return -EFAULT;
	event = set.index < VFIO_PCI_NUM_IRQS ? mc_event_of(set.index) :
						-EINVAL;
	ret = vfio_set_irqs_validate_and_prepare(&set, event < 0 ? 0 : 1,
						 VFIO_PCI_NUM_IRQS, &size);
	if (ret)
		return ret;
	/* An interrupt is an eventfd: there is nothing to mask. */
	if (event < 0 || (set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) !=
				 VFIO_IRQ_SET_ACTION_TRIGGER)
		return -EINVAL;
	if (size) {
		data = memdup_user(arg + minsz, size);
		if (IS_ERR(data))
			return PTR_ERR(data);
	}

	switch (set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		if (set.count)
			ret = mc_trigger(mc, event);
		else
			mc_set_event(mc, event, NULL);
		break;
	case VFIO_IRQ_SET_DATA_BOOL:
		if (data && *data)
			ret = mc_trigger(mc, event);
		break;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		ret = data ? mc_set_eventfd(mc, event, *(s32 *)data) : -EINVAL;
		break;
	default:
		ret = -EINVAL;
	}
	kfree(data);
	return ret;
}
