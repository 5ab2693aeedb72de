# SPDX-License-Identifier: GPL-2.0
# Tests for s390x, a big-endian machine, with Debian's cross compiler and in QEMU.

.PHONY: host-s390x stack-s390x check-native kvm-patch

# The cores' tests, in qemu-user and without sanitizers.
host-s390x:
	$(MAKE) -C tests/host check CXX=s390x-linux-gnu-g++

# The whole-stack tests on Debian's 6.12 for that machine. FILTER: of GoogleTest.
stack-s390x:
	@$(MAKE) --no-print-directory KERNEL=6.12-s390x modules testmods 1>&2
	@tests/stack/run-s390x ours $(if $(FILTER),'$(FILTER)')

# The modules built on that machine, emulated, by its own compiler, and loaded there. As root.
check-native:
	tools/setup check
	tools/check-native

# The kernel patch by which KVM of s390 calls vfio_zpci: that it applies, and compiles.
kvm-patch:
	@tools/kvm-patch
