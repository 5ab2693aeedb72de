// SPDX-License-Identifier: GPL-2.0
//
// Uuid: names a mediated device. Its bytes are in the order of the kernel's
// guid_t: the first three fields of the text are little-endian, the others in
// the order of the text.
#pragma once

#include "vocab/result.hpp"

namespace vfio {

struct Uuid {
	static constexpr size_t kTextSize = 36;
	static constexpr size_t kSize = 16;

	u8 bytes[kSize];

	// Parses what was written to a file: the text, in hex digits of either
	// case, and at most one more character, which is ignored because it is
	// the newline of a shell's echo. Errors: EINVAL.
	static Result<Uuid> parse(const char *text, size_t size);

	friend constexpr bool operator==(const Uuid &, const Uuid &) = default;
};

} // namespace vfio
