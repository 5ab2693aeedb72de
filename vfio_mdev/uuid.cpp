// SPDX-License-Identifier: GPL-2.0
#include "uuid.hpp"

namespace vfio {

namespace {

constexpr int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

// The position in the text of the two digits of each byte.
constexpr u8 kDigits[Uuid::kSize] = {6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34};
constexpr u8 kDashes[] = {8, 13, 18, 23};

constexpr Result<Uuid> parse_text(const char *text)
{
	Uuid uuid = {};

	for (const u8 at : kDashes)
		if (text[at] != '-')
			return Error(EINVAL);
	for (size_t i = 0; i < Uuid::kSize; ++i) {
		const int high = digit(text[kDigits[i]]);
		const int low = digit(text[kDigits[i] + 1]);

		if (high < 0 || low < 0)
			return Error(EINVAL);
		uuid.bytes[i] = static_cast<u8>(high << 4 | low);
	}
	return uuid;
}

static_assert(parse_text("03020100-0504-0706-0809-0a0b0C0D0E0F").value() ==
	      Uuid{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}});
static_assert(!parse_text("03020100-0504-0706-0809-0a0b0C0D0E0g").ok());
static_assert(!parse_text("03020100 0504-0706-0809-0a0b0C0D0E0F").ok());

} // namespace

Result<Uuid> Uuid::parse(const char *text, size_t size)
{
	if (size != kTextSize && size != kTextSize + 1)
		return Error(EINVAL);
	return parse_text(text);
}

} // namespace vfio
