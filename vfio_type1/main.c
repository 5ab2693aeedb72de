// SPDX-License-Identifier: GPL-2.0
/*
 * vfio_iommu_type1.ko: the C side above the core. Registers the driver's
 * operations with vfio.ko and holds the parameters; decides nothing.
 */
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/vfio.h>

#include "compat/iommu_driver.h"
#include "compat/iommu_extension.h"
#include "entry.h"
#include "trace.h"

static bool allow_unsafe_interrupts;
module_param(allow_unsafe_interrupts, bool, 0644);
MODULE_PARM_DESC(
	allow_unsafe_interrupts,
	"Attach groups whose interrupts are not remapped: their devices can raise any interrupt of the host (default: false)");

static bool disable_hugepages;
module_param(disable_hugepages, bool, 0644);
MODULE_PARM_DESC(
	disable_hugepages,
	"Map memory in the smallest pages of the IOMMU only (default: false)");

static unsigned int dma_entry_limit __read_mostly = U16_MAX;
module_param(dma_entry_limit, uint, 0644);
MODULE_PARM_DESC(dma_entry_limit,
		 "Mappings that a container may have (default: 65535)");

static unsigned int pin_workers;
module_param(pin_workers, uint, 0644);
MODULE_PARM_DESC(
	pin_workers,
	"Threads that pin one large mapping together, of 128 MiB each at least; 1: the caller alone (default: 0, one for each CPU)");

bool type1_param_allow_unsafe_interrupts(void)
{
	return READ_ONCE(allow_unsafe_interrupts);
}

bool type1_param_disable_hugepages(void)
{
	return READ_ONCE(disable_hugepages);
}

u32 type1_param_dma_entry_limit(void)
{
	return READ_ONCE(dma_entry_limit);
}

u32 type1_param_pin_workers(void)
{
	return READ_ONCE(pin_workers);
}

static void *driver_open(unsigned long extension)
{
	struct type1 *type1;
	int ret = type1_open(extension, &type1);

	return ret ? ERR_PTR(ret) : type1;
}

static void driver_release(void *iommu_data)
{
	type1_release(iommu_data);
}

static long driver_ioctl(void *iommu_data, unsigned int cmd, unsigned long arg)
{
	return type1_ioctl(iommu_data, cmd, arg);
}

static int driver_attach_group(void *iommu_data, struct iommu_group *group,
			       enum vfio_group_type type)
{
	return type1_attach_group(iommu_data, group,
				  type == VFIO_EMULATED_IOMMU);
}

static void driver_detach_group(void *iommu_data, struct iommu_group *group)
{
	type1_detach_group(iommu_data, group);
}

static noinline int traced_pin_pages(void *iommu_data,
				     struct iommu_group *group, dma_addr_t iova,
				     int npage, int prot, struct page **pages)
{
	int ret = type1_pin_pages(iommu_data, group, iova, npage, prot, pages);

	trace_vfio_type1_pin(group, iova, npage, prot, ret);
	return ret;
}

/*
 * Drivers pin page by page: while nobody traces, the arguments are not kept over the call for the
 * event's sake.
 */
static int driver_pin_pages(void *iommu_data, struct iommu_group *group,
			    dma_addr_t iova, int npage, int prot,
			    struct page **pages)
{
	if (trace_vfio_type1_pin_enabled())
		return traced_pin_pages(iommu_data, group, iova, npage, prot,
					pages);
	return type1_pin_pages(iommu_data, group, iova, npage, prot, pages);
}

static void driver_unpin_pages(void *iommu_data, dma_addr_t iova, int npage)
{
	trace_vfio_type1_unpin(iova, npage);
	type1_unpin_pages(iommu_data, iova, npage);
}

static void driver_register_device(void *iommu_data, struct vfio_device *device)
{
	type1_register_device(iommu_data, device);
}

static void driver_unregister_device(void *iommu_data,
				     struct vfio_device *device)
{
	type1_unregister_device(iommu_data, device);
}

static int driver_dma_rw(void *iommu_data, dma_addr_t iova, void *data,
			 size_t size, bool write)
{
	return type1_dma_rw(iommu_data, iova, data, size, write);
}

static struct iommu_domain *driver_group_iommu_domain(void *iommu_data,
						      struct iommu_group *group)
{
	struct iommu_domain *domain;
	int ret = type1_group_domain(iommu_data, group, &domain);

	return ret ? ERR_PTR(ret) : domain;
}

static const struct vfio_iommu_driver_ops driver_ops = {
	.name = "vfio-iommu-type1",
	.owner = THIS_MODULE,
	.open = driver_open,
	.release = driver_release,
	.ioctl = driver_ioctl,
	.attach_group = driver_attach_group,
	.detach_group = driver_detach_group,
	.pin_pages = driver_pin_pages,
	.unpin_pages = driver_unpin_pages,
	.register_device = driver_register_device,
	.unregister_device = driver_unregister_device,
	.dma_rw = driver_dma_rw,
	.group_iommu_domain = driver_group_iommu_domain,
};

static int driver_show(void *iommu_data, u32 part, u64 *cursor,
		       struct seq_file *seq)
{
	return type1_show(iommu_data, part, cursor, seq);
}

static int driver_find_domain(void *iommu_data, struct iommu_group *group,
			      void **domain)
{
	return type1_find_domain(iommu_data, group, domain);
}

static long driver_remap(void *iommu_data, const struct vfio_remap_page *pages,
			 unsigned int count)
{
	return type1_remap(iommu_data, pages, count);
}

static void driver_flush_remapped(void *iommu_data)
{
	type1_flush_remapped(iommu_data);
}

static void driver_end_remapping(void *iommu_data)
{
	type1_put_users_back(iommu_data);
}

static const struct vfio_iommu_extension driver_extension = {
	.show = driver_show,
	.find_domain = driver_find_domain,
	.cut = type1_cut,
	.restore = type1_restore,
	.remap = driver_remap,
	.flush_remapped = driver_flush_remapped,
	.end_remapping = driver_end_remapping,
};

static int __init vfio_type1_init(void)
{
	int ret = type1_init();

	if (ret)
		return ret;
	ret = vfio_register_iommu_driver(&driver_ops);
	if (ret)
		goto exit;
	compat_iommu_driver_extend(&driver_ops, &driver_extension);
	return 0;

exit:
	type1_exit();
	return ret;
}

static void __exit vfio_type1_exit(void)
{
	vfio_unregister_iommu_driver(&driver_ops);
	type1_exit();
}

module_init(vfio_type1_init);
module_exit(vfio_type1_exit);

MODULE_VERSION(VFIO_CXX_VERSION);
MODULE_INFO(supported_kernels, VFIO_CXX_KERNELS);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-cxx authors");
MODULE_DESCRIPTION("vfio-cxx: Type1 IOMMU driver");
