// SPDX-License-Identifier: GPL-2.0
/*
 * vfio_zpci.ko: the C side above the core. Registers the driver's operations with
 * vfio.ko and holds the parameters; decides nothing.
 */
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/vfio.h>

#include "compat/iommu_driver.h"
#include "compat/iommu_extension.h"
#include "entry.h"
#include "vfio_zpci/shim/doorbell.h"

static bool allow_unsafe_interrupts;
module_param(allow_unsafe_interrupts, bool, 0644);
MODULE_PARM_DESC(
	allow_unsafe_interrupts,
	"Attach groups whose interrupts are not remapped: their devices can raise any "
	"interrupt of the host (default: false)");

static unsigned int dma_entry_limit __read_mostly = U16_MAX;
module_param(dma_entry_limit, uint, 0644);
MODULE_PARM_DESC(
	dma_entry_limit,
	"Mappings that the memory of a guest may consist of (default: 65535)");

static unsigned int pin_workers;
module_param(pin_workers, uint, 0644);
MODULE_PARM_DESC(
	pin_workers,
	"Threads that pin one large mapping together, of 128 MiB each at "
	"least; 1: the caller alone (default: 0, one for each CPU)");

bool zpci_param_allow_unsafe_interrupts(void)
{
	return READ_ONCE(allow_unsafe_interrupts);
}

u32 zpci_param_dma_entry_limit(void)
{
	return READ_ONCE(dma_entry_limit);
}

u32 zpci_param_pin_workers(void)
{
	return READ_ONCE(pin_workers);
}

static void *driver_open(unsigned long extension)
{
	struct zpci *zpci;
	int ret = zpci_open(extension, &zpci);

	return ret ? ERR_PTR(ret) : zpci;
}

static void driver_release(void *iommu_data)
{
	zpci_release(iommu_data);
}

static long driver_ioctl(void *iommu_data, unsigned int cmd, unsigned long arg)
{
	return zpci_ioctl(iommu_data, cmd, arg);
}

static int driver_attach_group(void *iommu_data, struct iommu_group *group,
			       enum vfio_group_type type)
{
	return zpci_attach_group(iommu_data, group,
				 type == VFIO_EMULATED_IOMMU);
}

static void driver_detach_group(void *iommu_data, struct iommu_group *group)
{
	zpci_detach_group(iommu_data, group);
}

static void driver_register_device(void *iommu_data, struct vfio_device *device)
{
	zpci_register_device(iommu_data, device);
}

static void driver_unregister_device(void *iommu_data,
				     struct vfio_device *device)
{
	zpci_unregister_device(iommu_data, device);
}

static struct iommu_domain *driver_group_iommu_domain(void *iommu_data,
						      struct iommu_group *group)
{
	struct iommu_domain *domain;
	int ret = zpci_group_domain(iommu_data, group, &domain);

	return ret ? ERR_PTR(ret) : domain;
}

static const struct vfio_iommu_driver_ops driver_ops = {
	.name = "vfio-zpci",
	.owner = THIS_MODULE,
	.open = driver_open,
	.release = driver_release,
	.ioctl = driver_ioctl,
	.attach_group = driver_attach_group,
	.detach_group = driver_detach_group,
	.register_device = driver_register_device,
	.unregister_device = driver_unregister_device,
	.group_iommu_domain = driver_group_iommu_domain,
};

static int driver_show(void *iommu_data, u32 part, u64 *cursor,
		       struct seq_file *seq)
{
	return zpci_show(iommu_data, part, cursor, seq);
}

static int driver_find_domain(void *iommu_data, struct iommu_group *group,
			      void **domain)
{
	return zpci_find_domain(iommu_data, group, domain);
}

static const struct vfio_iommu_extension driver_extension = {
	.show = driver_show,
	.find_domain = driver_find_domain,
	.cut = zpci_cut,
	.restore = zpci_restore,
};

EXPORT_SYMBOL_GPL(vfio_zpci_kvm_refresh);

static int __init vfio_zpci_init(void)
{
	int ret = zpci_init();

	if (ret)
		return ret;
	ret = shim_doorbells_init();
	if (ret)
		goto exit;
	ret = vfio_register_iommu_driver(&driver_ops);
	if (ret)
		goto exit_doorbells;
	compat_iommu_driver_extend(&driver_ops, &driver_extension);
	return 0;

exit_doorbells:
	shim_doorbells_exit();
exit:
	zpci_exit();
	return ret;
}

static void __exit vfio_zpci_exit(void)
{
	vfio_unregister_iommu_driver(&driver_ops);
	shim_doorbells_exit();
	zpci_exit();
}

module_init(vfio_zpci_init);
module_exit(vfio_zpci_exit);

MODULE_VERSION(VFIO_CXX_VERSION);
MODULE_INFO(supported_kernels, VFIO_CXX_KERNELS);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-cxx authors");
MODULE_DESCRIPTION(
	"vfio-cxx: IOMMU driver that follows a guest's own I/O page tables");
