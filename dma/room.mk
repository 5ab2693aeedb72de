# SPDX-License-Identifier: GPL-2.0
# The files of this folder, for a core that names the folder in its core-rooms.
# They need those of pin_index, which such a core names too.
dma-sources := borrowed.cpp dirty_bitmap.cpp dirty_report.cpp dma_range.cpp dma_tree.cpp \
	domain.cpp domain_set.cpp domain_use.cpp external_pins.cpp iova_space.cpp \
	owner.cpp pin_lookup.cpp pin_runs.cpp pinner.cpp remap.cpp remapped_pages.cpp show.cpp
dma-shims := iommu mm pin worker
