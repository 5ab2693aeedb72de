# SPDX-License-Identifier: GPL-2.0
#
# Kbuild rules for a module with a C++ core. A module's Kbuild file sets
#   core-objs     the C++ files of the core that lie beside it, as objects
#   core-shims    its shims, without .c: each lies in shim/ beside it or at the
#                 top of the tree
#   core-rooms    other folders whose C++ is compiled into the core; the room.mk
#                 of each lists its files, and the shims in the room's shim/
#   core-symbols  the file that lists the undefined symbols the core may have
#   MODULE-y      the C files above the core; the core and the shims are added
# and includes this file. The tests in kunit/ build a core once more, with a C
# side of their own; their Kbuild file also sets
#   vfio-top      the top of the tree
#   core-dir      where the core is
#
# The C++ objects get the kernel's own code generation and mitigation flags:
# KBUILD_CFLAGS without what C++ does not know. core.o goes through objtool as C
# objects do, and its undefined symbols must be those of core-symbols.

vfio-top ?= $(src)/..
core-dir ?= $(src)

include $(patsubst %,$(vfio-top)/%/room.mk,$(core-rooms))
core-sources := $(foreach room,$(core-rooms),$(addprefix $(room)/,$($(room)-sources))) \
	$(core-objs:.o=.cpp)

# Each module has its own objects of the shims that it uses, shim_NAME.o.
module := $(patsubst %.o,%,$(obj-m))
$(module)-y += core.o $(patsubst %,shim_%.o,$(core-shims) \
	$(foreach room,$(core-rooms),$($(room)-shims)))

CXX ?= g++
cxx-compiler := $(patsubst %gcc,%g++,$(subst gcc-,g++-,$(patsubst %clang,%clang++,$(CC))))

cxx-not-c++ := -std=% -Werror=strict-prototypes -Wstrict-prototypes \
	-Werror=implicit-function-declaration -Werror=implicit-int \
	-Wdeclaration-after-statement -Wno-pointer-sign \
	-Werror=incompatible-pointer-types -Werror=designated-init \
	-Wmissing-prototypes -Wold-style-definition -Wmissing-declarations \
	-Wimplicit-function-declaration -Wnested-externs -Wno-main \
	-Wenum-conversion -Wno-incompatible-pointer-types -Wno-override-init \
	-Wno-unterminated-string-initialization

# The UAPI headers of the kernel that is built for, and no path by which C++ could see a <linux/*>
# of the kernel's inside, or those of this machine: -nostdinc, then only the folders that the
# compiler itself has for C++. The kernel exports LINUXINCLUDE alone. __EXPORTED_HEADERS__ says that
# UAPI headers are meant to be read without the kernel's others; __user is the kernel's own mark.
cxx-std-dirs := $(shell $(cxx-compiler) -E -x c++ -v /dev/null 2>&1 | \
	sed -n '/^\#include </,/^End/s,^ \(.*/c++/.*\),\1,p') $(shell $(cxx-compiler) -print-file-name=include)
cxx-includes := -nostdinc -I$(core-dir) -I$(vfio-top) -I$(vfio-top)/include -I$(obj) \
	-I$(vfio-top)/include/uapi_stub $(filter %/uapi,$(filter -I%,$(LINUXINCLUDE))) \
	$(addprefix -isystem ,$(cxx-std-dirs)) -D__EXPORTED_HEADERS__ -D__user=

# What Kbuild adds object by object in a debug kernel: sanitizers and coverage.
# GCOV=y asks for gcov's.
KCOV_INSTRUMENT := y
GCOV_PROFILE := $(GCOV)
cxx-instrument = $(filter-out $(KBUILD_CPPFLAGS) $(KBUILD_CFLAGS) \
	$(subdir-ccflags-y) $(ccflags-y) $(CFLAGS_$(basetarget).o), $(_c_flags))

# Where the kernel's own BTF is at hand, Kbuild adds BTF to modules, which has no words for what
# C++ has: pahole fails on debug information of C++. The core has none there.
cxx-debug := $(if $(CONFIG_DEBUG_INFO_BTF_MODULES),$(if $(wildcard $(objtree)/vmlinux),-g0))

cxx-flags = -Wp,-MD,$(depfile) $(cxx-includes) \
	$(filter-out $(cxx-not-c++),$(KBUILD_CFLAGS)) \
	$(cxx-instrument) \
	-std=gnu++20 -ffreestanding -fno-exceptions -fno-rtti \
	-fno-threadsafe-statics -fno-use-cxa-atexit $(call cc-option,-fwhole-program) \
	-Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
	-Wno-psabi -Werror -Werror=frame-larger-than=2048 \
	$(KBUILD_CFLAGS_MODULE) $(CFLAGS_$(basetarget).o) $(cxx-debug)

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
ccflags-y += -I$(vfio-top)/include -I$(vfio-top) -I$(obj) -Werror
$(addprefix $(obj)/,$(filter-out core.o,$($(module)-y))): $(obj)/shim-sizes.h

include $(vfio-top)/mk/kernel-id.mk

# The first folder that has a shim's file is where it is compiled from.
define shim-rule
$(obj)/shim_%.o: $(1)/%.c $(obj)/shim-sizes.h FORCE
	$$(call if_changed_rule,cc_o_c)
	$$(call cmd,force_checksrc)
endef
shim-dirs := $(core-dir)/shim $(core-rooms:%=$(vfio-top)/%/shim) $(vfio-top)/shim
$(foreach dir,$(shim-dirs),$(eval $(call shim-rule,$(dir))))
$(obj)/shim_%.o: private modname-multi = $(module)
