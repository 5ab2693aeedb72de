/* SPDX-License-Identifier: GPL-2.0 */
/* The eventfd by which a user of a gated device is told. */
#ifndef SHIM_GATE_EVENT_H
#define SHIM_GATE_EVENT_H

#include "shim/base.h"

struct eventfd_ctx;

SHIM_BEGIN

/**
 * shim_gate_event_get() - take a reference to an eventfd
 * @fd: the calling process's descriptor
 * @event: where to put it
 *
 * Return: 0; -EBADF, or -EINVAL if it is no eventfd.
 */
int shim_gate_event_get(int fd, struct eventfd_ctx **event);

/**
 * shim_gate_event_put() - undo shim_gate_event_get()
 * @event: the eventfd
 */
void shim_gate_event_put(struct eventfd_ctx *event);

/**
 * shim_gate_event_signal() - add one to the counter
 * @event: the eventfd
 *
 * Context: any.
 */
void shim_gate_event_signal(struct eventfd_ctx *event);

SHIM_END

#endif
