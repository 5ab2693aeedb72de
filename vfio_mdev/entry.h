/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C side of mdev.ko calls in the core. An unsuccessful call returns a
 * negative errno and has done nothing. The contracts of exported functions stand
 * in exports.c and vfio_cxx/mdev_pins.h, all others at the classes. All may sleep.
 */
#ifndef MDEV_ENTRY_H
#define MDEV_ENTRY_H

#include "shim/base.h"

struct mdev_core_device;
struct mdev_core_parent;
struct mdev_driver;
struct mdev_parent;
struct mdev_type;

SHIM_BEGIN

/* Pins, pins.cpp and pins_pin.cpp: all that drivers call, and their creation */
#include "vfio_cxx/mdev_pins.h"
int mdev_core_pins_create(struct vfio_device *vdev, struct device *dma_dev,
			  u32 direction, struct mdev_pins **pins);

/* MdevList, mdev_list.cpp: the module begins and ends with it */
int mdev_core_init(void);
void mdev_core_exit(void);

/* Drivers, driver.cpp */
int mdev_core_register_driver(struct mdev_driver *driver);

/* MdevParent, parent.cpp */
int mdev_core_register_parent(struct mdev_parent *parent, struct device *dev,
			      struct mdev_driver *driver,
			      struct mdev_type **types, u32 ntypes);
void mdev_core_unregister_parent(struct mdev_core_parent *parent);
void mdev_core_put_parent(struct mdev_core_parent *parent);
u32 mdev_core_available(struct mdev_core_parent *parent,
			struct mdev_type *type);

/* Mdev, mdev.cpp: create and remove return size, or a negative errno */
long mdev_core_create(struct mdev_core_parent *parent, struct mdev_type *type,
		      const char *text, size_t size);
long mdev_core_remove(struct mdev_core_device *mdev, const char *text,
		      size_t size);
void mdev_core_destroy(struct mdev_core_device *mdev);

SHIM_END

#endif
