// SPDX-License-Identifier: GPL-2.0
#include "choices.hpp"

u64 Choices::hostile()
{
	const u8 kind = byte();

	switch (kind % 6) {
	case 0:
		return byte();
	case 1:
		return u64{byte()} << 12;
	case 2:
		return (u64{1} << (kind / 6 + 32) % 64) + byte() - 128;
	case 3:
		return ~u64{0} - byte();
	case 4:
		return ~u64{0} - (u64{byte()} << 12) + 1;
	default:
		return number(8);
	}
}

void plan_failure(Choices &choices)
{
	const u8 how = choices.byte();

	mock::plan.reset();
	if (how < 64)
		mock::plan.fail_nth(how % 32 + 1);
	else if (how < 128)
		mock::plan.fail(static_cast<mock::Fail>(
					choices.below(static_cast<u64>(mock::Fail::kCount))),
				how % 16 + 1);
}
