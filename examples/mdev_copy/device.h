/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every user of a mediated device needs of VFIO: its group in a container
 * of its own, memory that it may reach, its regions, an interrupt.
 *
 * Whatever fails ends the program with a message; the kernel then gives back
 * all that it had.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

struct device {
	int container, group, fd;
	int group_number;
};

/* printf to stderr, with strerror(errno) behind it; exits with 1. */
void die(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

/* The same for what is wrong without a system call having failed. */
#define refuse(...) (errno = 0, die(__VA_ARGS__))

void device_open(struct device *device, const char *uuid);
void device_close(struct device *device);

/* Memory of so many bytes that the device reaches at iova, zeroed. */
void *device_memory(struct device *device, uint64_t iova, size_t size);
/* After it the device reaches it no more. */
void device_memory_free(struct device *device, void *memory, uint64_t iova,
			size_t size);

uint64_t device_read(struct device *device, unsigned int region,
		     uint64_t offset, size_t size);
void device_write(struct device *device, unsigned int region, uint64_t offset,
		  size_t size, uint64_t value);
/* The region, to be loaded from and stored to. */
void *device_map(struct device *device, unsigned int region, size_t size);

/* An eventfd that counts the device's MSIs. */
int device_msi(struct device *device);

#endif
