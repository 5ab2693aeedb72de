// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/fault-inject-usercopy.h>
#include <linux/string.h>

#include "compat/uaccess.h"
#include "shim/uaccess.h"

bool shim_copy_from_user(void *to, u64 from, size_t size)
{
	return copy_from_user(to, u64_to_user_ptr(from), size) == 0;
}

bool shim_copy_to_user(u64 to, const void *from, size_t size)
{
	return copy_to_user(u64_to_user_ptr(to), from, size) == 0;
}

bool shim_copy_struct_from_user(void *to, u64 from, size_t size)
{
	return _copy_from_user(to, u64_to_user_ptr(from), size) == 0;
}

bool shim_put_user(u64 to, u64 value)
{
	/* Unlike the copies, put_user() injects no faults in a debug kernel. */
	return !should_fail_usercopy() &&
	       put_user(value, (u64 __user *)u64_to_user_ptr(to)) == 0;
}

bool shim_access_ok(u64 address, u64 size)
{
	return access_ok(u64_to_user_ptr(address), size);
}

int shim_string_from_user(u64 from, size_t size, char **string)
{
	char *copy = strndup_user(u64_to_user_ptr(from), size);

	if (IS_ERR(copy))
		return PTR_ERR(copy);
	*string = copy;
	return 0;
}
