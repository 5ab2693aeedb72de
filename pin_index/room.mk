# SPDX-License-Identifier: GPL-2.0
# The files of this folder, for a core that names the folder in its core-rooms.
pin_index-sources := pin_blocks.cpp pin_forms.cpp pin_index.cpp pin_insert.cpp \
	pin_reserve.cpp pin_slot_map.cpp pin_unpin.cpp
