# SPDX-License-Identifier: GPL-2.0
#
# vfio-cxx for people. The modules are built by the kernel's own Kbuild, from
# the file of that name beside this one; `make -C $KDIR M=$PWD modules` does
# the same without it. `make help` lists the targets.

ifneq ($(KERNELRELEASE),)
$(error Kbuild reads the file Kbuild, not this one)
endif

# The kernel to build for; Debian's newest 6.1 headers if none is named.
KDIR ?= $(shell tools/kernel-env kdir 2>/dev/null)
export KDIR

RELEASE = $(shell tools/kernel-env release)
UPDATES = $(INSTALL_MOD_PATH)/lib/modules/$(RELEASE)/updates
KBUILD = $(MAKE) -C $(KDIR) M=$(CURDIR)
MODULES := vfio_core/vfio.ko vfio_type1/vfio_iommu_type1.ko vfio_mdev/mdev.ko

.PHONY: all modules modules_install install uninstall clean help demo check \
	examples samples testmods stack_test host-test

all: modules

# The + is for make -j, which does not see that KBUILD is a make.
modules: | headers
	+$(KBUILD) modules

.PHONY: headers
headers:
	@test -n "$(KDIR)" || { echo "no kernel headers found: install linux-headers-amd64 (tools/setup demo does), or set KDIR" >&2; exit 1; }

modules_install: modules
	$(KBUILD) INSTALL_MOD_DIR=updates modules_install

# For the kernel in KDIR: our modules go beside the distribution's, into
# updates/, which depmod prefers.
install: modules_install
	depmod $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) $(RELEASE)
	@echo "The next modprobe of $(RELEASE) takes $(UPDATES)."

uninstall:
	rm -f $(addprefix $(UPDATES)/,$(addsuffix *,$(MODULES)))
	-rmdir --ignore-fail-on-non-empty $(addprefix $(UPDATES)/,$(dir $(MODULES))) 2>/dev/null
	depmod $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) $(RELEASE)

examples:
	$(MAKE) -C examples/nvme
	$(MAKE) -C examples/mdev_copy

# A mediated device of ours: a driver to read, and the tests drive it.
samples: modules
	$(MAKE) -C $(KDIR) M=$(CURDIR)/samples/mdev_copy \
		KBUILD_EXTRA_SYMBOLS=$(CURDIR)/Module.symvers modules

# What the tests run in QEMU: kernel modules that drive ours, and a program.
testmods: samples | headers
	$(MAKE) -C $(KDIR) M=$(CURDIR)/tests/kmod modules
	tools/sample-drivers >/dev/null

stack_test:
	$(MAKE) -C tests/stack

host-test:
	$(MAKE) -C tests/host check

# These two install what they need, when it is missing.
demo:
	tools/setup demo
	$(MAKE) -j$$(nproc) modules examples
	tools/demo

check:
	tools/setup check
	$(MAKE) -j$$(nproc) modules examples testmods stack_test
	tools/check

clean:
	-test -z "$(KDIR)" || $(KBUILD) clean
	-test -z "$(KDIR)" || $(MAKE) -C $(KDIR) M=$(CURDIR)/tests/kmod clean
	-test -z "$(KDIR)" || $(MAKE) -C $(KDIR) M=$(CURDIR)/samples/mdev_copy clean
	$(MAKE) -C examples/nvme clean
	$(MAKE) -C examples/mdev_copy clean
	$(MAKE) -C tests/stack clean
	rm -rf build

help:
	@echo 'vfio-cxx: VFIO for Linux, out of tree, with a C++ core'
	@echo
	@echo '  make              build vfio.ko, vfio_iommu_type1.ko, mdev.ko'
	@echo '  make KDIR=DIR     for the kernel built or packaged in DIR'
	@echo '  make demo         a userspace NVMe driver on our modules, in QEMU'
	@echo '  make samples      mdev_copy.ko, a mediated device; samples/mdev_copy'
	@echo '  make check        all tests: lint, host, whole stack in QEMU'
	@echo '  make install      into updates/ of the kernel in KDIR, and depmod'
	@echo '  make uninstall    the way back'
	@echo '  make modules_install INSTALL_MOD_PATH=DIR'
	@echo '  make host-test    the C++ core on this machine, with sanitizers'
	@echo '  make lint         all lint; each lint-* runs alone:'
	@echo '                    $(LINTS)'
	@echo '  make fuzz SECONDS=60  libFuzzer over the core on this machine, each target so long'
	@echo '  make coverage     what of the core the host tests reach'
	@echo '  make coverage-kunit  what of the modules make kunit reaches'
	@echo '  make coverage-modules  and what the whole-stack tests do, some 20 minutes'
	@echo '  make model        every order of a few threads through the real cores'
	@echo '  make kunit        KUnit suites on a debug kernel, which it builds once'
	@echo '  make stack-debug  the whole-stack tests on that kernel, some 20 minutes'
	@echo '  make soak SECONDS=60  random ioctls from many processes on that kernel'
	@echo '  make bench        instructions of ours beside those of the kernel'"'"'s'
	@echo '  make clean'
	@echo
	@echo 'Single layers and tests: tools/check --list; README.md'
	@echo 'KDIR is $(KDIR)'

-include mk/lint.mk mk/kunit.mk mk/soak.mk mk/bench.mk mk/model.mk mk/fuzz.mk mk/coverage.mk
