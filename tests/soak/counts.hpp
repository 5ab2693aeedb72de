// SPDX-License-Identifier: GPL-2.0
#ifndef COUNTS_HPP
#define COUNTS_HPP

#include <cstdint>

namespace soak {

// Time counts for the next operation of this thread from now on.
void start_clock();
// Counts one operation, by its name in the list of counts.cpp, and the time
// since the one before.
void count(const char* op, bool succeeded);
// One line: how fast it goes, what has succeeded so far, what never has.
void print_progress(uint64_t seconds, uint64_t rounds);
// Each kind; gives the number of all that were tried.
uint64_t print_table(bool each_must_succeed);

}  // namespace soak

#endif
