// SPDX-License-Identifier: GPL-2.0
//
// What debugfs shows of the mappings of an address space. Who reads takes the lock of the mappings
// for one mapping at a time, so that a container with very many of them is not held up.
#pragma once

#include "dma_tree.hpp"
#include "shim/seq.h"

namespace vfio {

// Prints the first mapping with an address at *cursor or above, a line, and sets *cursor behind it.
// Returns whether there may be another one.
bool show_mapping(DmaTree &dmas, u64 *cursor, seq_file *seq) __must_not_hold(dmas.lock);

// Prints how many mappings there are, how much memory they have, and whose it is: the process that
// has made the mapping with the lowest addresses, as the others are mostly its own, too.
void show_mapping_summary(DmaTree &dmas, seq_file *seq) __must_not_hold(dmas.lock);

// Prints what has been mapped and unmapped since the beginning.
void show_mapping_totals(DmaTree &dmas, seq_file *seq) __must_not_hold(dmas.lock);

} // namespace vfio
