// SPDX-License-Identifier: GPL-2.0
/*
 * Exports the functions of vfio_cxx/gate.h and gate_frames.h, which the kernel's own vfio.ko does not have.
 * gate.cpp and gate_frames.cpp define all but the one that returns an error pointer.
 */
#include <linux/err.h>
#include <linux/export.h>

#include "entry.h"
#include "vfio_cxx/gate_frames.h"

struct vfio_gate *vfio_gate_register(struct device *dev,
				     const struct vfio_gate_ops *ops,
				     void *data)
{
	struct vfio_gate *gate;
	int ret = vfio_core_gate_register(dev, ops, data, &gate);

	return ret ? ERR_PTR(ret) : gate;
}
EXPORT_SYMBOL_GPL(vfio_gate_register);
EXPORT_SYMBOL_GPL(vfio_gate_unregister);
EXPORT_SYMBOL_GPL(vfio_gate_block);
EXPORT_SYMBOL_GPL(vfio_gate_trap);
EXPORT_SYMBOL_GPL(vfio_gate_open);
EXPORT_SYMBOL_GPL(vfio_gate_switch);
EXPORT_SYMBOL_GPL(vfio_gate_remap);
EXPORT_SYMBOL_GPL(vfio_gate_flush);
EXPORT_SYMBOL_GPL(vfio_gate_get_state);
EXPORT_SYMBOL_GPL(vfio_gate_set_limit);
EXPORT_SYMBOL_GPL(vfio_gate_listen);
EXPORT_SYMBOL_GPL(vfio_gate_map_frames);
