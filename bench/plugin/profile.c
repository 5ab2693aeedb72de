// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU: how often each instruction of the guest is executed between
 * the two marks that bench/ executes (meter.hpp).
 *
 *   -plugin file=profile.so,output=FILE
 *
 * QEMU counts every instruction always, with code of its own (an inline add: no
 * call). At the first mark all counts so far are remembered; at the second FILE
 * gets a line "window", and for each address executed since then a line
 * "ADDRESS COUNT", in hexadecimal and decimal. One virtual CPU only.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_api.h"

/* QEMU looks for these two by name. */
extern int qemu_plugin_version;
int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info,
			int argc, char **argv);

int qemu_plugin_version = PLUGIN_API_VERSION;

/* nopl DISPLACEMENT(%rax), the displacement being one of the two. */
#define MARK_SIZE 7
static const uint8_t mark_begin[MARK_SIZE] = { 0x0f, 0x1f, 0x80, 0x31,
					       0x78, 0x66, 0x76 };
static const uint8_t mark_end[MARK_SIZE] = { 0x0f, 0x1f, 0x80, 0x32,
					     0x78, 0x66, 0x76 };

struct counter {
	uint64_t address;
	uint64_t executed; /* QEMU adds to it */
	uint64_t before;   /* executed, when the last mark_begin was */
	struct counter *next;
};

/* A hash table of counters, which stay where they are: QEMU's code points to them. */
#define NBUCKETS 65536
static struct counter *buckets[NBUCKETS];
static bool counting;
static FILE *output;

static struct counter *counter_of(uint64_t address)
{
	struct counter **bucket =
		&buckets[(address ^ address >> 16) % NBUCKETS];
	struct counter *counter;

	for (counter = *bucket; counter; counter = counter->next)
		if (counter->address == address)
			return counter;
	counter = calloc(1, sizeof(*counter));
	if (!counter)
		abort();
	counter->address = address;
	counter->next = *bucket;
	*bucket = counter;
	return counter;
}

static void begin(unsigned int vcpu, void *userdata)
{
	(void)vcpu;
	(void)userdata;
	for (size_t i = 0; i < NBUCKETS; i++)
		for (struct counter *counter = buckets[i]; counter;
		     counter = counter->next)
			counter->before = counter->executed;
	counting = true;
}

static void end(unsigned int vcpu, void *userdata)
{
	(void)vcpu;
	(void)userdata;
	if (!counting)
		return;
	fprintf(output, "window\n");
	for (size_t i = 0; i < NBUCKETS; i++)
		for (struct counter *counter = buckets[i]; counter;
		     counter = counter->next)
			if (counter->executed != counter->before)
				fprintf(output, "%" PRIx64 " %" PRIu64 "\n",
					counter->address,
					counter->executed - counter->before);
	counting = false;
}

static bool is_mark(const struct qemu_plugin_insn *insn, const uint8_t *mark)
{
	return qemu_plugin_insn_size(insn) == MARK_SIZE &&
	       !memcmp(qemu_plugin_insn_data(insn), mark, MARK_SIZE);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		struct counter *counter =
			counter_of(qemu_plugin_insn_vaddr(insn));

		qemu_plugin_register_vcpu_insn_exec_inline(
			insn, QEMU_PLUGIN_INLINE_ADD_U64, &counter->executed,
			1);
		if (is_mark(insn, mark_begin))
			qemu_plugin_register_vcpu_insn_exec_cb(
				insn, begin, QEMU_PLUGIN_CB_NO_REGS, NULL);
		else if (is_mark(insn, mark_end))
			qemu_plugin_register_vcpu_insn_exec_cb(
				insn, end, QEMU_PLUGIN_CB_NO_REGS, NULL);
	}
}

static void finish(qemu_plugin_id_t id, void *userdata)
{
	(void)id;
	(void)userdata;
	if (fclose(output))
		perror("profile");
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info,
			int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "output=", 7)) {
		fprintf(stderr, "profile: output=FILE is wanted\n");
		return -1;
	}
	output = fopen(argv[0] + 7, "w");
	if (!output) {
		perror(argv[0] + 7);
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
