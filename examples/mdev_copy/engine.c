// SPDX-License-Identifier: GPL-2.0
#include "engine.h"

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Above whatever else the program maps. */
#define RING_IOVA	0x1000000000ull
#define TIMEOUT_SECONDS 60

#define PCI	  VFIO_PCI_CONFIG_REGION_INDEX
#define REGISTERS VFIO_PCI_BAR0_REGION_INDEX
#define DOORBELL  VFIO_PCI_BAR2_REGION_INDEX

uint64_t engine_register(struct engine *engine, uint32_t offset, size_t size)
{
	return device_read(engine->device, REGISTERS, offset, size);
}

static void set(struct engine *engine, uint32_t offset, size_t size,
		uint64_t value)
{
	device_write(engine->device, REGISTERS, offset, size, value);
}

void engine_start(struct engine *engine, struct device *device, bool poll)
{
	uint32_t control = MDEV_COPY_CTRL_ENABLE;
	uint16_t command;

	*engine = (struct engine){ .device = device, .poll = poll };
	if (device_read(device, PCI, PCI_VENDOR_ID, 2) != MDEV_COPY_VENDOR_ID ||
	    engine_register(engine, MDEV_COPY_ID, 4) != MDEV_COPY_MAGIC)
		refuse("this is no copy engine");
	engine->entries = engine_register(engine, MDEV_COPY_RING_MAX, 4);
	engine->ring_bytes = engine->entries * sizeof(*engine->ring);
	engine->ring = device_memory(device, RING_IOVA, engine->ring_bytes);
	engine->msi = device_msi(device);

	/* DMA is off until the bus master bit is set. */
	command = device_read(device, PCI, PCI_COMMAND, 2);
	device_write(device, PCI, PCI_COMMAND, 2, command | PCI_COMMAND_MASTER);

	set(engine, MDEV_COPY_RING_BASE, 8, RING_IOVA);
	set(engine, MDEV_COPY_RING_SIZE, 4, engine->entries);
	if (poll) {
		engine->doorbell =
			device_map(device, DOORBELL, MDEV_COPY_BAR2_SIZE);
		control |= MDEV_COPY_CTRL_POLL;
	}
	set(engine, MDEV_COPY_CTRL, 4, control);
	if (engine_register(engine, MDEV_COPY_CTRL, 4) != control)
		refuse("the engine refused its ring");
}

void engine_stop(struct engine *engine)
{
	set(engine, MDEV_COPY_CTRL, 4, 0);
}

void engine_free(struct engine *engine)
{
	if (engine->poll)
		munmap(engine->doorbell, MDEV_COPY_BAR2_SIZE);
	device_memory_free(engine->device, engine->ring, RING_IOVA,
			   engine->ring_bytes);
	close(engine->msi);
}

/* One entry stays free, so that a full ring is not an empty one. */
uint32_t engine_room(const struct engine *engine, uint32_t pending)
{
	return engine->entries - 1 - pending;
}

void engine_push(struct engine *engine, const struct mdev_copy_desc *desc)
{
	engine->ring[engine->tail] = *desc;
	engine->tail = (engine->tail + 1) % engine->entries;
}

struct mdev_copy_desc *engine_desc(struct engine *engine, uint32_t back)
{
	return &engine->ring[(engine->tail + engine->entries - back) %
			     engine->entries];
}

static void ring_doorbell(struct engine *engine)
{
	volatile struct mdev_copy_doorbell *doorbell = engine->doorbell;

	if (!engine->poll) {
		set(engine, MDEV_COPY_TAIL, 4, engine->tail);
		engine->exits++;
		return;
	}
	/* Descriptors first, then the tail, then a look whether it sleeps. */
	atomic_thread_fence(memory_order_release);
	doorbell->tail = engine->tail;
	atomic_thread_fence(memory_order_seq_cst);
	if (doorbell->asleep) {
		set(engine, MDEV_COPY_KICK, 4, 1);
		engine->exits++;
	}
}

static bool is_done(volatile struct mdev_copy_desc *desc)
{
	bool done = desc->status & MDEV_COPY_DONE;

	/* The rest of the descriptor, and the data, are read behind this. */
	atomic_thread_fence(memory_order_acquire);
	return done;
}

static void wait_for_msi(struct engine *engine)
{
	struct pollfd event = { .fd = engine->msi, .events = POLLIN };
	uint64_t count;
	int n;

	n = poll(&event, 1, TIMEOUT_SECONDS * 1000);
	if (n < 0 && errno != EINTR)
		die("waiting for an interrupt");
	if (n == 0) {
		refuse("no interrupt within %d seconds", TIMEOUT_SECONDS);
	}
	if (n > 0 && read(engine->msi, &count, sizeof(count)) == sizeof(count))
		engine->interrupts += count;
}

static void check_halted(struct engine *engine)
{
	if (!(engine_register(engine, MDEV_COPY_STATUS, 4) &
	      MDEV_COPY_STATUS_HALTED))
		return;
	refuse("the ring has halted: %s, IOVA %#llx",
	       engine_error(engine_register(engine, MDEV_COPY_ERROR, 4)),
	       (unsigned long long)engine_register(engine, MDEV_COPY_FAULT_IOVA,
						   8));
}

static void wait_by_looking(struct engine *engine, struct mdev_copy_desc *desc)
{
	const struct timespec pause = { .tv_nsec = 20000 };
	time_t end = time(NULL) + TIMEOUT_SECONDS;

	/* A real user spins; this one leaves the processor to the engine. */
	while (!is_done(desc)) {
		if (time(NULL) > end) {
			check_halted(engine);
			refuse("nothing done within %d seconds",
			       TIMEOUT_SECONDS);
		}
		nanosleep(&pause, NULL);
	}
}

void engine_run(struct engine *engine, uint32_t pending)
{
	struct mdev_copy_desc *last = engine_desc(engine, 1), *desc;

	if (!engine->poll)
		last->flags |= MDEV_COPY_DESC_IRQ;
	ring_doorbell(engine);
	if (engine->poll) {
		wait_by_looking(engine, last);
	} else {
		/* One interrupt a batch, and one if the ring halts. */
		do {
			wait_for_msi(engine);
			check_halted(engine);
		} while (!is_done(last));
	}
	for (; pending; pending--) {
		desc = engine_desc(engine, pending);
		if (desc->status == MDEV_COPY_DONE)
			continue;
		refuse("a job failed: %s, IOVA %#llx",
		       engine_error(desc->status & ~MDEV_COPY_DONE),
		       (unsigned long long)desc->fault_iova);
	}
}

const char *engine_error(uint32_t error)
{
	switch (error) {
	case MDEV_COPY_OK:
		return "no error";
	case MDEV_COPY_ERR_OP:
		return "no such operation";
	case MDEV_COPY_ERR_LENGTH:
		return "bad length";
	case MDEV_COPY_ERR_OVERLAP:
		return "source and destination overlap";
	case MDEV_COPY_ERR_IOVA:
		return "nothing is mapped there";
	case MDEV_COPY_ERR_PROT:
		return "it is mapped for the other direction";
	case MDEV_COPY_ERR_RESOURCES:
		return "a page cannot be pinned (ulimit -l?)";
	case MDEV_COPY_ERR_PARENT:
		return "the parent's DMA engine does not answer";
	case MDEV_COPY_ERR_ABORTED:
		return "given up";
	case MDEV_COPY_ERR_RING:
		return "bad ring";
	case MDEV_COPY_ERR_TAIL:
		return "bad tail";
	case MDEV_COPY_ERR_MASTER:
		return "bus mastering is off";
	default:
		return "unknown error";
	}
}
