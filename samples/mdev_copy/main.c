// SPDX-License-Identifier: GPL-2.0
/*
 * mdev_copy: a copy, fill and CRC32 engine as mediated devices.
 *
 * The module makes one parent without hardware, the platform device mdev_copy;
 * the CPU does the work of its instances. Any QEMU edu device that is given to
 * the driver by driver_override is one more: its DMA engine moves the data, at
 * the addresses that its IOMMU gave for the pinned pages.
 */
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include "copy.h"

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8
/* What an edu's engine reaches unless QEMU was told otherwise. */
#define EDU_DMA_BITS 28

/* ---- without hardware ---- */

static int mc_soft_probe(struct platform_device *pdev)
{
	struct mc_parent *parent = kzalloc(sizeof(*parent), GFP_KERNEL);
	int ret;

	if (!parent)
		return -ENOMEM;
	ret = mc_parent_register(parent, &pdev->dev, NULL);
	if (ret) {
		kfree(parent);
		return ret;
	}
	platform_set_drvdata(pdev, parent);
	return 0;
}

static void mc_soft_remove(struct platform_device *pdev)
{
	struct mc_parent *parent = platform_get_drvdata(pdev);

	mc_parent_unregister(parent);
	kfree(parent);
}
COMPAT_PLATFORM_REMOVE(mc_soft_driver_remove, mc_soft_remove)

static struct platform_driver mc_soft_driver = {
	.probe = mc_soft_probe,
	.remove = mc_soft_driver_remove,
	.driver = { .name = "mdev_copy", .suppress_bind_attrs = true },
};

static struct platform_device *mc_soft;

/* ---- a PCI device behind an IOMMU ---- */

static int mc_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(&pdev->dev);
	struct mc_parent *parent;
	struct mc_edu *edu;
	int ret;

	/* Without one, the DMA API might copy pages instead of mapping them. */
	if (!domain || !(domain->type & __IOMMU_DOMAIN_PAGING)) {
		dev_err(&pdev->dev, "no IOMMU translates its DMA\n");
		return -EOPNOTSUPP;
	}
	parent = kzalloc(sizeof(*parent), GFP_KERNEL);
	if (!parent)
		return -ENOMEM;
	ret = pci_enable_device_mem(pdev);
	if (ret)
		goto err_free;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(EDU_DMA_BITS));
	if (ret)
		goto err_disable;
	pci_set_master(pdev);
	edu = mc_edu_create(pdev);
	if (IS_ERR(edu)) {
		ret = PTR_ERR(edu);
		goto err_master;
	}
	ret = mc_parent_register(parent, &pdev->dev, edu);
	if (ret)
		goto err_edu;
	pci_set_drvdata(pdev, parent);
	return 0;

err_edu:
	mc_edu_destroy(edu);
err_master:
	pci_clear_master(pdev);
err_disable:
	pci_disable_device(pdev);
err_free:
	kfree(parent);
	return ret;
}

static void mc_pci_remove(struct pci_dev *pdev)
{
	struct mc_parent *parent = pci_get_drvdata(pdev);

	mc_parent_unregister(parent);
	mc_edu_destroy(parent->edu);
	pci_clear_master(pdev);
	pci_disable_device(pdev);
	kfree(parent);
}

/* By driver_override alone: nobody's edu is taken without being asked for. */
static const struct pci_device_id mc_pci_ids[] = {
	{ PCI_DEVICE_DRIVER_OVERRIDE(EDU_VENDOR, EDU_DEVICE, 1) },
	{}
};

static struct pci_driver mc_pci_driver = {
	.name = "mdev_copy",
	.id_table = mc_pci_ids,
	.probe = mc_pci_probe,
	.remove = mc_pci_remove,
};

static int __init mc_init(void)
{
	int ret;

	BUILD_BUG_ON(sizeof(struct mdev_copy_desc) != MDEV_COPY_DESC_SIZE);
	ret = mdev_register_driver(&mc_mdev_driver);
	if (ret)
		return ret;
	ret = platform_driver_register(&mc_soft_driver);
	if (ret)
		goto err_mdev;
	mc_soft = platform_device_register_simple("mdev_copy",
						  PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(mc_soft)) {
		ret = PTR_ERR(mc_soft);
		goto err_platform;
	}
	ret = pci_register_driver(&mc_pci_driver);
	if (ret)
		goto err_soft;
	return 0;

err_soft:
	platform_device_unregister(mc_soft);
err_platform:
	platform_driver_unregister(&mc_soft_driver);
err_mdev:
	mdev_unregister_driver(&mc_mdev_driver);
	return ret;
}

static void __exit mc_exit(void)
{
	pci_unregister_driver(&mc_pci_driver);
	platform_device_unregister(mc_soft);
	platform_driver_unregister(&mc_soft_driver);
	mdev_unregister_driver(&mc_mdev_driver);
}

module_init(mc_init);
module_exit(mc_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A copy, fill and CRC32 engine as mediated devices");
