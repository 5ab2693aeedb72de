/* SPDX-License-Identifier: GPL-2.0 */
/* Where a device's register windows are: those of a PCI function. */
#ifndef SHIM_GATE_FRAMES_H
#define SHIM_GATE_FRAMES_H

#include "shim/base.h"

struct device;

/* The most windows that a device has. */
#define SHIM_GATE_WINDOWS 6

/**
 * struct shim_gate_window - a register window
 * @first_pfn: its first frame
 * @last_pfn: its last frame
 */
struct shim_gate_window {
	u64 first_pfn;
	u64 last_pfn;
};

SHIM_BEGIN

/**
 * shim_gate_windows() - find the register windows of a device
 * @dev: a device of any bus
 * @windows: where to put them
 *
 * Return: how many there are; 0 for what is no PCI function.
 */
u32 shim_gate_windows(struct device *dev,
		      struct shim_gate_window windows[SHIM_GATE_WINDOWS]);

SHIM_END

#endif
