/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Maps of a gated device's register windows: their faults go through the core, which lets them on
 * to the driver or has them wait. A struct shim_gate_map is the vm_operations_struct of such
 * maps: the driver's, with the functions that reach the device replaced. It serves all maps of
 * one device for which the driver has the same operations.
 */
#ifndef SHIM_GATE_MAP_H
#define SHIM_GATE_MAP_H

#include "shim/base.h"

struct inode;
struct poll_table_struct;
struct file;
struct shim_gate_map;
struct shim_waitq;
struct vfio_device;
struct vfio_gate;
struct vm_area_struct;
struct vm_fault;

/* What is to be done with a fault. */
enum shim_gate_fault {
	/* Let the driver serve it; then call vfio_core_gate_leave(). */
	SHIM_GATE_FAULT_SERVE,
	/* Fault again: the locks of the address space were released, unless it may not wait. */
	SHIM_GATE_FAULT_RETRY,
	/* It fails. */
	SHIM_GATE_FAULT_SIGBUS,
};

/* How a fault may wait. */
enum {
	/* The locks may be released for it. */
	SHIM_GATE_FAULT_MAY_WAIT = 1 << 0,
	/* The caller tries again by itself, and wants no wait. */
	SHIM_GATE_FAULT_NOWAIT = 1 << 1,
	/* The access was made in user mode, so that any signal can be delivered. */
	SHIM_GATE_FAULT_USER = 1 << 2,
	/* It is made on behalf of an address space that need not be the task's own. */
	SHIM_GATE_FAULT_REMOTE = 1 << 3,
};

SHIM_BEGIN

/**
 * shim_gate_map_possible() - whether a map can be gated
 * @vma: the map, set up by the driver
 * @inode: the inode of the device
 *
 * Return: false if the driver does not map pages one fault at a time, or if the map is not one of
 * the device's file.
 */
bool shim_gate_map_possible(const struct vm_area_struct *vma,
			    const struct inode *inode);

/**
 * shim_gate_map_create() - make the operations for gated maps
 * @vma: a map with the driver's operations
 * @device: the device
 * @gate: the gate
 *
 * Return: the operations, or NULL if there is no memory.
 */
struct shim_gate_map *shim_gate_map_create(const struct vm_area_struct *vma,
					   const struct vfio_device *device,
					   struct vfio_gate *gate);

/**
 * shim_gate_map_destroy() - free the operations
 * @map: the operations, which no map has any more
 */
void shim_gate_map_destroy(struct shim_gate_map *map);

/**
 * shim_gate_map_fits() - whether operations were made for those that a map has
 * @map: the operations
 * @vma: a map with the driver's operations
 */
bool shim_gate_map_fits(const struct shim_gate_map *map,
			const struct vm_area_struct *vma);

/**
 * shim_gate_map_use() - gate a map
 * @map: operations that fit
 * @vma: the map
 *
 * Context: in mmap(), before anything is mapped.
 */
void shim_gate_map_use(struct shim_gate_map *map, struct vm_area_struct *vma);

/**
 * shim_gate_map_refuse() - tell the driver that a map is not made after all
 * @vma: the map, set up by the driver
 */
void shim_gate_map_refuse(struct vm_area_struct *vma);

/**
 * shim_gate_fault_unlock() - release the lock of the address space that a fault came with
 * @fault: the fault, which may wait. Its map may be gone afterwards, and it ends by
 *	   SHIM_GATE_FAULT_RETRY
 */
void shim_gate_fault_unlock(struct vm_fault *fault);

/**
 * shim_gate_poll() - let poll() wait for a queue, too
 * @waitq: the queue
 * @file: the polled file
 * @table: poll()'s, or NULL
 */
void shim_gate_poll(struct shim_waitq *waitq, struct file *file,
		    struct poll_table_struct *table);

SHIM_END

#endif
