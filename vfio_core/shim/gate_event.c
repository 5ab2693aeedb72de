// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/eventfd.h>

#include "compat/driver.h"
#include "vfio_core/shim/gate_event.h"

int shim_gate_event_get(int fd, struct eventfd_ctx **event)
{
	struct eventfd_ctx *found = eventfd_ctx_fdget(fd);

	if (IS_ERR(found))
		return PTR_ERR(found);
	*event = found;
	return 0;
}

void shim_gate_event_put(struct eventfd_ctx *event)
{
	eventfd_ctx_put(event);
}

void shim_gate_event_signal(struct eventfd_ctx *event)
{
	compat_eventfd_signal(event);
}
