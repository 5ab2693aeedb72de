// SPDX-License-Identifier: GPL-2.0
//
// InfoChain: the capabilities that follow the answer to a GET_INFO ioctl, as
// they grow in a driver's hands. Each has a header whose next says where the
// following one begins, counted from the chain's begin while it is built, and
// from the answer's begin when that is put before it; 0 ends the chain.
//
// The buffer is the driver's. It frees the buffer when it is done, but an
// error of add() has freed it already.
#pragma once

#include "vocab/result.hpp"

struct vfio_info_cap_header;

namespace vfio {

class InfoChain {
public:
	InfoChain(vfio_info_cap_header *buffer, size_t size)
		: buffer_(reinterpret_cast<u8 *>(buffer)), size_(size)
	{
	}

	// Adds a capability of size bytes, zero except for its header, and pads
	// it with zeros to a multiple of eight bytes, where the next begins.
	// Errors: ENOMEM, EINVAL if size is below the header's or too large.
	Result<vfio_info_cap_header *> add(size_t size, u16 id, u16 version);

	// A copy of a capability, but for its next. Errors: as above.
	Result<void> add_copy(const vfio_info_cap_header &cap, size_t size);

	// The answer is put before the chain and moves it by offset.
	void shift(size_t offset);

	vfio_info_cap_header *buffer() const
	{
		return reinterpret_cast<vfio_info_cap_header *>(buffer_);
	}

	size_t size() const
	{
		return size_;
	}

private:
	Result<vfio_info_cap_header *> fail(int error);
	vfio_info_cap_header header_at(size_t offset) const;
	void set_header_at(size_t offset, const vfio_info_cap_header &header);

	u8 *buffer_;
	size_t size_;
};

} // namespace vfio
