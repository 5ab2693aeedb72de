/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the guest begins: at protocol::kCode, in 64-bit mode, with an identity mapping of its
 * memory and of the device's registers, a stack, and no interrupts. The rest is guest.cpp.
 */
	.text
	.globl	start
start:
	call	guest_main
halt:
	hlt
	jmp	halt
	.section .note.GNU-stack,"",@progbits
