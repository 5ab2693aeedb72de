# SPDX-License-Identifier: GPL-2.0
#
# GoogleTest for programs of this machine or of another one: for Makefiles that CXX is given to. A
# cross compiler is named MACHINE-linux-gnu-g++. Debian has GoogleTest compiled for this machine
# alone, and its sources. Programs for another machine are static, so that they need nothing of it.
#   machine      e.g. s390x; empty if programs are for this machine
#   gtest-flags  for the compiler
#   gtest-objs   objects to link, which the rule below makes in any folder, for another machine
#   gtest-libs   libraries to link, for this one

machine := $(patsubst %-linux-gnu-g++,%,$(filter %-linux-gnu-g++,$(notdir $(CXX))))
gtest-source := /usr/src/googletest/googletest
gtest-flags := $(if $(machine),-isystem $(gtest-source)/include)
gtest-objs := $(if $(machine),gtest-all.o gtest_main.o)
gtest-libs := $(if $(machine),,-lgtest -lgtest_main)

define gtest-rule
%/$(1).o: $(gtest-source)/src/$(1).cc
	@mkdir -p $$(@D); echo "  CXX  $(1)"
	@$$(CXX) -O2 -I$(gtest-source) -I$(gtest-source)/include -c -o $$@ $$<
endef
$(foreach object,$(gtest-objs),$(eval $(call gtest-rule,$(basename $(object)))))
