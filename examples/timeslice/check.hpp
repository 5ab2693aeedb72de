// SPDX-License-Identifier: GPL-2.0
//
// Compares what programs recorded with what the kernel's trace says of the devices.
#pragma once

#include <string>
#include <vector>

// trace: tracefs's file `trace` with the event vfio:vfio_gate, by trace_clock mono. records: files
// of `timeslice run`. Prints what holds and what does not, and who did what in which slice. Returns
// whether all holds.
bool check_records(const std::string& trace, const std::vector<std::string>& records);
