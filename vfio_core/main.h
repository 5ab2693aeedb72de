/* SPDX-License-Identifier: GPL-2.0 */
/* What the C files of vfio.ko share: file operations, classes, a group's node. */
#ifndef VFIO_CORE_MAIN_H
#define VFIO_CORE_MAIN_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/types.h>

struct vfio_group;
struct vfio_iommu_driver_ops;

/**
 * struct shim_group_node - the node of a group, see vfio_core/shim/group_node.h
 * @dev: counts the references
 * @cdev: the character device
 * @group: the core's group
 */
struct shim_group_node {
	struct device dev;
	struct cdev cdev;
	struct vfio_group *group;
};

extern const struct file_operations vfio_container_fops;
extern const struct file_operations vfio_group_fops;
extern const struct file_operations vfio_device_fops;
extern const struct vfio_iommu_driver_ops vfio_noiommu_ops;

/* /dev/vfio/GROUP */
extern struct class *vfio_group_class;
extern dev_t vfio_group_devt;
/* /sys/class/vfio-dev */
extern struct class *vfio_device_class;

/* The folders that all others in debugfs are in. */
void vfio_shim_debugfs_init(void);
void vfio_shim_debugfs_cleanup(void);

/* Called when the module is unloaded. */
void vfio_shim_group_node_cleanup(void);
void vfio_shim_device_cleanup(void);

#endif
