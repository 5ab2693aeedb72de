# SPDX-License-Identifier: GPL-2.0
#
# Builds for tests go through ccache if it is installed: its folder of compilers comes first in PATH.
# All clones share its directory. Another clone finds the objects of test programs there
# (CCACHE_BASEDIR in their Makefiles), but not those of modules, whose debug information names the
# folder of the clone.

ifeq ($(choice),kdir)
ifneq ($(wildcard /usr/lib/ccache/g++),)
export PATH := /usr/lib/ccache:$(patsubst /usr/lib/ccache:%,%,$(PATH))
export CCACHE_DIR ?= $(shell tools/kernel-env cache)/ccache
export CCACHE_MAXSIZE ?= 2G
endif
endif
