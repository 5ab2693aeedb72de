// SPDX-License-Identifier: GPL-2.0
/*
 * The functions for eventfds that vfio.ko exports; in older kernels they are those of a module of
 * its own, vfio_virqfd.ko. As in exports.c, names, types and CRCs are the kernel's.
 */
#include <linux/module.h>
#include <linux/vfio.h>

#include "compat/exports.h"
#include "entry.h"
#include "vfio_core/shim/virqfd.h"

/**
 * vfio_virqfd_enable() - have a driver called when an eventfd is signaled
 * @opaque: first argument of both functions
 * @handler: called in any context; returns whether @thread is to be called. NULL stands
 *	     for yes.
 * @thread: called where it may sleep; may be NULL
 * @data: second argument of both functions
 * @pvirqfd: where the driver keeps the virqfd. It is NULL again when the virqfd is disabled, or
 *	     when userspace has closed the eventfd.
 * @fd: the eventfd, of the calling process
 *
 * If the eventfd has been signaled already, the driver is called at once. The driver serializes
 * calls for one @pvirqfd.
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM; -EBADF if @fd is no file, -EINVAL if it is no eventfd; -EBUSY if there is
 * a virqfd at @pvirqfd.
 */
int vfio_virqfd_enable(void *opaque, int (*handler)(void *, void *),
		       void (*thread)(void *, void *), void *data,
		       struct virqfd **pvirqfd, int fd)
{
	const struct shim_virqfd_calls calls = {
		.opaque = opaque,
		.handler = handler,
		.thread = thread,
		.data = data,
	};

	return vfio_core_virqfd_enable(&calls, pvirqfd, fd);
}
COMPAT_EXPORT_VIRQFD(vfio_virqfd_enable);

/**
 * vfio_virqfd_disable() - undo vfio_virqfd_enable()
 * @pvirqfd: where the driver keeps the virqfd, if there is one
 *
 * When this returns, the driver is not being called, and is not called again.
 *
 * Context: may sleep.
 */
void vfio_virqfd_disable(struct virqfd **pvirqfd)
{
	vfio_core_virqfd_disable(pvirqfd);
}
COMPAT_EXPORT_VIRQFD(vfio_virqfd_disable);

/**
 * vfio_virqfd_flush_thread() - wait until a virqfd's thread is not running
 * @pvirqfd: where the driver keeps the virqfd, if there is one
 *
 * Context: may sleep.
 */
void vfio_virqfd_flush_thread(struct virqfd **pvirqfd)
{
	vfio_core_virqfd_wait(pvirqfd);
}
COMPAT_EXPORT_VIRQFD(vfio_virqfd_flush_thread);
