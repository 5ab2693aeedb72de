# SPDX-License-Identifier: GPL-2.0
#
# Kbuild rules for a module with a C++ core. A module's Kbuild file sets
#   core-objs     the C++ files of the core that lie beside it, as objects
#   core-rooms    other folders whose C++ is compiled into the core; the room.mk
#                 of each lists its files
#   core-symbols  the file that lists the undefined symbols the core may have
# includes this file, and has core.o among its parts. The tests in kunit/ build
# a core once more, with a C side of their own; their Kbuild file also sets
#   vfio-top      the top of the tree
#   core-dir      where the core is
#
# The C++ objects get the kernel's own code generation and mitigation flags:
# KBUILD_CFLAGS without what C++ does not know. core.o goes through objtool as C
# objects do, and is held against core-symbols.

vfio-top ?= $(src)/..
core-dir ?= $(src)

include $(patsubst %,$(vfio-top)/%/room.mk,$(core-rooms))
core-sources := $(foreach room,$(core-rooms),$(addprefix $(room)/,$($(room)-sources))) \
	$(core-objs:.o=.cpp)

CXX ?= g++
cxx-compiler := $(patsubst %gcc,%g++,$(subst gcc-,g++-,$(patsubst %clang,%clang++,$(CC))))

cxx-not-c++ := -std=% -Werror=strict-prototypes -Wstrict-prototypes \
	-Werror=implicit-function-declaration -Werror=implicit-int \
	-Wdeclaration-after-statement -Wno-pointer-sign \
	-Werror=incompatible-pointer-types -Werror=designated-init \
	-Wmissing-prototypes -Wold-style-definition -Wmissing-declarations \
	-Wimplicit-function-declaration -Wnested-externs -Wno-main \
	-Wenum-conversion -Wno-incompatible-pointer-types

# UAPI headers only: no path by which C++ could see a <linux/*> of the kernel's
# inside.
cxx-includes := -I$(core-dir) -I$(vfio-top) -I$(vfio-top)/include -I$(obj) -I$(vfio-top)/include/uapi_stub \
	$(filter -I%,$(USERINCLUDE))

# What Kbuild adds object by object in a debug kernel: sanitizers and coverage.
# GCOV=y asks for gcov's.
KCOV_INSTRUMENT := y
GCOV_PROFILE := $(GCOV)
cxx-instrument = $(filter-out $(KBUILD_CPPFLAGS) $(KBUILD_CFLAGS) \
	$(subdir-ccflags-y) $(ccflags-y) $(CFLAGS_$(basetarget).o), $(_c_flags))

cxx-flags = -Wp,-MMD,$(depfile) $(cxx-includes) \
	$(filter-out $(cxx-not-c++),$(KBUILD_CFLAGS)) \
	$(cxx-instrument) \
	-std=gnu++20 -ffreestanding -fno-exceptions -fno-rtti \
	-fno-threadsafe-statics -fno-use-cxa-atexit $(call cc-option,-fwhole-program) \
	-Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
	-Wno-psabi -Werror -Werror=frame-larger-than=2048 \
	$(KBUILD_CFLAGS_MODULE) $(CFLAGS_$(basetarget).o)

# The sources of a core are compiled together, as one: an inline function that
# two objects have is in a section of which the linker keeps one copy, but
# objtool's and ftrace's tables would still name the other. And one compilation
# inlines across files: with -fwhole-program all functions are local but those
# that are CORE_ENTRY.
filechk_core = printf '\#include "%s"\n' $(core-sources)

$(obj)/core_all.cpp: FORCE
	$(call filechk,core)

quiet_cmd_cxx_o_cpp = CXX [M]  $@
      cmd_cxx_o_cpp = $(cxx-compiler) $(cxx-flags) -c -o $@ $< $(cmd_objtool)

cmd_check_core = $(CONFIG_SHELL) $(vfio-top)/tools/check-core "$(NM)" \
	"$(OBJDUMP)" $@ $(core-symbols)

define rule_cxx_o_cpp
	$(call cmd_and_fixdep,cxx_o_cpp)
	$(call cmd,gen_objtooldep)
	$(call cmd,check_core)
endef

$(obj)/core.o: $(obj)/core_all.cpp $(obj)/shim-sizes.h $(core-symbols) \
		$(vfio-top)/tools/check-core $(vfio-top)/tools/compiler.symbols FORCE
	$(call if_changed_rule,cxx_o_cpp)

# Sizes of the kernel objects that the core embeds, from the kernel itself.
$(obj)/shim-sizes.s: $(vfio-top)/shim/sizes.c $(obj)/kernel-id FORCE
	$(call if_changed_dep,cc_s_c)

$(obj)/shim-sizes.h: $(obj)/shim-sizes.s FORCE
	$(call filechk,offsets,SHIM_SIZES_H)

targets += core.o core_all.cpp shim-sizes.s shim-sizes.h
clean-files += core_all.cpp shim-sizes.h shim-sizes.s

# What modinfo says of each module: the version, and the kernel series that are supported.
CFLAGS_main.o += -DVFIO_CXX_VERSION='"$(or $(strip $(file <$(vfio-top)/VERSION)),$(error \
	$(vfio-top)/VERSION is missing or empty))"' \
	-DVFIO_CXX_KERNELS='"$(shell $(vfio-top)/tools/kernel-env series)"'

# The C side sees the same headers.
ccflags-y += -I$(vfio-top)/include -I$(obj) -Werror
$(addprefix $(obj)/,$(filter-out core.o,$($(patsubst %.o,%,$(obj-m))-y))): $(obj)/shim-sizes.h

include $(vfio-top)/tools/kernel-id.mk

# A shim is not traced: what it calls, and what calls it, can be.
$(foreach shim,$(filter shim_%.o,$($(patsubst %.o,%,$(obj-m))-y)), \
	$(eval CFLAGS_REMOVE_$(shim) := $(CC_FLAGS_FTRACE)))

# Each module has its own copy of the common shims, by its own name.
$(obj)/shim_%.o: private modname-multi = $(notdir $(patsubst %.o,%,$(obj-m)))
$(obj)/shim_%.o: $(vfio-top)/shim/%.c $(obj)/shim-sizes.h FORCE
	$(call if_changed_rule,cc_o_c)
	$(call cmd,force_checksrc)
