# SPDX-License-Identifier: GPL-2.0
# What a core that takes this room is compiled from: core-rooms in its Kbuild.
pin_index-sources := pin_blocks.cpp pin_forms.cpp pin_index.cpp pin_insert.cpp \
	pin_slot_map.cpp pin_unpin.cpp
