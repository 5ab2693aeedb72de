/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What vfio.ko tells of the frames of gated devices (vfio_cxx/gate_frames.h). The kernel's own
 * vfio.ko has no such devices.
 */
#ifndef SHIM_GATE_H
#define SHIM_GATE_H

#include "shim/base.h"

struct vfio_gate_listener;

SHIM_BEGIN

/**
 * shim_gate_listen() - be told when frames are shut, or are not any more
 * @changed: called then, see vfio_gate_listen()
 * @data: its argument
 * @listener: where to put the listener; NULL if vfio.ko has no gated devices
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int shim_gate_listen(int (*changed)(void *data), void *data,
		     struct vfio_gate_listener **listener);

/**
 * shim_gate_unlisten() - undo shim_gate_listen()
 * @listener: the listener, which is freed
 *
 * Context: may sleep. Waits until @changed has returned.
 */
void shim_gate_unlisten(struct vfio_gate_listener *listener);

/**
 * shim_gate_frames_shut() - whether one of some frames may not be reached now
 * @listener: a listener
 * @pfn: the first
 * @npages: how many
 *
 * Context: may sleep.
 */
bool shim_gate_frames_shut(const struct vfio_gate_listener *listener, u64 pfn,
			   u64 npages);

SHIM_END

#endif
