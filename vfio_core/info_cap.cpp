// SPDX-License-Identifier: GPL-2.0
#include "info_cap.hpp"

#include "shim/alloc.h"
#include "shim/uapi.h"
#include "vocab/warn.hpp"

namespace vfio {

constexpr size_t kHeaderSize = sizeof(vfio_info_cap_header);

// Each capability is padded to a multiple of this, so that the next one is aligned
// for its 64-bit fields.
constexpr size_t kAlignment = sizeof(u64);

// Headers are copied: the driver has the buffer too, and may have put a header
// where it is not aligned.
vfio_info_cap_header InfoChain::header_at(size_t offset) const
{
	vfio_info_cap_header header;

	__builtin_memcpy(&header, buffer_ + offset, kHeaderSize);
	return header;
}

void InfoChain::set_header_at(size_t offset, const vfio_info_cap_header &header)
{
	__builtin_memcpy(buffer_ + offset, &header, kHeaderSize);
}

Result<vfio_info_cap_header *> InfoChain::fail(int error)
{
	shim_free(buffer_);
	buffer_ = nullptr;
	size_ = 0;
	return Error(error);
}

Result<vfio_info_cap_header *> InfoChain::add(size_t size, u16 id, u16 version)
{
	size_t padded_size = 0;
	size_t grown_size = 0;

	// Offsets are u32.
	if (WARN_ONCE_IF(size < kHeaderSize ||
				 __builtin_add_overflow(size, kAlignment - 1, &padded_size) ||
				 __builtin_add_overflow(size_, padded_size & ~(kAlignment - 1),
							&grown_size) ||
				 grown_size > ~u32{0},
			 "capability of an impossible size"))
		return fail(EINVAL);

	u8 *grown = static_cast<u8 *>(shim_alloc(grown_size));

	if (!grown)
		return fail(ENOMEM);
	if (size_)
		__builtin_memcpy(grown, buffer_, size_);
	shim_free(buffer_);
	buffer_ = grown;

	const size_t offset = size_;

	size_ = grown_size;
	set_header_at(offset, {.id = id, .version = version, .next = 0});
	if (offset) {
		size_t tail = 0;
		vfio_info_cap_header header = header_at(tail);

		while (header.next) {
			tail = header.next;
			header = header_at(tail);
		}
		header.next = static_cast<u32>(offset);
		set_header_at(tail, header);
	}
	return reinterpret_cast<vfio_info_cap_header *>(buffer_ + offset);
}

Result<void> InfoChain::add_copy(const vfio_info_cap_header &cap, size_t size)
{
	vfio_info_cap_header *added = TRY(add(size, cap.id, cap.version));

	__builtin_memcpy(added + 1, &cap + 1, size - kHeaderSize);
	return {};
}

void InfoChain::shift(size_t offset)
{
	size_t at = 0;

	if (!buffer_)
		return;
	for (vfio_info_cap_header header = header_at(at); header.next; header = header_at(at)) {
		const size_t next = header.next;

		header.next += static_cast<u32>(offset);
		set_header_at(at, header);
		at = next;
	}
}

} // namespace vfio
