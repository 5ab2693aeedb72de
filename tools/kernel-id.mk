# SPDX-License-Identifier: GPL-2.0
#
# Kbuild rules, for the Kbuild file of a module after its list of objects: all are built anew when
# the kernel is another one than last time. Kbuild goes by times and command lines, and those are
# the same for two flavours of one package: the objects of the one would be linked for the other.

kernel-id := $(abspath $(objtree)) $(shell cat Module.symvers include/config/auto.conf | cksum)

# NAME.mod.o is compiled where no file of ours is read.
quiet_cmd_kernel_id =
      cmd_kernel_id = rm -f $(obj)/*.mod.o; echo '$(kernel-id)' >$@

$(obj)/kernel-id: FORCE
	$(call if_changed,kernel_id)

targets += kernel-id
clean-files += kernel-id
$(addprefix $(obj)/,$($(patsubst %.o,%,$(obj-m))-y)): $(obj)/kernel-id
