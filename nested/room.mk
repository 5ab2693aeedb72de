# SPDX-License-Identifier: GPL-2.0
# The files of this folder, for a core that names the folder in its core-rooms.
# They need those of dma and pin_index, which such a core names too.
nested-sources := guest_memory.cpp nested_domain.cpp refresh.cpp
nested-shims :=
