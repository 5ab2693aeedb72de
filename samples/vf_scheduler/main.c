// SPDX-License-Identifier: GPL-2.0
/*
 * vf_scheduler: lets devices take turns, one open at a time, as the driver of
 * an SR-IOV card would do on which one virtual function is active at a time.
 *
 * A thread opens the device that has had the least of its share, for a slice.
 * README.md says what its parameters and its file in debugfs mean.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include "vf_scheduler.h"

static char *devices[VSCHED_MAX_DEVICES];
static unsigned int ndevices;
module_param_array(devices, charp, &ndevices, 0444);
MODULE_PARM_DESC(
	devices,
	"PCI addresses of devices that take turns, each bound to a driver of VFIO");

static unsigned int shares[VSCHED_MAX_DEVICES];
module_param_array(shares, uint, NULL, 0644);
MODULE_PARM_DESC(shares,
		 "a device's time relative to the others' (default: 1)");

static unsigned int slices_us[VSCHED_MAX_DEVICES];
module_param_array(slices_us, uint, NULL, 0644);
MODULE_PARM_DESC(
	slices_us,
	"how long a device is open in one turn, microseconds (default: 5000)");

static unsigned int deadline_us = 1000;
module_param(deadline_us, uint, 0644);
MODULE_PARM_DESC(
	deadline_us,
	"what a device is given to end accesses and its DMA, microseconds");

static struct vsched_device vsched_devices[VSCHED_MAX_DEVICES];
/* The one that is open. Only the thread has to do with it. */
static struct vsched_device *vsched_open;
static struct task_struct *vsched_task;
static struct dentry *vsched_file;

unsigned int vsched_deadline_us(void)
{
	return READ_ONCE(deadline_us);
}

static unsigned int vsched_share(const struct vsched_device *device)
{
	return READ_ONCE(shares[device - vsched_devices]) ?:
							    VSCHED_DEFAULT_SHARE;
}

static unsigned int vsched_slice_us(const struct vsched_device *device)
{
	return READ_ONCE(slices_us[device - vsched_devices]) ?:
		       VSCHED_DEFAULT_SLICE_US;
}

/* The device has used as much of its time. */
static void vsched_charge(struct vsched_device *device, u64 ns)
{
	device->virtual_ns += div_u64(ns, vsched_share(device));
}

/*
 * Whether VFIO has the device. One that was taken away and comes back is not
 * given the time that it was away for.
 */
static bool vsched_present(struct vsched_device *device)
{
	if (device->gate)
		return true;
	if (vsched_device_register(device))
		return false;
	if (vsched_open)
		device->virtual_ns =
			max(device->virtual_ns, vsched_open->virtual_ns);
	return true;
}

/* The device that has used the least of its share, or NULL if VFIO has none. */
static struct vsched_device *vsched_next(void)
{
	struct vsched_device *next = NULL;
	unsigned int i;

	for (i = 0; i < ndevices; i++)
		if (vsched_present(&vsched_devices[i]) &&
		    (!next || vsched_devices[i].virtual_ns < next->virtual_ns))
			next = &vsched_devices[i];
	return next;
}

/* Opens @next. If another device is open, that one is blocked in the same step. */
static int vsched_switch(struct vsched_device *next)
{
	if (!vsched_open || vsched_open == next)
		return vfio_gate_open(next->gate);
	return vfio_gate_switch(vsched_open->gate, next->gate,
				vsched_deadline_us());
}

/*
 * After -ENODEV: blocks one device and opens the other apart, to find which of
 * them VFIO has lost.
 */
static int vsched_switch_apart(struct vsched_device *next)
{
	int ret = 0;

	if (vsched_open && vsched_open != next)
		ret = vfio_gate_block(vsched_open->gate, vsched_deadline_us());
	if (ret == -ENODEV)
		vsched_device_lost(vsched_open);
	else if (ret)
		return ret;
	vsched_open = NULL;
	ret = vfio_gate_open(next->gate);
	if (ret == -ENODEV)
		vsched_device_lost(next);
	return ret;
}

/* Opens a device; the one before stays open where that fails. */
static void vsched_turn(struct vsched_device *next)
{
	u64 start = ktime_get_ns();
	int ret = vsched_switch(next);

	if (ret == -ENODEV)
		ret = vsched_switch_apart(next);
	if (ret) {
		/* As if it had been open, so that the others get on. */
		vsched_charge(next, vsched_slice_us(next) * (u64)NSEC_PER_USEC);
		next->failed++;
		return;
	}
	vsched_open = next;
	next->slices++;
	next->switch_max_ns = max(next->switch_max_ns, ktime_get_ns() - start);
}

/* Sleeps for a slice, or until the module is unloaded. */
static void vsched_sleep(unsigned int us)
{
	ktime_t end = ns_to_ktime(us * (u64)NSEC_PER_USEC);

	set_current_state(TASK_INTERRUPTIBLE);
	if (!kthread_should_stop())
		schedule_hrtimeout(&end, HRTIMER_MODE_REL);
	__set_current_state(TASK_RUNNING);
}

static int vsched_run(void *unused)
{
	while (!kthread_should_stop()) {
		struct vsched_device *next = vsched_next();
		u64 start, ns;

		if (next)
			vsched_turn(next);
		start = ktime_get_ns();
		vsched_sleep(vsched_open ? vsched_slice_us(vsched_open) :
					   VSCHED_DEFAULT_SLICE_US);
		if (!vsched_open)
			continue;
		ns = ktime_get_ns() - start;
		vsched_open->open_ns += ns;
		vsched_charge(vsched_open, ns);
	}
	return 0;
}

static const char *vsched_state(const struct vsched_device *device)
{
	/* The thread may give the gate up at any time. */
	return device == READ_ONCE(vsched_open) ? "open" : "blocked";
}

static int vsched_table_show(struct seq_file *out, void *unused)
{
	unsigned int i;

	seq_puts(
		out,
		"device state share slice_us slices open_us switch_max_us undrained failed\n");
	for (i = 0; i < ndevices; i++) {
		const struct vsched_device *device = &vsched_devices[i];

		seq_printf(out, "%s %s %u %u %llu %llu %llu %llu %llu\n",
			   pci_name(device->pdev), vsched_state(device),
			   vsched_share(device), vsched_slice_us(device),
			   READ_ONCE(device->slices),
			   div_u64(READ_ONCE(device->open_ns), NSEC_PER_USEC),
			   div_u64(READ_ONCE(device->switch_max_ns),
				   NSEC_PER_USEC),
			   READ_ONCE(device->undrained),
			   READ_ONCE(device->failed));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vsched_table);

static void vsched_destroy_devices(unsigned int n)
{
	while (n)
		vsched_device_destroy(&vsched_devices[--n]);
}

static int __init vsched_init(void)
{
	unsigned int i;
	int ret;

	if (!ndevices) {
		pr_err("the parameter devices names none\n");
		return -EINVAL;
	}
	for (i = 0; i < ndevices; i++) {
		ret = vsched_device_init(&vsched_devices[i], devices[i]);
		if (ret) {
			pr_err("%s: error %d: %s\n", devices[i], ret,
			       ret == -ENODEV ? "no driver of VFIO has it" :
			       ret == -EBUSY  ? "it is in use" :
						"it cannot be scheduled");
			goto err_devices;
		}
	}
	vsched_task = kthread_run(vsched_run, NULL, "vf_scheduler");
	if (IS_ERR(vsched_task)) {
		ret = PTR_ERR(vsched_task);
		goto err_devices;
	}
	vsched_file = debugfs_create_file("vf_scheduler", 0444, NULL, NULL,
					  &vsched_table_fops);
	return 0;

err_devices:
	vsched_destroy_devices(i);
	return ret;
}

static void __exit vsched_exit(void)
{
	debugfs_remove(vsched_file);
	kthread_stop(vsched_task);
	/* All are open from now on. */
	vsched_destroy_devices(ndevices);
}

module_init(vsched_init);
module_exit(vsched_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lets devices under VFIO take turns");
