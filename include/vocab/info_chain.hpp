// SPDX-License-Identifier: GPL-2.0
//
// InfoChain: the capabilities that follow the answer to a GET_INFO ioctl, while
// they are built. Each begins with a vfio_info_cap_header, whose next is the
// offset of the following capability, or 0 in the last. Offsets count from the
// chain's first byte until shift() makes them count from the first byte of the
// answer that the chain follows.
//
// The chain owns its buffer; vfio_info_cap_add() takes the buffer from a driver and
// returns it with one capability more. A driver may have put a capability at an
// address that is not aligned, so headers are copied in and out.
#pragma once

#include "shim/uapi.h"
#include "vocab/memory.hpp"
#include "vocab/uaccess.hpp"

namespace vfio {

class InfoChain : Immovable {
	using Header = vfio_info_cap_header;

public:
	InfoChain() = default;

	// Takes over a chain of size bytes that shim_alloc() allocated, or that is
	// nullptr and empty.
	InfoChain(Header *buffer, size_t size)
		: buffer_(reinterpret_cast<u8 *>(buffer)), size_(size)
	{
	}

	// Adds a capability of size bytes at the end. It is zero except for its
	// header, and is padded with zeros to a multiple of eight bytes, so that the
	// next one is aligned for its 64-bit fields. The returned address is valid
	// until the next call. After an error the chain is empty.
	// Errors: ENOMEM; EINVAL if size is below the header's or too large.
	Result<Header *> add(size_t size, u16 id, u16 version)
	{
		constexpr size_t kAlignment = sizeof(u64);
		const size_t offset = size_;
		size_t padded = 0;
		size_t grown = 0;

		// Offsets are u32.
		if (WARN_ONCE_IF(size < sizeof(Header) ||
					 __builtin_add_overflow(size, kAlignment - 1, &padded) ||
					 __builtin_add_overflow(offset, padded & ~(kAlignment - 1),
								&grown) ||
					 grown > ~u32{0},
				 "capability of an impossible size"))
			return fail(EINVAL);

		u8 *buffer = static_cast<u8 *>(shim_alloc(grown));

		if (!buffer)
			return fail(ENOMEM);
		if (offset)
			__builtin_memcpy(buffer, buffer_.get(), offset);
		buffer_.reset(buffer);
		size_ = grown;
		set_header(offset, {.id = id, .version = version, .next = 0});
		if (offset)
			append(static_cast<u32>(offset));
		return reinterpret_cast<Header *>(buffer + offset);
	}

	// Adds a capability of type T, which begins with the header, followed by
	// more bytes. Aligned if add() has built the whole chain.
	template <class T> Result<T *> add(u16 id, u16 version, size_t more = 0)
	{
		return reinterpret_cast<T *>(TRY(add(sizeof(T) + more, id, version)));
	}

	// Adds to all offsets the size of the answer that the chain follows.
	void shift(size_t offset)
	{
		size_t at = 0;

		if (!buffer_)
			return;
		for (Header header = header_at(at); header.next; header = header_at(at)) {
			const size_t next = header.next;

			header.next += static_cast<u32>(offset);
			set_header(at, header);
			at = next;
		}
	}

	// Copies the chain behind the answer at arg, and sets cap_offset in info, which
	// the caller copies there. If argsz has no room for the chain, sets argsz to what
	// it needs, and cap_offset to 0. Errors: EFAULT.
	template <class Info> Result<void> copy_behind(UserVa arg, Info &info)
	{
		const size_t needed = sizeof(info) + size_;

		info.cap_offset = 0;
		if (info.argsz < needed) {
			info.argsz = static_cast<u32>(needed);
			return {};
		}
		shift(sizeof(info));
		TRY(copy_out(arg + sizeof(info), buffer_.get(), size_));
		info.cap_offset = sizeof(info);
		return {};
	}

	const u8 *data() const
	{
		return buffer_.get();
	}

	size_t size() const
	{
		return size_;
	}

	// Hands the buffer to the caller.
	[[nodiscard]] Header *release()
	{
		size_ = 0;
		return reinterpret_cast<Header *>(buffer_.release());
	}

private:
	Error fail(int error)
	{
		buffer_.reset();
		size_ = 0;
		return Error(error);
	}

	Header header_at(size_t offset) const
	{
		Header header;

		__builtin_memcpy(&header, buffer_.get() + offset, sizeof(header));
		return header;
	}

	void set_header(size_t offset, const Header &header)
	{
		__builtin_memcpy(buffer_.get() + offset, &header, sizeof(header));
	}

	// Links the capability at offset to the last one.
	void append(u32 offset)
	{
		size_t at = 0;
		Header header = header_at(at);

		while (header.next) {
			at = header.next;
			header = header_at(at);
		}
		header.next = offset;
		set_header(at, header);
	}

	Owned<u8 *, shim_free> buffer_;
	size_t size_ = 0;
};

} // namespace vfio
