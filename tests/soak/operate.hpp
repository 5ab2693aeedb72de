// SPDX-License-Identifier: GPL-2.0
//
// Operations by the part of VFIO that they are for; each does one at random.
#ifndef OPERATE_HPP
#define OPERATE_HPP

#include "soak.hpp"

namespace soak {

// An ioctl that is counted as `op`.
bool call(const char* op, int fd, unsigned long request, const void* arg);

// Where mappings are made: few places, so that they overlap.
constexpr uint64_t kIova = 2 << 20, kIovaSize = 8 << 20;
uint64_t pick_iova(Random& random);
// Of a page that is mapped into the container, most often.
uint64_t mapped_iova(int container, Random& random);

// An eventfd that nobody reads, for one of a device's interrupts.
void set_irq(int device, Random& random);

// dma.cpp: the container's
void map(Random& random);
void unmap(Random& random);
void dirty(Random& random);
// emulated.cpp: of test devices and of the mock IOMMUs
void emulated(Random& random);
void mock_ioctl(Random& random);
// merge.cpp: of groups that are merged, or have no container's file
void merging(Random& random);
// nested.cpp: of guests of vfio_zpci
void nested(Random& random);
// gate.cpp: of devices that are switched on and off
void gating(Random& random);
void close_windows();
// engine.cpp: of copy engines, which are mediated devices
void engine(Random& random);

}  // namespace soak

#endif
