/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a doorbell is made of: an eventfd whose signals call the core, by the kernel's virqfd,
 * and a work that calls it again in a thread. doorbell.cpp decides when.
 */
#ifndef SHIM_DOORBELL_H
#define SHIM_DOORBELL_H

#include "shim/base.h"

struct virqfd;
struct zpci_doorbell;

/** struct shim_doorbell - storage of a doorbell */
struct shim_doorbell {
	struct zpci_doorbell *owner;
	struct virqfd *virqfd;
	u64 work[SHIM_WORK_WORDS];
};

SHIM_BEGIN

/**
 * shim_doorbells_init() - make the queue of works
 *
 * Return: 0 or -ENOMEM.
 */
int shim_doorbells_init(void);

/**
 * shim_doorbells_exit() - undo shim_doorbells_init(), when there is no doorbell any more
 */
void shim_doorbells_exit(void);

/**
 * shim_doorbell_init() - make a doorbell that no eventfd rings
 * @doorbell: storage
 * @owner: whom the core is called for
 */
void shim_doorbell_init(struct shim_doorbell *doorbell,
			struct zpci_doorbell *owner);

/**
 * shim_doorbell_bind() - have zpci_doorbell_rung() called when an eventfd is signaled
 * @doorbell: the doorbell
 * @eventfd: a descriptor of the calling process
 *
 * zpci_doorbell_rung() is called by whoever signals the eventfd, mostly with the lock of its
 * wait queue held and interrupts off; at once if the eventfd is signaled already. Closing the
 * eventfd ends that.
 *
 * Context: may sleep.
 * Return: 0; -EBADF or -EINVAL if @eventfd is none, -ENOMEM.
 */
int shim_doorbell_bind(struct shim_doorbell *doorbell, int eventfd);

/**
 * shim_doorbell_unbind() - undo shim_doorbell_bind() and shim_doorbell_defer()
 * @doorbell: the doorbell
 *
 * When this returns, the core is not being called for the doorbell, and is not called again.
 *
 * Context: may sleep.
 */
void shim_doorbell_unbind(struct shim_doorbell *doorbell);

/**
 * shim_doorbell_defer() - have zpci_doorbell_work() called in a thread
 * @doorbell: the doorbell
 *
 * Context: any.
 */
void shim_doorbell_defer(struct shim_doorbell *doorbell);

/** shim_in_task() - whether the caller is a thread, and no interrupt */
bool shim_in_task(void);

SHIM_END

#endif
