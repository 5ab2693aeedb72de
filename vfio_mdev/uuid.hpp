// SPDX-License-Identifier: GPL-2.0
//
// Uuid: what a mediated device is known by. Its bytes are in the order of the
// kernel's guid_t: the first three fields of the text little-endian, the rest
// as written.
#pragma once

#include "vocab/result.hpp"

namespace vfio {

struct Uuid {
	static constexpr size_t kTextSize = 36;
	static constexpr size_t kSize = 16;

	u8 bytes[kSize];

	// From what was written to a file: the text and at most one more
	// character, which stands for a newline and is not looked at. Hex
	// digits of either case. Errors: EINVAL.
	static Result<Uuid> parse(const char *text, size_t size);

	friend constexpr bool operator==(const Uuid &, const Uuid &) = default;
};

} // namespace vfio
