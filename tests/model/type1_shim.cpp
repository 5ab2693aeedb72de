// SPDX-License-Identifier: GPL-2.0
//
// Points at the shim calls of vfio_type1 and vfio_zpci that pin, map, account and the like:
// core_shim.cpp's way.
#include "dma/shim/iommu.h"
#include "dma/shim/mm.h"
#include "dma/shim/pin.h"
#include "mock/iommu.hpp"
#include "races.hpp"

using namespace model;

extern "C" {

#define WRAP(type, name, params, args)     \
	type __real_##name params;         \
	type __wrap_##name params          \
	{                                  \
		point();                   \
		return __real_##name args; \
	}

// The same of a call that works in a domain, or changes its groups (how), also at its point.
#define WRAP_IN_DOMAIN(how, type, name, params, args)                     \
	type __real_##name params;                                        \
	type __wrap_##name params                                         \
	{                                                                 \
		const mock::DomainUsers::Call call = domain->users.how(); \
                                                                          \
		point();                                                  \
		return __real_##name args;                                \
	}

WRAP(long, shim_pin_own, (u64 uva, u64 npages, bool write, u64 *pages), (uva, npages, write, pages))
WRAP(long, shim_pin_remote, (mm_struct * mm, u64 uva, u64 npages, bool write, u64 *pages),
     (mm, uva, npages, write, pages))
WRAP(void, shim_unpin, (u64 pfn, u64 npages, bool dirty), (pfn, npages, dirty))
WRAP(int, shim_mm_account, (mm_struct * mm, task_struct *task, u64 npages, bool ipc_lock),
     (mm, task, npages, ipc_lock))
WRAP(void, shim_mm_unaccount, (mm_struct * mm, task_struct *task, u64 npages), (mm, task, npages))
WRAP_IN_DOMAIN(work, int, shim_domain_map,
	       (iommu_domain * domain, u64 iova, u64 phys, u64 size, u32 prot),
	       (domain, iova, phys, size, prot))
WRAP_IN_DOMAIN(work, int, shim_domain_map_atomic,
	       (iommu_domain * domain, u64 iova, u64 phys, u64 size, u32 prot),
	       (domain, iova, phys, size, prot))
WRAP_IN_DOMAIN(work, int, shim_domain_map_runs,
	       (iommu_domain * domain, u64 iova, const shim_pin_run *runs, u32 count, u32 prot,
		void *scratch),
	       (domain, iova, runs, count, prot, scratch))
WRAP_IN_DOMAIN(work, u64, shim_domain_unmap,
	       (iommu_domain * domain, u64 iova, u64 size, shim_gather *gather),
	       (domain, iova, size, gather))
WRAP_IN_DOMAIN(work, void, shim_domain_flush,
	       (iommu_domain * domain, shim_gather *gather, u64 first, u64 last),
	       (domain, gather, first, last))

WRAP_IN_DOMAIN(change, int, shim_domain_attach, (iommu_domain * domain, iommu_group *group),
	       (domain, group))
WRAP_IN_DOMAIN(change, void, shim_domain_detach, (iommu_domain * domain, iommu_group *group),
	       (domain, group))

} // extern "C"
