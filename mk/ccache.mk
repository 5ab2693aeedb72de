# SPDX-License-Identifier: GPL-2.0
#
# What the tests build is built through ccache, if that is installed: its folder of compilers comes
# first in PATH. What it keeps is in the cache, where the next clone finds it. Programs of the tests
# are found whatever folder the clone is in (CCACHE_BASEDIR in their Makefiles), modules only if it is
# the same, because their debug information names it.

ifeq ($(choice),kdir)
ifneq ($(wildcard /usr/lib/ccache/g++),)
export PATH := /usr/lib/ccache:$(patsubst /usr/lib/ccache:%,%,$(PATH))
export CCACHE_DIR ?= $(shell tools/kernel-env cache)/ccache
export CCACHE_MAXSIZE ?= 2G
endif
endif
