// SPDX-License-Identifier: GPL-2.0
/*
 * vfio_testgate.ko: a scheduler (vfio_cxx/gate.h) that does what userspace tells it.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/uaccess.h>

#include "vfio_cxx/gate.h"
#include "vfio_testgate.h"

#define EDU_BAR_SIZE	0x1000
#define EDU_DMA_COMMAND 0x98
#define EDU_DMA_BUSY	1

struct testgate_device {
	struct vfio_gate *gate;
	struct pci_dev *pdev;
	struct vfio_gate_ops ops;
	int open_errno;
	void __iomem *edu;
};

struct testgate {
	struct mutex lock; /* its devices */
	struct testgate_device devices[VFIO_TESTGATE_DEVICES];
	struct page *pins[VFIO_TESTGATE_PINS];
	unsigned int npins;
};

static int testgate_before_open(void *data)
{
	const struct testgate_device *device = data;

	return -device->open_errno;
}

static int testgate_quiesce(void *data, unsigned int deadline_us)
{
	const struct testgate_device *device = data;
	ktime_t end = ktime_add_us(ktime_get(), deadline_us);

	while (readl(device->edu + EDU_DMA_COMMAND) & EDU_DMA_BUSY) {
		if (ktime_after(ktime_get(), end))
			return -EBUSY;
		usleep_range(100, 200);
	}
	return 0;
}

static int testgate_start(struct testgate_device *device,
			  const struct vfio_testgate_add *add,
			  struct pci_dev *pdev)
{
	device->open_errno = add->open_errno;
	device->ops.before_open = testgate_before_open;
	device->ops.user_may_switch = add->may_switch;
	device->ops.hold_interrupts = add->hold;
	if (add->edu) {
		device->edu =
			ioremap(pci_resource_start(pdev, 0), EDU_BAR_SIZE);
		if (!device->edu)
			return -ENOMEM;
		device->ops.quiesce = testgate_quiesce;
	}
	device->gate = vfio_gate_register(&pdev->dev, &device->ops, device);
	if (IS_ERR(device->gate)) {
		int ret = PTR_ERR(device->gate);

		if (device->edu)
			iounmap(device->edu);
		memset(device, 0, sizeof(*device));
		return ret;
	}
	device->pdev = pci_dev_get(pdev);
	return 0;
}

static void testgate_end(struct testgate_device *device)
{
	if (!device->gate)
		return;
	vfio_gate_unregister(device->gate);
	pci_dev_put(device->pdev);
	if (device->edu)
		iounmap(device->edu);
}

static int testgate_add(struct testgate *testgate, void __user *arg)
{
	struct vfio_testgate_add add;
	struct device *dev;
	int ret;

	if (copy_from_user(&add, arg, sizeof(add)))
		return -EFAULT;
	add.name[sizeof(add.name) - 1] = 0;
	if (add.slot >= VFIO_TESTGATE_DEVICES ||
	    testgate->devices[add.slot].gate)
		return -EINVAL;
	dev = bus_find_device_by_name(&pci_bus_type, NULL, add.name);
	if (!dev)
		return -ENOENT;
	ret = testgate_start(&testgate->devices[add.slot], &add,
			     to_pci_dev(dev));
	put_device(dev);
	return ret;
}

static int testgate_do(unsigned int cmd, const struct vfio_testgate_switch *arg,
		       struct vfio_gate *gate, struct vfio_gate *to)
{
	switch (cmd) {
	case VFIO_TESTGATE_BLOCK:
		return vfio_gate_block(gate, arg->deadline_us);
	case VFIO_TESTGATE_TRAP:
		return vfio_gate_trap(gate, arg->deadline_us);
	case VFIO_TESTGATE_OPEN:
		return vfio_gate_open(gate);
	case VFIO_TESTGATE_SWITCH:
		return vfio_gate_switch(gate, to, arg->deadline_us);
	default:
		return -ENOTTY;
	}
}

static int testgate_switch(struct testgate *testgate, unsigned int cmd,
			   void __user *arg)
{
	struct vfio_testgate_switch request;
	struct vfio_gate *gate, *to;
	cycles_t start;
	int ret;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	if (request.slot >= VFIO_TESTGATE_DEVICES ||
	    request.to_slot >= VFIO_TESTGATE_DEVICES)
		return -EINVAL;
	gate = testgate->devices[request.slot].gate;
	to = testgate->devices[request.to_slot].gate;
	if (!gate || !to)
		return -EINVAL;
	start = get_cycles();
	ret = testgate_do(cmd, &request, gate, to);
	request.cycles = get_cycles() - start;
	if (copy_to_user(arg, &request, sizeof(request)))
		return -EFAULT;
	return ret;
}

static int testgate_move(struct vfio_testgate_alone *request,
			 struct pci_dev *pdev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(&pdev->dev);
	struct iommu_group *group = iommu_group_get(&pdev->dev);
	cycles_t start = get_cycles();
	int ret;

	iommu_detach_group(domain, group);
	request->cut_cycles = get_cycles() - start;
	start = get_cycles();
	ret = iommu_attach_group(domain, group);
	request->move_cycles = get_cycles() - start;
	iommu_group_put(group);
	return ret;
}

static int testgate_alone(struct testgate *testgate, void __user *arg)
{
	struct vfio_testgate_alone request;
	struct file *file;
	cycles_t start;
	int ret;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	if (request.slot >= VFIO_TESTGATE_DEVICES ||
	    !testgate->devices[request.slot].gate)
		return -EINVAL;
	file = fget(request.device);
	if (!file)
		return -EBADF;
	start = get_cycles();
	unmap_mapping_range(file->f_mapping, 0, 0, 1);
	request.zap_cycles = get_cycles() - start;
	fput(file);
	ret = testgate_move(&request, testgate->devices[request.slot].pdev);
	if (!ret && copy_to_user(arg, &request, sizeof(request)))
		ret = -EFAULT;
	return ret;
}

static int testgate_pin(struct testgate *testgate, void __user *arg)
{
	struct vfio_testgate_pin request;
	int got;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	if (request.npages > VFIO_TESTGATE_PINS - testgate->npins)
		return -ENOSPC;
	got = pin_user_pages_fast(request.vaddr, request.npages,
				  FOLL_WRITE | FOLL_LONGTERM,
				  testgate->pins + testgate->npins);
	if (got < 0)
		return got;
	testgate->npins += got;
	return got == request.npages ? 0 : -EFAULT;
}

static int testgate_phys(const struct testgate *testgate,
			 const struct vfio_testgate_page *page, u64 *phys)
{
	if (page->bar_slot >= 0) {
		if (page->bar_slot >= VFIO_TESTGATE_DEVICES ||
		    !testgate->devices[page->bar_slot].gate)
			return -EINVAL;
		*phys = pci_resource_start(
			testgate->devices[page->bar_slot].pdev, 0);
	} else if (page->pinned < 0) {
		*phys = VFIO_REMAP_USERS_PAGE;
	} else {
		if (page->pinned >= testgate->npins)
			return -EINVAL;
		*phys = page_to_phys(testgate->pins[page->pinned]);
	}
	return 0;
}

static int testgate_remap(struct testgate *testgate, void __user *arg)
{
	struct vfio_remap_page pages[VFIO_TESTGATE_BATCH];
	struct vfio_testgate_remap request;
	struct vfio_testgate_page page;
	struct vfio_gate *gate;
	cycles_t start;
	u32 i;
	int ret = 0;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	if (request.slot >= VFIO_TESTGATE_DEVICES || !request.count ||
	    request.count > VFIO_TESTGATE_BATCH)
		return -EINVAL;
	gate = testgate->devices[request.slot].gate;
	if (!gate)
		return -EINVAL;
	for (i = 0; i < request.count; i++) {
		if (copy_from_user(&page,
				   u64_to_user_ptr(request.pages) +
					   i * sizeof(page),
				   sizeof(page)))
			return -EFAULT;
		pages[i].iova = page.iova;
		ret = testgate_phys(testgate, &page, &pages[i].phys);
		if (ret)
			return ret;
	}
	start = get_cycles();
	request.done = vfio_gate_remap(gate, pages, request.count);
	request.remap_cycles = get_cycles() - start;
	if (request.flush)
		ret = vfio_gate_flush(gate);
	request.all_cycles = get_cycles() - start;
	if (!ret && copy_to_user(arg, &request, sizeof(request)))
		ret = -EFAULT;
	return ret;
}

static long testgate_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	struct testgate *testgate = file->private_data;
	int ret;

	mutex_lock(&testgate->lock);
	if (cmd == VFIO_TESTGATE_ADD)
		ret = testgate_add(testgate, (void __user *)arg);
	else if (cmd == VFIO_TESTGATE_ALONE)
		ret = testgate_alone(testgate, (void __user *)arg);
	else if (cmd == VFIO_TESTGATE_PIN)
		ret = testgate_pin(testgate, (void __user *)arg);
	else if (cmd == VFIO_TESTGATE_REMAP)
		ret = testgate_remap(testgate, (void __user *)arg);
	else
		ret = testgate_switch(testgate, cmd, (void __user *)arg);
	mutex_unlock(&testgate->lock);
	return ret;
}

static int testgate_open(struct inode *inode, struct file *file)
{
	struct testgate *testgate = kzalloc(sizeof(*testgate), GFP_KERNEL);

	if (!testgate)
		return -ENOMEM;
	mutex_init(&testgate->lock);
	file->private_data = testgate;
	return 0;
}

static int testgate_close(struct inode *inode, struct file *file)
{
	struct testgate *testgate = file->private_data;
	int slot;

	for (slot = 0; slot < VFIO_TESTGATE_DEVICES; slot++)
		testgate_end(&testgate->devices[slot]);
	unpin_user_pages_dirty_lock(testgate->pins, testgate->npins, true);
	kfree(testgate);
	return 0;
}

static const struct file_operations testgate_fops = {
	.owner = THIS_MODULE,
	.open = testgate_open,
	.release = testgate_close,
	.unlocked_ioctl = testgate_ioctl,
};

static struct miscdevice testgate_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vfio_testgate",
	.fops = &testgate_fops,
	.mode = 0600,
};
module_misc_device(testgate_misc);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("vfio-cxx: a scheduler of devices, for tests");
