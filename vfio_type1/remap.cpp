// SPDX-License-Identifier: GPL-2.0
//
// Pages that a scheduler of a device puts in the place of a user's.
#include "entry.h"
#include "type1.hpp"

namespace vfio {

Result<u64> Type1::remap(const vfio_remap_page *pages, u32 count)
{
	return domains_.remap(dmas_, pages, count, map_policy());
}

void Type1::flush_remapped()
{
	domains_.flush_remapped();
}

void Type1::put_users_back()
{
	domains_.put_all_users_back(map_policy());
}

} // namespace vfio

using namespace vfio;

CORE_ENTRY long type1_remap(type1 *handle, const vfio_remap_page *pages, u32 count)
{
	Result<u64> done = Type1::of(handle).remap(pages, count);

	return done.ok() ? static_cast<long>(done.value()) : done.error().negative();
}

CORE_ENTRY void type1_flush_remapped(type1 *handle)
{
	Type1::of(handle).flush_remapped();
}

CORE_ENTRY void type1_put_users_back(type1 *handle)
{
	Type1::of(handle).put_users_back();
}
