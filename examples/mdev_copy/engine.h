/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A user's side of the copy engine: its ring, its doorbell, waiting. What the
 * registers and descriptors mean stands in samples/mdev_copy.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include <stdbool.h>
#include "device.h"
#include "mdev_copy.h"

struct engine {
	struct device *device;
	struct mdev_copy_desc *ring;
	size_t ring_bytes;
	uint32_t entries, tail;
	bool poll;			     /* the doorbell is mapped */
	struct mdev_copy_doorbell *doorbell; /* if it is */
	int msi;
	uint64_t exits;	     /* registers written for doorbells */
	uint64_t interrupts; /* MSIs that were waited for */
};

void engine_start(struct engine *engine, struct device *device, bool poll);
/* It touches no memory after; its registers say what it has done. */
void engine_stop(struct engine *engine);
void engine_free(struct engine *engine);

uint64_t engine_register(struct engine *engine, uint32_t offset, size_t size);

/* Puts a descriptor behind the others. The ring must have room. */
void engine_push(struct engine *engine, const struct mdev_copy_desc *desc);
uint32_t engine_room(const struct engine *engine, uint32_t pending);

/* Tells the engine, and waits until all that was pushed is done. */
void engine_run(struct engine *engine, uint32_t pending);

/* The descriptor that was pushed so many before the next one. */
struct mdev_copy_desc *engine_desc(struct engine *engine, uint32_t back);

const char *engine_error(uint32_t error);

#endif
