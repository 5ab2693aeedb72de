/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C side of mdev.ko calls in the core. An unsuccessful call returns a
 * negative errno and has done nothing. The contracts of exported functions stand
 * in exports.c and pins_exports.c, all others at the classes. All may sleep.
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
u32 mdev_core_description_mode(const struct mdev_core_parent *parent, u32 mode);

/* Types, type.cpp */
const char *mdev_core_type_title(const struct mdev_type *type);

/* Mdev, mdev.cpp: create and remove return size, or a negative errno */
long mdev_core_create(struct mdev_core_parent *parent, struct mdev_type *type,
		      const char *text, size_t size);
long mdev_core_remove(struct mdev_core_device *mdev, const char *text,
		      size_t size);
void mdev_core_destroy(struct mdev_core_device *mdev);

/* Pins, pins.cpp and pins_pin.cpp */
int mdev_core_pins_create(struct vfio_device *vdev, struct device *dma_dev,
			  u32 direction, struct mdev_pins **pins);
void mdev_core_pins_destroy(struct mdev_pins *pins);
int mdev_core_pins_pin(struct mdev_pins *pins, u64 iova, u64 npages, u32 prot);
u64 mdev_core_pins_unpin(struct mdev_pins *pins, u64 iova, u64 npages);
u64 mdev_core_pins_drop(struct mdev_pins *pins, u64 iova, u64 size);
bool mdev_core_pins_find(struct mdev_pins *pins, u64 iova,
			 struct mdev_core_pin_run *run);
int mdev_core_pins_for_each(struct mdev_pins *pins, u64 iova, u64 last,
			    mdev_core_pin_visit *visit, void *arg);
u64 mdev_core_pins_npages(struct mdev_pins *pins);
u64 mdev_core_pins_bytes(struct mdev_pins *pins);

SHIM_END

#endif
