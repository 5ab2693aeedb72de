// SPDX-License-Identifier: GPL-2.0
/*
 * What open_device() and close_device() do in addition if a test asks: pin, as
 * drivers do that set up a ring there, and take the lock of the virtual
 * machine, as drivers do that register with it.
 */
#include <linux/delay.h>
#include <linux/iommu.h>
#if IS_ENABLED(CONFIG_KVM)
#include <linux/kvm_host.h>
#endif
#include "testdev.h"

#define PATIENCE_MS 5000

/* Gives up after PATIENCE_MS, so that a deadlock ends. */
static int take_kvm_lock(struct testdev *td)
{
	struct kvm *kvm = td->vdev.kvm;

	if (!kvm)
		return 0;
#if IS_ENABLED(CONFIG_KVM)
	for (int waited = 0; waited < PATIENCE_MS; waited += 10) {
		if (mutex_trylock(&kvm->lock)) {
			mutex_unlock(&kvm->lock);
			return 0;
		}
		msleep(10);
	}
#endif
	atomic_inc(&td->slot->lock_timeouts);
	return -ETIMEDOUT;
}

static int wait_and_lock(struct testdev *td)
{
	const struct vfio_testdev_act *act = &td->slot->act;

	if (!(act->what & VFIO_TESTDEV_ACT_KVM_LOCK))
		return 0;
	atomic_inc(&td->slot->waits);
	msleep(act->delay_ms);
	return take_kvm_lock(td);
}

int testdev_act_open(struct testdev *td)
{
	const struct vfio_testdev_act *act = &td->slot->act;

	if (act->what & VFIO_TESTDEV_ACT_PIN)
		WRITE_ONCE(td->slot->open_pin,
			   testdev_pin(td, act->iova, act->npage,
				       IOMMU_READ | IOMMU_WRITE));
	return wait_and_lock(td);
}

void testdev_act_close(struct testdev *td)
{
	wait_and_lock(td);
}
