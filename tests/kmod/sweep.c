// SPDX-License-Identifier: GPL-2.0
/*
 * Many calls of vfio_pin_pages() or vfio_unpin_pages() in one ioctl, so that
 * who counts what they cost counts little else. The pins are not recorded: who
 * made them takes them back.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "testdev.h"

struct sweep {
	struct work_struct work;
	struct vfio_device *vdev;
	struct page **pages;
	struct vfio_testdev_sweep *request;
	int prot;
};

static void sweep_unpin(const struct sweep *sweep, u64 npages)
{
	const struct vfio_testdev_sweep *request = sweep->request;
	const int per_call = request->per_call;
	u64 iova = request->iova;

	for (; npages; npages -= per_call, iova += per_call * PAGE_SIZE)
		vfio_unpin_pages(sweep->vdev, iova, per_call);
}

static void sweep_pin(const struct sweep *sweep)
{
	struct vfio_testdev_sweep *request = sweep->request;
	const int per_call = request->per_call, prot = sweep->prot;
	u64 left = request->npages, iova = request->iova;

	for (; left; left -= per_call, iova += per_call * PAGE_SIZE) {
		int ret = vfio_pin_pages(sweep->vdev, iova, per_call, prot,
					 sweep->pages);

		if (unlikely(ret != per_call)) {
			request->ret = ret < 0 ? ret : -EIO;
			sweep_unpin(sweep, request->npages - left);
			return;
		}
	}
}

static void sweep_do(struct sweep *sweep)
{
	if (sweep->request->unpin)
		sweep_unpin(sweep, sweep->request->npages);
	else
		sweep_pin(sweep);
}

static void sweep_work(struct work_struct *work)
{
	sweep_do(container_of(work, struct sweep, work));
}

long testdev_sweep_ioctl(struct testdev *td, void __user *arg)
{
	struct vfio_testdev_sweep request;
	struct sweep sweep = { .vdev = &td->vdev, .request = &request };

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	if (!request.per_call ||
	    request.per_call > VFIO_PIN_PAGES_MAX_ENTRIES ||
	    request.npages % request.per_call ||
	    request.npages > (U64_MAX - request.iova) / PAGE_SIZE)
		return -EINVAL;
	sweep.pages =
		kcalloc(request.per_call, sizeof(*sweep.pages), GFP_KERNEL);
	if (!sweep.pages)
		return -ENOMEM;
	if (request.prot & VFIO_TESTDEV_PROT_READ)
		sweep.prot |= IOMMU_READ;
	if (request.prot & VFIO_TESTDEV_PROT_WRITE)
		sweep.prot |= IOMMU_WRITE;

	request.ret = 0;
	down_read(&td->pinning);
	if (request.flags & VFIO_TESTDEV_KTHREAD) {
		INIT_WORK_ONSTACK(&sweep.work, sweep_work);
		schedule_work(&sweep.work);
		flush_work(&sweep.work);
		destroy_work_on_stack(&sweep.work);
	} else {
		sweep_do(&sweep);
	}
	up_read(&td->pinning);
	kfree(sweep.pages);
	return copy_to_user(arg, &request, sizeof(request)) ? -EFAULT : 0;
}
