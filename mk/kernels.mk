# SPDX-License-Identifier: GPL-2.0
# The whole-stack tests on another of the kernels: make stack KERNEL=7.3; on the modules of that
# kernel and on ours, with the results compared: make compare KERNEL=7.3

.PHONY: stack compare

stack:
	@tools/setup demo >&2
	@$(MAKE) --no-print-directory -s modules testmods stack_test >&2
	@tests/stack/run-vm ours

compare:
	@tools/setup check >&2
	@$(MAKE) --no-print-directory -s -j$$(nproc) modules examples testmods stack_test >&2
	@tools/check compare
