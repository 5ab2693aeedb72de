// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/fault-inject-usercopy.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "shim/uaccess.h"

bool shim_copy_from_user(void *to, u64 from, size_t size)
{
	return copy_from_user(to, u64_to_user_ptr(from), size) == 0;
}

bool shim_copy_to_user(u64 to, const void *from, size_t size)
{
	return copy_to_user(u64_to_user_ptr(to), from, size) == 0;
}

bool shim_copy_words_from_user(u64 *to, u64 from, u32 nwords)
{
	const u64 __user *words = u64_to_user_ptr(from);
	u32 i;

	might_fault();
	if (should_fail_usercopy() ||
	    !user_read_access_begin(words, nwords * sizeof(u64)))
		return false;
	for (i = 0; i < nwords; i++)
		unsafe_get_user(to[i], &words[i], fault);
	user_read_access_end();
	return true;
fault:
	user_read_access_end();
	return false;
}

bool shim_copy_words_to_user(u64 to, const u64 *from, u32 nwords)
{
	u64 __user *words = u64_to_user_ptr(to);
	u32 i;

	might_fault();
	if (should_fail_usercopy() ||
	    !user_write_access_begin(words, nwords * sizeof(u64)))
		return false;
	for (i = 0; i < nwords; i++)
		unsafe_put_user(from[i], &words[i], fault);
	user_write_access_end();
	return true;
fault:
	user_write_access_end();
	return false;
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
