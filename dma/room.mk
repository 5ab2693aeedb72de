# SPDX-License-Identifier: GPL-2.0
# What a core that takes this room is compiled from: core-rooms in its Kbuild.
# The room stands on pin_index, which such a core takes too.
dma-sources := dirty_bitmap.cpp dirty_report.cpp dma_range.cpp domain.cpp \
	iova_space.cpp owner.cpp pin_parts.cpp pin_runs.cpp pinner.cpp
