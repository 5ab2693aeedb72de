// SPDX-License-Identifier: GPL-2.0
#include "params.hpp"

#include <cerrno>

#include "memory.hpp"
#include "vfio_type1/entry.h"
#include "vfio_type1/shim/gate.h"

using namespace mock;

struct vfio_gate_listener {
	int (*changed)(void *data);
	void *data;
};

mock::Gates mock::gates;

int Gates::changed() const
{
	int error = 0;

	for (const vfio_gate_listener *listener : listeners)
		if (const int ret = listener->changed(listener->data))
			error = ret;
	return error;
}

int shim_gate_listen(int (*changed)(void *data), void *data, vfio_gate_listener **listener)
{
	*listener = nullptr;
	if (gates.absent)
		return 0;
	if (plan.hit(Fail::kAlloc))
		return -ENOMEM;
	*listener = new vfio_gate_listener{changed, data};
	gates.listeners.insert(*listener);
	return 0;
}

void shim_gate_unlisten(vfio_gate_listener *listener)
{
	if (!gates.listeners.erase(listener))
		violation("a listener is ended that does not listen");
	delete listener;
}

bool shim_gate_frames_shut(const vfio_gate_listener *, u64 pfn, u64 npages)
{
	for (const auto &[first, last] : gates.shut)
		if (pfn <= last && pfn + npages > first)
			return true;
	return false;
}

mock::Type1Params mock::type1_params;

bool type1_param_allow_unsafe_interrupts(void)
{
	return mock::type1_params.allow_unsafe_interrupts;
}

bool type1_param_disable_hugepages(void)
{
	return mock::type1_params.disable_hugepages;
}

u32 type1_param_pin_workers(void)
{
	return mock::type1_params.pin_workers;
}

u32 type1_param_dma_entry_limit(void)
{
	return mock::type1_params.dma_entry_limit;
}
