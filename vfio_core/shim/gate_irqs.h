/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The interrupts of a device on the host: those of a PCI function. Disabled ones stay pending, and
 * their handlers run when they are enabled again. Nothing is written to the device for that; but if
 * it raises one meanwhile, the kernel masks that vector in the device, where there is a mask.
 */
#ifndef SHIM_GATE_IRQS_H
#define SHIM_GATE_IRQS_H

#include "shim/base.h"

struct device;

SHIM_BEGIN

/**
 * shim_gate_irqs_known() - whether a device's interrupts on the host can be found
 * @dev: a device of any bus
 */
bool shim_gate_irqs_known(const struct device *dev);

/**
 * shim_gate_irqs_own_line() - the line of a PCI function that no other device shares
 * @dev: a PCI function
 *
 * Return: the interrupt's number on the host; 0 if the function interrupts by messages, or not at
 * all, or if others have handlers for its line.
 */
u32 shim_gate_irqs_own_line(struct device *dev);

/**
 * shim_gate_irqs_disable() - disable a PCI function's interrupts
 * @dev: the function
 * @line: its line, to be disabled as well, or 0
 *
 * Context: may sleep. Waits for handlers that are running.
 */
void shim_gate_irqs_disable(struct device *dev, u32 line);

/**
 * shim_gate_irqs_enable() - undo shim_gate_irqs_disable()
 * @dev: the function, which has the same vectors as then
 * @line: the line of then
 *
 * Context: may sleep.
 */
void shim_gate_irqs_enable(struct device *dev, u32 line);

SHIM_END

#endif
