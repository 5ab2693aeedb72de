// SPDX-License-Identifier: GPL-2.0
/*
 * mdev_copy [--poll] [--jobs N] [--size BYTES] UUID
 *
 * Gives a copy engine work, a ring full at a time, and compares all of it with
 * what this processor makes of the same data. A round is three jobs: a block
 * is filled with a pattern, copied to a place that is not aligned, and the
 * copy's CRC taken. Blocks lie apart, so that the engine pins some pages of
 * the memory and not all.
 *
 * stdout has one "key: value" a line. Exit status: 0 if all was right, 1 if
 * not, 2 for a bad command line.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine.h"

#define SOURCE_IOVA 0x10000000ull
#define TARGET_IOVA 0x40000000ull
#define PAGE	    4096u
/* A page of every so many is used. */
#define SPREAD 8u

struct work {
	struct engine *engine;
	uint8_t *source, *target;
	uint32_t blocks;     /* in each of the two */
	uint32_t block_size; /* bytes, a multiple of 4 */
	uint32_t stride;     /* from block to block */
	uint64_t rounds, bytes;
};

static uint32_t crc32(const uint8_t *data, size_t size)
{
	uint32_t crc = ~0u;

	while (size--) {
		crc ^= *data++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return crc;
}

static uint32_t pattern(uint64_t round)
{
	return (uint32_t)(round * 0x9e3779b1u) ^ 0x5bd1e995u;
}

/* Where the copy of a block begins: anywhere in its page. */
static uint32_t shift(uint64_t round)
{
	return 1 + (uint32_t)(round * 1117 % (PAGE - 1));
}

static void push_round(struct work *work, uint64_t round, uint32_t block)
{
	const uint64_t from = SOURCE_IOVA + (uint64_t)block * work->stride;
	const uint64_t to = TARGET_IOVA + (uint64_t)block * work->stride +
			    shift(round);
	struct mdev_copy_desc desc = {
		.op = MDEV_COPY_OP_FILL,
		.dst = from,
		.length = work->block_size,
		.value = pattern(round),
	};

	engine_push(work->engine, &desc);
	desc = (struct mdev_copy_desc){
		.op = MDEV_COPY_OP_COPY,
		.src = from,
		.dst = to,
		.length = work->block_size,
	};
	engine_push(work->engine, &desc);
	desc = (struct mdev_copy_desc){
		.op = MDEV_COPY_OP_CRC32,
		.src = to,
		.length = work->block_size,
		.value = ~0u,
	};
	engine_push(work->engine, &desc);
}

static void check_round(struct work *work, uint64_t round, uint32_t block,
			const struct mdev_copy_desc *crc_desc)
{
	const uint8_t *copy = work->target + (uint64_t)block * work->stride +
			      shift(round);
	const uint32_t want = pattern(round);

	for (uint32_t i = 0; i < work->block_size; i += 4)
		if (memcmp(copy + i, &want, 4))
			refuse("round %llu: byte %u of the copy is wrong",
			       (unsigned long long)round, i);
	if (copy[-1] || copy[work->block_size])
		refuse("round %llu: written beyond the block",
		       (unsigned long long)round);
	if (crc_desc->result != crc32(copy, work->block_size))
		refuse("round %llu: CRC %08x is not %08x",
		       (unsigned long long)round, crc_desc->result,
		       crc32(copy, work->block_size));
	work->bytes += work->block_size;
}

static void run(struct work *work)
{
	uint32_t batch, i;
	uint64_t round;

	for (round = 0; round < work->rounds; round += batch) {
		batch = engine_room(work->engine, 0) / 3;
		if (batch > work->blocks)
			batch = work->blocks;
		if (batch > work->rounds - round)
			batch = work->rounds - round;
		/* What is left of earlier rounds would look like this one's. */
		memset(work->target, 0, (size_t)work->blocks * work->stride);
		for (i = 0; i < batch; i++)
			push_round(work, round + i, i);
		engine_run(work->engine, 3 * batch);
		for (i = 0; i < batch; i++)
			check_round(work, round + i, i,
				    engine_desc(work->engine,
						3 * (batch - 1 - i) + 1));
	}
}

static uint64_t number(const char *text, const char *option, uint64_t most)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 0);

	if (!*text || *end || !value || value > most) {
		fprintf(stderr, "mdev_copy: --%s wants 1 to %llu\n", option,
			(unsigned long long)most);
		exit(2);
	}
	return value;
}

static void usage(void)
{
	fputs("usage: mdev_copy [--poll] [--jobs N] [--size BYTES] UUID\n",
	      stderr);
	exit(2);
}

static void report(struct work *work, struct device *device, const char *uuid)
{
	struct engine *engine = work->engine;
	const uint64_t pinned = engine_register(engine, MDEV_COPY_PINNED, 8);

	printf("device: %s, group %d\n", uuid, device->group_number);
	printf("ring: %u entries\n", engine->entries);
	printf("moved by: %s\n", engine_register(engine, MDEV_COPY_CAPS, 4) &
						 MDEV_COPY_CAP_PARENT ?
					 "the parent's DMA engine" :
					 "the CPU");
	printf("doorbell: %s\n", engine->poll ? "mapped" : "trapped");
	printf("jobs: %llu\n", (unsigned long long)engine_register(
				       engine, MDEV_COPY_COMPLETED, 8));
	printf("bytes: %llu filled, copied and compared\n",
	       (unsigned long long)work->bytes);
	printf("exits: %llu for doorbells\n",
	       (unsigned long long)engine->exits);
	printf("interrupts: %llu\n", (unsigned long long)engine->interrupts);
	printf("pinned: %llu pages of %llu mapped, %llu bytes to remember them\n",
	       (unsigned long long)pinned,
	       (unsigned long long)work->blocks * work->stride / PAGE * 2,
	       (unsigned long long)engine_register(engine, MDEV_COPY_PIN_MEMORY,
						   8));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "poll", no_argument, NULL, 'p' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "size", required_argument, NULL, 's' },
		{},
	};
	struct engine engine;
	struct work work = { .engine = &engine, .block_size = 10000 };
	struct device device;
	uint64_t jobs = 600;
	bool poll = false;
	size_t bytes;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			poll = true;
			break;
		case 'j':
			jobs = number(optarg, "jobs", 1000000);
			break;
		case 's':
			work.block_size = number(optarg, "size", 1 << 18);
			break;
		default:
			usage();
		}
	}
	if (optind != argc - 1)
		usage();
	work.block_size = (work.block_size + 3) / 4 * 4;
	work.rounds = (jobs + 2) / 3;

	device_open(&device, argv[optind]);
	engine_start(&engine, &device, poll);
	work.stride = (work.block_size / PAGE + 2) * SPREAD * PAGE;
	work.blocks = engine_room(&engine, 0) / 3;
	if (work.blocks > 32)
		work.blocks = 32;
	bytes = (size_t)work.blocks * work.stride;
	work.source = device_memory(&device, SOURCE_IOVA, bytes);
	work.target = device_memory(&device, TARGET_IOVA, bytes);

	run(&work);
	engine_stop(&engine);
	report(&work, &device, argv[optind]);
	engine_free(&engine);
	device_memory_free(&device, work.source, SOURCE_IOVA, bytes);
	device_memory_free(&device, work.target, TARGET_IOVA, bytes);
	device_close(&device);
	puts("compared: all equal");
	return 0;
}
