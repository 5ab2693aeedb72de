# SPDX-License-Identifier: GPL-2.0
#
# bench counts the instructions of the kernel's modules and of ours in QEMU, and writes
# Documentation/benchmarks.md; bench-iommufd does so beside iommufd on a kernel that it builds once,
# for Documentation/benchmarks-later.md; bench-host times the core's data structures on this machine.

.PHONY: bench bench-iommufd bench-scale bench-host

# KERNEL=6.12 or 7.3: beside the modules of that kernel; nothing is written then.
# BENCH: arguments for tools/bench, e.g. BENCH='--no-bars --reuse thp-64m'
bench: modules testmods
	$(MAKE) -C bench
	tools/bench $(BENCH)

# Two threads against one, on two virtual CPUs that really run at once.
bench-scale: modules testmods
	$(MAKE) -C bench
	tools/bench --scale $(BENCH)

bench-iommufd:
	$(MAKE) -C bench
	tools/bench-iommufd $(BENCH)

bench-host:
	$(MAKE) -C bench/host run
