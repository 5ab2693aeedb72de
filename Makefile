# SPDX-License-Identifier: GPL-2.0
#
# vfio-cxx for people. The modules are built by the kernel's own Kbuild, from
# the file of that name beside this one; `make -C $KDIR M=$PWD modules` does
# the same without it. `make help` lists the targets.

# The kernel's build cannot handle such a path; without this check it fails later, in many lines.
ifneq ($(words $(CURDIR))$(findstring :,$(CURDIR)),1)
$(error the kernel's build cannot work in a path with a space or a colon: move "$(CURDIR)")
endif

# The kernel to build for: KDIR, or KERNEL, a name in tools/supported-kernels.txt, or what
# tools/kernel-env chooses. Without a name these targets are for the kernel that people run; all
# others are for the one that the demo and the tests boot.
for-people := all modules modules_install install uninstall clean help
choice := $(if $(KERNEL)$(filter-out $(for-people),$(MAKECMDGOALS)),kdir,target)
ifneq ($(KERNEL),)
ifneq ($(KDIR),)
$(error KERNEL=$(KERNEL) and KDIR=$(KDIR) both name a kernel: give one of them)
endif
said := $(shell KERNEL='$(KERNEL)' tools/kernel-env name 2>&1)
ifneq ($(said),$(KERNEL))
$(error $(said))
endif
export KERNEL
endif

# Names the kernel of the last build for people; only install and uninstall read it.
built-for := build/built-for
ifeq ($(KDIR)$(KERNEL)$(filter-out modules_install install uninstall clean,$(or $(MAKECMDGOALS),all)),)
last := $(shell cat $(built-for) 2>/dev/null)
endif

# KDIR is decided anew by each make and not exported unless a caller named it: demo and check
# install the headers first. It is passed to the shell explicitly, because $(shell) does not see
# the variables of make's command line.
named := $(or $(KDIR),$(if $(wildcard $(last)/Module.symvers),$(last)))
kernel-env = KDIR='$(named)' KERNEL='$(KERNEL)' tools/kernel-env
override KDIR := $(shell $(kernel-env) $(choice) 2>/dev/null)
ifneq ($(named),)
export KDIR
endif
# DKMS passes KERNELRELEASE; the kernel's build knows it.
MAKEOVERRIDES := $(filter-out KDIR=% KERNELRELEASE=%,$(MAKEOVERRIDES))

# Without a writable home directory the cache is in the tree.
ifeq ($(XDG_CACHE_HOME)$(shell test -w "$$HOME" && echo home),)
export XDG_CACHE_HOME := $(CURDIR)/.cache
endif

# The kernel's own build. The + before it is for make -j, which does not see that it is a make.
KBUILD = KDIR='$(if $(KERNEL),,$(KDIR))' tools/kernel-make

.PHONY: all modules modules_install install uninstall clean help demo demo-nested demo-merge demo-gate check \
	check-fresh check-fresh-all check-install check-package check-user deb examples samples testmods stack_test host-test

all: modules

modules: | headers $(if $(filter install,$(MAKECMDGOALS)),may-install)
	+$(KBUILD) . modules
ifeq ($(choice),target)
	@mkdir -p build && echo '$(KDIR)' >$(built-for)
endif

# Fails with the reason if nothing can be built. Else says which kernel is built for, if it is not
# the running one, and which modules are left out.
.PHONY: headers
headers:
	@$(if $(KERNEL),tools/kernel-env kdir >/dev/null 2>&1 || tools/fetch-headers $(KERNEL) >/dev/null)
	@$(kernel-env) $(choice) >/dev/null
	@test -w . || { echo "cannot write to $(CURDIR), where the modules are built" >&2; exit 1; }
	@KDIR='$(if $(KERNEL),,$(KDIR))' tools/kernel-env modules | sed -n 's/^without \(.*\)/This kernel has no \1, so ours is left out./p'

# Into updates/ of the kernel in KDIR, beside the distribution's modules; depmod prefers it.
modules_install: modules
	+@tools/install modules '$(KDIR)'

# Fails before the build if its result could not be installed.
.PHONY: may-install
may-install: | headers
	@tools/install check '$(KDIR)'

install: modules
	+@tools/install install '$(KDIR)'

uninstall:
	@$(kernel-env) $(choice) >/dev/null
	@tools/install uninstall '$(KDIR)'

# For all kernels of tools/supported-kernels.txt. Where one is not supported, a failure is only said.
.PHONY: build-all
build-all:
	@tools/build-all

examples:
	$(MAKE) -C examples/nvme
	$(MAKE) -C examples/mdev_copy
	$(MAKE) -C examples/nested_vmm
	$(MAKE) -C examples/merge
	$(MAKE) -C examples/timeslice

# Before what only a kernel with mediated devices has a use for.
without-mdev = $(kernel-env) modules | grep -qx 'without mdev' ||

# Drivers to read, which the tests drive: a mediated device of ours, and a scheduler of devices.
samples: modules
	+$(without-mdev) $(KBUILD) samples/mdev_copy KBUILD_EXTRA_SYMBOLS=$$(tools/kernel-env out)/Module.symvers modules
	+$(KBUILD) samples/vf_scheduler KBUILD_EXTRA_SYMBOLS=$$(tools/kernel-env out)/Module.symvers modules

# What the tests run in QEMU: modules that drive ours, and (stack_test) a program.
testmods: samples | headers
	+$(KBUILD) tests/kmod KBUILD_EXTRA_SYMBOLS=$$(tools/kernel-env out)/Module.symvers modules
	$(without-mdev) tools/sample-drivers >/dev/null

stack_test:
	$(MAKE) -C tests/stack

host-test:
	$(MAKE) -C tests/host check

# For clangd and other tools that read the tree as compilers do.
.PHONY: compile_commands.json hooks
compile_commands.json: modules
	@tools/compile-commands

# Has git run tools/hooks/pre-commit before each commit in this clone; `git config --unset
# core.hooksPath` is the way back.
hooks:
	git config core.hooksPath tools/hooks

# These first install what is missing; before that there may be no kernel to choose.
demo:
	tools/setup demo
	$(MAKE) -j$$(nproc) modules examples
	tools/demo

demo-nested:
	tools/setup demo
	$(MAKE) -j$$(nproc) modules examples
	tools/demo-nested

demo-merge:
	tools/setup demo
	$(MAKE) -j$$(nproc) modules examples
	tools/demo-merge

demo-gate:
	tools/setup demo
	$(MAKE) -j$$(nproc) samples examples
	tools/demo-gate

check:
	tools/setup check
	$(MAKE) -j$$(nproc) modules examples testmods stack_test
	tools/check $(LAYERS)

# In a bare Debian 12, in a chroot: these need root.
check-fresh:
	tools/setup roots
	tools/check-fresh demo

check-fresh-all:
	tools/setup roots
	tools/check-fresh

check-install:
	tools/setup roots
	tools/check-install

check-package:
	tools/setup roots
	tools/check-package

# One after the other: what they download is kept for the next run.
check-user:
	tools/setup roots
	tools/check-user bookworm
	tools/check-user trixie

deb:
	tools/setup deb
	tools/make-deb

clean:
	-test -z "$(KDIR)" || $(KBUILD) . clean
	-test -z "$(KDIR)" || $(KBUILD) tests/kmod clean
	-test -z "$(KDIR)" || $(KBUILD) samples/mdev_copy clean
	-test -z "$(KDIR)" || $(KBUILD) samples/vf_scheduler clean
	$(MAKE) -C examples/nvme clean
	$(MAKE) -C examples/mdev_copy clean
	$(MAKE) -C examples/nested_vmm clean
	$(MAKE) -C examples/merge clean
	$(MAKE) -C examples/timeslice clean
	$(MAKE) -C tests/stack clean
	rm -rf build

help:
	@echo "vfio-cxx $$(cat VERSION): VFIO for Linux, out of tree, with a C++ core"
	@echo "Kernels supported: $$(tools/kernel-env series)"
	@echo
	@echo '  make              build vfio.ko, vfio_iommu_type1.ko, mdev.ko for the running kernel'
	@echo '  make KDIR=DIR     for the kernel built or packaged in DIR'
	@echo '  make KERNEL=NAME  for a kernel that is fetched into the cache, as with demo and others:'
	@echo "                    $$(tools/kernel-env names | paste -s -d ' ')"
	@echo '  make build-all    for all of these'
	@echo '  make stack KERNEL=NAME  the whole-stack tests on it'
	@echo '  make compare KERNEL=NAME  the same on its own modules, too, and what differs'
	@echo '  make demo         a userspace NVMe driver on our modules, in QEMU'
	@echo '  make demo-nested  a VMM on vfio_zpci, whose guest has an IOMMU, in QEMU'
	@echo '  make demo-merge   a program that merges two groups, in QEMU'
	@echo '  make demo-gate    devices that take turns, and a time line of their users, in QEMU'
	@echo '  make samples      mdev_copy.ko, a mediated device; vf_scheduler.ko: see samples/'
	@echo '  make check        all tests: lint, host, whole stack in QEMU'
	@echo '  make check-fresh    make demo in a bare Debian 12, as root; check-fresh-all: make check too'
	@echo '  make check-install  installing, by make and by DKMS, in a bare Debian 12, as root'
	@echo '  make check-package  the Debian packages, in the same'
	@echo '  make check-user     a day of their user, in Debian 12 and 13, booted in QEMU'
	@echo '  make deb          Debian packages, into build/deb'
	@echo '  make install      into updates/ of the kernel of the last make, or KDIR, and depmod'
	@echo '  make uninstall    remove them again: modprobe takes the distribution'\''s'
	@echo '  make modules_install INSTALL_MOD_PATH=DIR'
	@echo '  make host-test    the C++ core on this machine, with sanitizers'
	@echo '  make host-s390x   the same for s390x, which is big-endian, emulated'
	@echo '  make lint         all lint; each lint-* runs alone:'
	@echo '                    $(LINTS)'
	@echo '  make fuzz SECONDS=60  libFuzzer over the core on this machine, each target so long'
	@echo '  make coverage     what of the core the host tests reach'
	@echo '  make coverage-kunit  what of the modules make kunit reaches'
	@echo '  make coverage-modules  and what the whole-stack tests do, some 20 minutes'
	@echo '  make model        every order of a few threads through the real cores'
	@echo '  make kunit        KUnit suites on a debug kernel, which it builds once'
	@echo '  make stack-debug  the whole-stack tests on that kernel, some 20 minutes'
	@echo '  make stack-s390x  the whole-stack tests on 6.12 for s390x, emulated'
	@echo '  make check-native  builds the modules on s390x, emulated, as root, 13 minutes'
	@echo '  make kvm-patch    compiles the patch that lets KVM of s390 call vfio_zpci'
	@echo '  make soak SECONDS=60  random ioctls from many processes on that kernel'
	@echo '  make bench        instructions of ours beside those of the kernel'"'"'s'
	@echo '  make bench-iommufd  the same beside iommufd, on small kernels, which it builds once'
	@echo '  make compile_commands.json  how each file is compiled, for clangd'
	@echo '  make tidy        clang-tidy on the C++, some ten minutes the first time'
	@echo '  make hooks        the quick lints before each git commit in this clone'
	@echo '  make clean'
	@echo
	@echo 'Single layers and tests: tools/check --list; README.md'
	@echo 'KDIR is $(KDIR)'

-include mk/ccache.mk mk/lint.mk mk/kernels.mk mk/kunit.mk mk/s390x.mk mk/soak.mk mk/bench.mk mk/model.mk mk/fuzz.mk mk/coverage.mk
