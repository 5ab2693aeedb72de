// SPDX-License-Identifier: GPL-2.0
/*
 * vfio_testdev: devices without hardware that call vfio the way mediated
 * drivers do, for tests. This file makes and removes them on request of
 * /dev/vfio_testdev and owns the platform driver that they are bound to.
 */
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "testdev.h"

static LIST_HEAD(slots);
static DEFINE_MUTEX(slots_lock); /* the list, and slot->dying */

static void slot_free(struct kref *kref)
{
	kfree(container_of(kref, struct testdev_slot, kref));
}

void testdev_slot_put(struct testdev_slot *slot)
{
	kref_put(&slot->kref, slot_free);
}

void testdev_slot_stats(struct testdev_slot *slot,
			struct vfio_testdev_stats *stats)
{
	stats->id = slot->config.id;
	stats->opens = atomic_read(&slot->opens);
	stats->open_failures = atomic_read(&slot->open_failures);
	stats->closes = atomic_read(&slot->closes);
	stats->requests = atomic_read(&slot->requests);
	stats->inits = atomic_read(&slot->inits);
	stats->releases = atomic_read(&slot->releases);
	stats->unmaps = atomic_read(&slot->unmaps);
	stats->kvm_at_open = READ_ONCE(slot->kvm_at_open);
	stats->kvm_at_close = READ_ONCE(slot->kvm_at_close);
	stats->waits = atomic_read(&slot->waits);
	stats->lock_timeouts = atomic_read(&slot->lock_timeouts);
	stats->open_pin = READ_ONCE(slot->open_pin);
}

static struct testdev_slot *slot_find_locked(int id)
{
	struct testdev_slot *slot;

	list_for_each_entry(slot, &slots, node)
		if (slot->config.id == id)
			return slot;
	return NULL;
}

static const struct vfio_device_ops *slot_ops(const struct testdev_slot *slot)
{
	switch (slot->config.kind) {
	case VFIO_TESTDEV_NO_UNMAP:
		return &testdev_ops_no_unmap;
	case VFIO_TESTDEV_BARE:
		return &testdev_ops_bare;
	default:
		return &testdev_ops_full;
	}
}

static int testdev_probe(struct platform_device *pdev)
{
	struct testdev_slot *slot = testdev_slot_of(&pdev->dev);
	struct testdev *td;
	int ret;

	td = vfio_alloc_device(testdev, vdev, &pdev->dev, slot_ops(slot));
	if (IS_ERR(td)) {
		ret = PTR_ERR(td);
		goto out;
	}
	ret = vfio_register_emulated_iommu_dev(&td->vdev);
	if (ret)
		vfio_put_device(&td->vdev);
	else
		platform_set_drvdata(pdev, td);
out:
	slot->probe_errno = ret;
	return ret;
}

static void testdev_remove(struct platform_device *pdev)
{
	struct testdev *td = platform_get_drvdata(pdev);

	vfio_unregister_group_dev(&td->vdev);
	vfio_put_device(&td->vdev);
}
COMPAT_PLATFORM_REMOVE(testdev_driver_remove, testdev_remove)

static struct platform_driver testdev_driver = {
	.driver = { .name = VFIO_TESTDEV_NAME },
	.probe = testdev_probe,
	.remove = testdev_driver_remove,
};

static void slot_group(struct testdev_slot *slot)
{
	struct iommu_group *group = iommu_group_get(&slot->pdev->dev);

	slot->config.group = group ? iommu_group_id(group) : -1;
	iommu_group_put(group);
}

/* Takes the list's lock, so that two creations cannot choose the same id. */
static int slot_create(struct vfio_testdev_create *config)
{
	struct testdev_slot *slot;
	int ret;

	if (config->kind > VFIO_TESTDEV_BARE || config->init_errno > 0 ||
	    config->init_errno < -MAX_ERRNO ||
	    config->set > VFIO_TESTDEV_MAX_SET)
		return -EINVAL;

	slot = kzalloc(sizeof(*slot), GFP_KERNEL);
	if (!slot)
		return -ENOMEM;
	kref_init(&slot->kref);
	slot->config = *config;

	mutex_lock(&slots_lock);
	slot->config.id = 0;
	while (slot_find_locked(slot->config.id))
		slot->config.id++;
	slot->pdev = platform_device_alloc(VFIO_TESTDEV_NAME, slot->config.id);
	if (!slot->pdev) {
		ret = -ENOMEM;
		goto err_unlock;
	}
	ret = platform_device_add_data(slot->pdev, &slot, sizeof(slot));
	if (!ret)
		ret = platform_device_add(slot->pdev);
	if (ret) {
		platform_device_put(slot->pdev);
		goto err_unlock;
	}
	/* A failed probe does not fail the addition of the device. */
	if (!platform_get_drvdata(slot->pdev)) {
		ret = slot->probe_errno ?: -ENXIO;
		platform_device_unregister(slot->pdev);
		goto err_unlock;
	}
	slot_group(slot);
	strscpy(slot->config.name, dev_name(&slot->pdev->dev),
		sizeof(slot->config.name));
	list_add_tail(&slot->node, &slots);
	*config = slot->config;
	mutex_unlock(&slots_lock);
	return 0;

err_unlock:
	mutex_unlock(&slots_lock);
	testdev_slot_put(slot);
	return ret;
}

/* Waits for users outside the lock; until then the slot's counters are there. */
static int slot_destroy(int id)
{
	struct testdev_slot *slot;

	mutex_lock(&slots_lock);
	slot = slot_find_locked(id);
	if (!slot || slot->dying) {
		mutex_unlock(&slots_lock);
		return slot ? -EBUSY : -ENODEV;
	}
	slot->dying = true;
	mutex_unlock(&slots_lock);

	platform_device_unregister(slot->pdev);

	mutex_lock(&slots_lock);
	list_del(&slot->node);
	mutex_unlock(&slots_lock);
	testdev_slot_put(slot);
	return 0;
}

static long control_create(void __user *arg)
{
	struct vfio_testdev_create config;
	int ret;

	if (copy_from_user(&config, arg, sizeof(config)))
		return -EFAULT;
	ret = slot_create(&config);
	if (!ret && copy_to_user(arg, &config, sizeof(config))) {
		slot_destroy(config.id);
		ret = -EFAULT;
	}
	return ret;
}

static long control_stats(void __user *arg)
{
	struct vfio_testdev_stats stats = {};
	struct testdev_slot *slot;

	if (copy_from_user(&stats, arg, sizeof(stats)))
		return -EFAULT;
	mutex_lock(&slots_lock);
	slot = slot_find_locked(stats.id);
	if (slot)
		testdev_slot_stats(slot, &stats);
	mutex_unlock(&slots_lock);
	if (!slot)
		return -ENODEV;
	return copy_to_user(arg, &stats, sizeof(stats)) ? -EFAULT : 0;
}

static long control_open_errno(void __user *arg)
{
	struct vfio_testdev_open_errno fail;
	struct testdev_slot *slot;

	if (copy_from_user(&fail, arg, sizeof(fail)))
		return -EFAULT;
	if (fail.open_errno > 0 || fail.open_errno < -MAX_ERRNO)
		return -EINVAL;
	mutex_lock(&slots_lock);
	slot = slot_find_locked(fail.id);
	if (slot)
		WRITE_ONCE(slot->open_errno, fail.open_errno);
	mutex_unlock(&slots_lock);
	return slot ? 0 : -ENODEV;
}

static long control_act(void __user *arg)
{
	struct vfio_testdev_act act;
	struct testdev_slot *slot;

	if (copy_from_user(&act, arg, sizeof(act)))
		return -EFAULT;
	if (act.what & VFIO_TESTDEV_ACT_PIN &&
	    (act.npage < 1 || act.npage > (int)VFIO_PIN_PAGES_MAX_ENTRIES))
		return -EINVAL;
	mutex_lock(&slots_lock);
	slot = slot_find_locked(act.id);
	if (slot)
		slot->act = act;
	mutex_unlock(&slots_lock);
	return slot ? 0 : -ENODEV;
}

static long control_ioctl(struct file *file, unsigned int cmd,
			  unsigned long uarg)
{
	void __user *arg = (void __user *)uarg;
	int id;

	switch (cmd) {
	case VFIO_TESTDEV_CREATE:
		return control_create(arg);
	case VFIO_TESTDEV_DESTROY:
		if (get_user(id, (__s32 __user *)arg))
			return -EFAULT;
		return slot_destroy(id);
	case VFIO_TESTDEV_STATS:
		return control_stats(arg);
	case VFIO_TESTDEV_OPEN_ERRNO:
		return control_open_errno(arg);
	case VFIO_TESTDEV_ACT:
		return control_act(arg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = control_ioctl,
};

static struct miscdevice control_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = VFIO_TESTDEV_NAME,
	.fops = &control_fops,
	.mode = 0600,
};

static int __init testdev_init(void)
{
	int ret = platform_driver_register(&testdev_driver);

	if (ret)
		return ret;
	ret = misc_register(&control_misc);
	if (ret)
		platform_driver_unregister(&testdev_driver);
	return ret;
}

static void __exit testdev_exit(void)
{
	struct testdev_slot *slot, *tmp;

	/* No control fd is open, so nobody else touches the list. */
	misc_deregister(&control_misc);
	list_for_each_entry_safe(slot, tmp, &slots, node)
		slot_destroy(slot->config.id);
	platform_driver_unregister(&testdev_driver);
}

module_init(testdev_init);
module_exit(testdev_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("vfio devices without hardware, for tests");
