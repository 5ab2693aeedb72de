// SPDX-License-Identifier: GPL-2.0
//
// The exported functions by which drivers build a chain of capabilities. The driver
// keeps the buffer and its size in a struct vfio_info_cap.
#include "vocab/info_chain.hpp"

#include "entry.h"

using namespace vfio;

CORE_ENTRY int vfio_core_info_cap_add(vfio_info_cap_header **buffer, size_t *size, size_t cap_size,
				      u16 id, u16 version, vfio_info_cap_header **added)
{
	InfoChain chain(*buffer, *size);
	Result<vfio_info_cap_header *> cap = chain.add(cap_size, id, version);

	*size = chain.size();
	*buffer = chain.release();
	if (!cap.ok())
		return cap.error().negative();
	*added = cap.value();
	return 0;
}

CORE_ENTRY int vfio_core_info_cap_copy(vfio_info_cap_header **buffer, size_t *size,
				       const vfio_info_cap_header *cap, size_t cap_size)
{
	vfio_info_cap_header *added = nullptr;
	const int ret =
		vfio_core_info_cap_add(buffer, size, cap_size, cap->id, cap->version, &added);

	if (!ret)
		__builtin_memcpy(added + 1, cap + 1, cap_size - sizeof(*cap));
	return ret;
}

CORE_ENTRY void vfio_core_info_cap_shift(vfio_info_cap_header *buffer, size_t size, size_t offset)
{
	InfoChain chain(buffer, size);

	chain.shift(offset);
	(void)chain.release();
}
