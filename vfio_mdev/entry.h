/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C side of mdev.ko calls in the core: the files of parents, types
 * and mediated devices, and what its exported functions do.
 *
 * An unsuccessful call returns a negative errno and has done nothing, unless it
 * says otherwise. All may sleep unless they say otherwise.
 */
#ifndef MDEV_ENTRY_H
#define MDEV_ENTRY_H

#include "shim/base.h"

struct device;
struct mdev_core_device;
struct mdev_core_parent;
struct mdev_driver;
struct mdev_parent;
struct mdev_pins;
struct mdev_type;
struct vfio_device;

/** struct mdev_core_pin_run - struct mdev_pin_run, for C++ */
struct mdev_core_pin_run {
	u64 iova;
	u64 npages;
	u64 pfn;
	u64 dma;
	u32 count;
};

/* Called for each run; returns 0 to go on. */
typedef int mdev_core_pin_visit(const struct mdev_core_pin_run *run, void *arg);

SHIM_BEGIN

/* The module. */

/**
 * mdev_core_init() - set the core up; before anything else
 *
 * Return: 0 or -ENOMEM.
 */
int mdev_core_init(void);

/**
 * mdev_core_exit() - undo mdev_core_init(); nothing is registered
 */
void mdev_core_exit(void);

/* Drivers. */

/**
 * mdev_core_register_driver() - mdev_register_driver()
 * @driver: the driver
 *
 * Return: 0, -EINVAL without a device_api, or an error of the bus.
 */
int mdev_core_register_driver(struct mdev_driver *driver);

/* Parents. */

/**
 * mdev_core_register_parent() - mdev_register_parent()
 * @parent: the driver's struct, of any contents
 * @dev: the device
 * @driver: what its mediated devices are bound to
 * @types: the types that it has
 * @ntypes: how many
 *
 * Return: 0, -ENOMEM, -EEXIST if two types have one name, an error of sysfs.
 */
int mdev_core_register_parent(struct mdev_parent *parent, struct device *dev,
			      struct mdev_driver *driver,
			      struct mdev_type **types, u32 ntypes);

/**
 * mdev_core_unregister_parent() - mdev_unregister_parent()
 * @parent: the core's parent; gone when nobody refers to it
 *
 * Waits for as long as a mediated device of it is open.
 */
void mdev_core_unregister_parent(struct mdev_core_parent *parent);

/**
 * mdev_core_put_parent() - the parent's directory has gone
 * @parent: the core's parent
 */
void mdev_core_put_parent(struct mdev_core_parent *parent);

/* Files of a type. */

/**
 * mdev_core_create() - the file `create` was written
 * @parent: whose type it is
 * @type: the type
 * @text: what was written: a UUID
 * @size: bytes of it
 *
 * Return: @size, -EINVAL for no UUID, -EEXIST if there is a device of it,
 * -EUSERS if no more can be made, -ENODEV if @parent is not registered, -ENOMEM,
 * or errors of the driver.
 */
long mdev_core_create(struct mdev_core_parent *parent, struct mdev_type *type,
		      const char *text, size_t size);

/**
 * mdev_core_available() - what the file `available_instances` says
 * @parent: whose type it is
 * @type: the type
 */
u32 mdev_core_available(struct mdev_core_parent *parent,
			struct mdev_type *type);

/**
 * mdev_core_type_title() - what the file `name` says
 * @type: the type
 *
 * Context: any.
 */
const char *mdev_core_type_title(const struct mdev_type *type);

/**
 * mdev_core_description_mode() - of what mode the file `description` is
 * @parent: whose type it is
 * @mode: its mode if it is there
 *
 * Context: any.
 * Return: @mode, or 0 if there is no such file.
 */
u32 mdev_core_description_mode(const struct mdev_core_parent *parent, u32 mode);

/* A mediated device. */

/**
 * mdev_core_remove() - the file `remove` was written
 * @mdev: the device; may be gone afterwards
 * @text: what was written: a number, anything but 0 removes the device
 * @size: bytes of it
 *
 * Waits for as long as the device is open.
 *
 * Return: @size, also if another is removing it; -EINVAL for no number, -EAGAIN
 * if it is not complete, -ENODEV if its parent is being unregistered.
 */
long mdev_core_remove(struct mdev_core_device *mdev, const char *text,
		      size_t size);

/**
 * mdev_core_destroy() - nothing refers to a device any more
 * @mdev: the device
 */
void mdev_core_destroy(struct mdev_core_device *mdev);

/* Pins: what the functions of vfio_cxx/mdev_pins.h do, whose contract stands
 * where they are exported. */

/**
 * mdev_core_pins_create() - mdev_pins_create()
 * @vdev: whose pins
 * @dma_dev: what maps them for DMA, or NULL
 * @direction: enum dma_data_direction
 * @pins: where to put it
 *
 * Return: 0, -EINVAL or -ENOMEM.
 */
int mdev_core_pins_create(struct vfio_device *vdev, struct device *dma_dev,
			  u32 direction, struct mdev_pins **pins);

/**
 * mdev_core_pins_destroy() - mdev_pins_destroy()
 * @pins: the pins, or NULL
 */
void mdev_core_pins_destroy(struct mdev_pins *pins);

/**
 * mdev_core_pins_pin() - mdev_pins_pin()
 * @pins: the pins
 * @iova: address of the first page
 * @npages: how many
 * @prot: SHIM_IOMMU_READ, SHIM_IOMMU_WRITE
 *
 * Return: 0 or a negative errno.
 */
int mdev_core_pins_pin(struct mdev_pins *pins, u64 iova, u64 npages, u32 prot);

/**
 * mdev_core_pins_unpin() - mdev_pins_unpin()
 * @pins: the pins
 * @iova: address of the first page
 * @npages: how many
 *
 * Return: how many were pinned.
 */
u64 mdev_core_pins_unpin(struct mdev_pins *pins, u64 iova, u64 npages);

/**
 * mdev_core_pins_drop() - mdev_pins_drop()
 * @pins: the pins
 * @iova: first address
 * @size: bytes
 *
 * Return: how many pages were pinned.
 */
u64 mdev_core_pins_drop(struct mdev_pins *pins, u64 iova, u64 size);

/**
 * mdev_core_pins_find() - mdev_pins_find()
 * @pins: the pins
 * @iova: an address
 * @run: where to put what is there
 *
 * Return: whether it is pinned.
 */
bool mdev_core_pins_find(struct mdev_pins *pins, u64 iova,
			 struct mdev_core_pin_run *run);

/**
 * mdev_core_pins_for_each() - mdev_pins_for_each()
 * @pins: the pins
 * @iova: first address
 * @last: last address
 * @visit: called for each run
 * @arg: its argument
 *
 * Return: what the last call of @visit returned, or 0.
 */
int mdev_core_pins_for_each(struct mdev_pins *pins, u64 iova, u64 last,
			    mdev_core_pin_visit *visit, void *arg);

/**
 * mdev_core_pins_npages() - mdev_pins_npages()
 * @pins: the pins
 */
u64 mdev_core_pins_npages(struct mdev_pins *pins);

/**
 * mdev_core_pins_bytes() - mdev_pins_bytes()
 * @pins: the pins
 */
u64 mdev_core_pins_bytes(struct mdev_pins *pins);

SHIM_END

#endif
