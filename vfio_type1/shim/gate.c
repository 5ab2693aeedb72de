// SPDX-License-Identifier: GPL-2.0
#include <linux/errno.h>
#include <linux/module.h>

#include "vfio_cxx/gate_frames.h"
#include "vfio_type1/shim/gate.h"

int shim_gate_listen(int (*changed)(void *data), void *data,
		     struct vfio_gate_listener **listener)
{
	typeof(&vfio_gate_listen) listen = symbol_get(vfio_gate_listen);

	*listener = NULL;
	if (!listen)
		return 0;
	*listener = listen(changed, data);
	/* This module depends on vfio.ko, which stays. */
	symbol_put(vfio_gate_listen);
	return *listener ? 0 : -ENOMEM;
}

void shim_gate_unlisten(struct vfio_gate_listener *listener)
{
	listener->unlisten(listener);
}

bool shim_gate_frames_shut(const struct vfio_gate_listener *listener, u64 pfn,
			   u64 npages)
{
	return listener->frames_shut(pfn, npages);
}
