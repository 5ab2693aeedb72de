// SPDX-License-Identifier: GPL-2.0
#include "anchor.hpp"

namespace vfio {

namespace {

// Takes an I/O translation anchor of s390 apart. Errors: EINVAL for a designation type
// that is not a segment or region table.
Result<void> parse_iota(u64 iota, Anchor &anchor)
{
	constexpr u64 kTranslated = 0x800;
	constexpr unsigned int kTypeShift = 2;
	constexpr u64 kTypeMask = 7;
	constexpr u64 kOrigin = ~u64{0xfff};
	const u64 type = iota >> kTypeShift & kTypeMask;

	if (!(iota & kTranslated)) {
		anchor.direct = true;
		return {};
	}
	// Types 0 to 3 are segment, region-third, region-second and region-first tables.
	if (type + 1 >= S390Format::kLevels)
		return Error(EINVAL);
	anchor.table = {GuestTable::Format::kS390, static_cast<u32>(type) + 1, iota & kOrigin};
	return {};
}

// Errors: EINVAL.
Result<void> parse_vtd(u64 root, u32 levels, Anchor &anchor)
{
	if (levels < 3 || levels > VtdFormat::kLevels || root % kPageSize)
		return Error(EINVAL);
	anchor.table = {GuestTable::Format::kVtd, levels - 1, root};
	return {};
}

} // namespace

Result<Anchor> Anchor::of(const vfio_zpci_register &request)
{
	Anchor anchor;
	u64 first = 0;

	if (__builtin_add_overflow(request.pba, kPageSize - 1, &first) || request.reserved ||
	    (request.pal | (kPageSize - 1)) < request.pba)
		return Error(EINVAL);

	// A last byte that is not the last of its page leaves the page outside.
	const bool whole = (request.pal & (kPageSize - 1)) == kPageSize - 1;
	if (!whole && request.pal < kPageSize)
		return Error(EINVAL);
	anchor.window.first.value = first & kPageMask;
	anchor.window.last.value = whole ? request.pal : (request.pal & kPageMask) - 1;
	if (anchor.window.last < anchor.window.first)
		return Error(EINVAL);

	switch (request.format) {
	case VFIO_ZPCI_FORMAT_S390:
		if (request.levels)
			return Error(EINVAL);
		TRY(parse_iota(request.anchor, anchor));
		break;
	case VFIO_ZPCI_FORMAT_VTD:
		TRY(parse_vtd(request.anchor, request.levels, anchor));
		break;
	default:
		return Error(EINVAL);
	}
	anchor.direct |= request.flags & VFIO_ZPCI_REGISTER_DIRECT;
	if (!anchor.direct && anchor.window.last.value > anchor.table.last())
		return Error(EINVAL);
	return anchor;
}

} // namespace vfio
