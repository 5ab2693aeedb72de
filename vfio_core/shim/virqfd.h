/* SPDX-License-Identifier: GPL-2.0 */
/*
 * struct virqfd, which the kernel declares: an eventfd whose events call a driver, and the
 * works that it needs. virqfd.cpp decides when.
 */
#ifndef SHIM_VIRQFD_H
#define SHIM_VIRQFD_H

#include "shim/base.h"

struct file;
struct virqfd;

/**
 * struct shim_virqfd_calls - what a driver wants to be called with
 * @opaque: first argument
 * @handler: called with each event, and may not sleep; returns whether @thread is to be
 *	     called; may be NULL, which stands for yes
 * @thread: called in a work; may be NULL
 * @data: second argument
 */
struct shim_virqfd_calls {
	void *opaque;
	int (*handler)(void *opaque, void *data);
	void (*thread)(void *opaque, void *data);
	void *data;
};

SHIM_BEGIN

/**
 * shim_virqfd_init() - make the queue of works
 *
 * Return: 0 or -ENOMEM.
 */
int shim_virqfd_init(void);

/**
 * shim_virqfd_exit() - undo shim_virqfd_init(), when there is no virqfd any more
 */
void shim_virqfd_exit(void);

/**
 * shim_virqfd_create() - make a virqfd without an eventfd
 * @calls: what the driver wants
 * @slot: where the driver keeps the virqfd while it is enabled
 *
 * Context: may sleep.
 * Return: the virqfd, or NULL if there is no memory.
 */
struct virqfd *shim_virqfd_create(const struct shim_virqfd_calls *calls,
				  struct virqfd **slot);

/**
 * shim_virqfd_free() - free a virqfd that has no eventfd
 * @virqfd: the virqfd
 */
void shim_virqfd_free(struct virqfd *virqfd);

/**
 * shim_virqfd_slot() - where the driver keeps the virqfd
 * @virqfd: the virqfd
 */
struct virqfd **shim_virqfd_slot(const struct virqfd *virqfd);

/**
 * shim_virqfd_bind() - give a virqfd its eventfd
 * @virqfd: the virqfd
 * @file: the eventfd
 *
 * Return: 0, or -EINVAL if @file is no eventfd.
 */
int shim_virqfd_bind(struct virqfd *virqfd, struct file *file);

/**
 * shim_virqfd_unbind() - undo shim_virqfd_bind()
 * @virqfd: a virqfd that is not watched
 */
void shim_virqfd_unbind(struct virqfd *virqfd);

/**
 * shim_virqfd_watch() - have vfio_core_virqfd_event() called from now on
 * @virqfd: the virqfd
 * @file: its eventfd
 *
 * Return: whether there is an event already, of which nothing is told.
 */
bool shim_virqfd_watch(struct virqfd *virqfd, struct file *file);

/**
 * shim_virqfd_unwatch() - undo shim_virqfd_watch(), and wait for the driver's thread
 * @virqfd: the virqfd
 *
 * Context: may sleep.
 */
void shim_virqfd_unwatch(struct virqfd *virqfd);

/**
 * shim_virqfd_consume() - set the eventfd's counter back
 * @virqfd: the virqfd
 *
 * Context: vfio_core_virqfd_event().
 */
void shim_virqfd_consume(struct virqfd *virqfd);

/**
 * shim_virqfd_handle() - call the driver's handler
 * @virqfd: the virqfd
 *
 * Context: does not sleep.
 * Return: whether the driver's thread is to be called.
 */
bool shim_virqfd_handle(struct virqfd *virqfd);

/**
 * shim_virqfd_has_thread() - whether the driver has a thread
 * @virqfd: the virqfd
 */
bool shim_virqfd_has_thread(const struct virqfd *virqfd);

/**
 * shim_virqfd_queue_thread() - have the driver's thread called, in a work
 * @virqfd: the virqfd, whose driver has a thread
 *
 * Context: any.
 */
void shim_virqfd_queue_thread(struct virqfd *virqfd);

/**
 * shim_virqfd_queue_shutdown() - have vfio_core_virqfd_shutdown() called, in a work
 * @virqfd: the virqfd
 *
 * Context: any.
 */
void shim_virqfd_queue_shutdown(struct virqfd *virqfd);

/**
 * shim_virqfd_queue_wait() - have a work wait for the driver's thread
 * @virqfd: the virqfd
 *
 * Context: any.
 */
void shim_virqfd_queue_wait(struct virqfd *virqfd);

/**
 * shim_virqfd_drain() - wait for all shutdowns and waits that are queued
 *
 * Context: may sleep.
 */
void shim_virqfd_drain(void);

/**
 * shim_virqfd_lock() - take the lock of all slots
 *
 * Context: any; interrupts are off until shim_virqfd_unlock().
 * Return: what shim_virqfd_unlock() needs.
 */
unsigned long shim_virqfd_lock(void);

/**
 * shim_virqfd_unlock() - release the lock of all slots
 * @flags: what shim_virqfd_lock() returned
 */
void shim_virqfd_unlock(unsigned long flags);

SHIM_END

#endif
