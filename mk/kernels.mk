# SPDX-License-Identifier: GPL-2.0
# The whole-stack tests on another of the kernels: make stack KERNEL=7.3

.PHONY: stack

stack:
	@tools/setup demo >&2
	@$(MAKE) --no-print-directory -s modules testmods stack_test >&2
	@tests/stack/run-vm ours
