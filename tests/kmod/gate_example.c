// SPDX-License-Identifier: GPL-2.0
/*
 * gate_example.ko: the complete scheduler of Documentation/gate.md, taken from there, with what it
 * leaves to its caller. The devices are PCI addresses of the parameter.
 */
#include <linux/module.h>
#include <linux/pci.h>

#define EXAMPLE_DEVICES 4

/* A card that has nothing to do when it switches. */
static int card_activate(struct pci_dev *vf)
{
	return 0;
}

static bool card_idle(struct pci_dev *vf, unsigned int deadline_us)
{
	return true;
}

/* What stands in Documentation/gate.md; Kbuild takes it out of there. */
#include "gate_example.inc"

static char *devices[EXAMPLE_DEVICES];
static int ndevices;
module_param_array(devices, charp, &ndevices, 0444);

static struct turn turns[EXAMPLE_DEVICES];
static struct task_struct *task;

static int example_thread(void *unused)
{
	turns_run(turns, ndevices);
	return 0;
}

static void example_end(void)
{
	int i;

	for (i = 0; i < ndevices; i++) {
		if (!IS_ERR_OR_NULL(turns[i].gate))
			vfio_gate_unregister(turns[i].gate);
		if (turns[i].vf)
			put_device(&turns[i].vf->dev);
	}
}

static int example_find(void)
{
	struct device *dev;
	int i;

	if (ndevices < 2)
		return -EINVAL;
	for (i = 0; i < ndevices; i++) {
		dev = bus_find_device_by_name(&pci_bus_type, NULL, devices[i]);
		if (!dev)
			return -ENODEV;
		turns[i].vf = to_pci_dev(dev);
	}
	return 0;
}

static int __init example_init(void)
{
	int ret = example_find();

	if (!ret)
		ret = turns_start(turns, ndevices);
	if (!ret) {
		task = kthread_run(example_thread, NULL, "gate_example");
		ret = PTR_ERR_OR_ZERO(task);
	}
	if (ret)
		example_end();
	return ret;
}

static void __exit example_exit(void)
{
	kthread_stop(task);
	example_end();
}

module_init(example_init);
module_exit(example_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("vfio-cxx: the scheduler of Documentation/gate.md");
