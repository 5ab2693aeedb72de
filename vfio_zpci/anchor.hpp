// SPDX-License-Identifier: GPL-2.0
//
// Anchor: what a guest registers for a function: where its I/O page table is, or that
// it wants none, and which IOVAs it will use.
#pragma once

#include "nested/guest_format.hpp"
#include "shim/uapi.h"
#include "uapi/vfio_zpci.h"

namespace vfio {

struct Anchor {
	// Errors: EINVAL if the request names no table that there can be.
	static Result<Anchor> of(const vfio_zpci_register &request);

	bool operator==(const Anchor &other) const
	{
		return direct == other.direct && window == other.window &&
		       (direct ||
			(table.format == other.table.format && table.top == other.table.top &&
			 table.origin == other.table.origin));
	}

	// All of the guest's memory is mapped, from the window's first IOVA on.
	bool direct = false;
	GuestTable table = {};
	// From the first byte of a page to the last of one.
	IovaRange window = {};
};

} // namespace vfio
