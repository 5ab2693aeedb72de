/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What profile.c needs of QEMU's interface for TCG plugins, version 1 (QEMU 4.2
 * and later). Debian packages no header for it. It is documented in QEMU's
 * manual: Developer Information, TCG Emulation, QEMU TCG Plugins.
 */
#ifndef BENCH_QEMU_API_H
#define BENCH_QEMU_API_H

#include <stddef.h>
#include <stdint.h>

#define PLUGIN_API_VERSION 1

typedef uint64_t qemu_plugin_id_t;
struct qemu_info_t;
/* A translation block, and an instruction in it; valid while it is translated. */
struct qemu_plugin_tb;
struct qemu_plugin_insn;

/* Whether a callback touches the CPU's registers. */
enum qemu_plugin_cb_flags {
	QEMU_PLUGIN_CB_NO_REGS = 0
};
/* What may be done without a call. */
enum qemu_plugin_op {
	QEMU_PLUGIN_INLINE_ADD_U64 = 0
};

typedef void (*vcpu_tb_trans_cb_t)(qemu_plugin_id_t id,
				   struct qemu_plugin_tb *tb);
typedef void (*vcpu_insn_cb_t)(unsigned int vcpu, void *userdata);
typedef void (*exit_cb_t)(qemu_plugin_id_t id, void *userdata);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   vcpu_tb_trans_cb_t cb);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    vcpu_insn_cb_t cb,
					    enum qemu_plugin_cb_flags flags,
					    void *userdata);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn,
						enum qemu_plugin_op op,
						void *counter, uint64_t add);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, exit_cb_t cb,
				    void *userdata);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *
qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

#endif
