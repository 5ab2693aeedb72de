// SPDX-License-Identifier: GPL-2.0
#include "params.hpp"

#include "vfio_type1/entry.h"

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
