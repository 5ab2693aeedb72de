// SPDX-License-Identifier: GPL-2.0
#include "type.hpp"

#include "entry.h"
#include "vfio_mdev/shim/type.h"

namespace vfio {

static size_t length(const char *text)
{
	size_t count = 0;

	while (text[count])
		++count;
	return count;
}

static char *append(char *to, const char *text)
{
	while (*text)
		*to++ = *text++;
	return to;
}

Result<UniquePtr<char>> type_directory(const mdev_parent *parent, const mdev_type *type)
{
	const char *driver = shim_mdev_parent_driver(parent);
	const char *own = shim_mdev_type_name(type);
	UniquePtr<char> name(
		static_cast<char *>(shim_alloc(length(driver) + length(own) + sizeof("-"))));

	if (!name)
		return Error(ENOMEM);
	*append(append(append(name.get(), driver), "-"), own) = '\0';
	return name;
}

// What the type's file `name` says.
CORE_ENTRY const char *mdev_core_type_title(const mdev_type *type)
{
	const char *pretty = shim_mdev_type_pretty_name(type);

	return pretty ? pretty : shim_mdev_type_name(type);
}

} // namespace vfio
