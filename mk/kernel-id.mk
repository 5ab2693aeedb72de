# SPDX-License-Identifier: GPL-2.0
#
# Kbuild rules that rebuild all objects of a module if the kernel is another one than last time. The
# Kbuild file of the module includes them after its list of objects. Kbuild itself compares times and
# command lines, which are the same for two flavours of one package: it would link the objects of
# one flavour for the other.

kernel-id := $(abspath $(objtree)) $(shell cd $(objtree) && cat Module.symvers include/config/auto.conf | cksum)

# No rule of ours can name NAME.mod.o, which Kbuild compiles later: it is removed.
quiet_cmd_kernel_id =
      cmd_kernel_id = rm -f $(obj)/*.mod.o; echo '$(kernel-id)' >$@

$(obj)/kernel-id: FORCE
	$(call if_changed,kernel_id)

targets += kernel-id
clean-files += kernel-id
$(addprefix $(obj)/,$($(patsubst %.o,%,$(obj-m))-y)): $(obj)/kernel-id
