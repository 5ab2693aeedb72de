/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Copying between the core and the memory of the calling process, whose mm all
 * functions but shim_access_ok() use; these may sleep and fault. Those that return
 * a bool return true if all was copied.
 */
#ifndef SHIM_UACCESS_H
#define SHIM_UACCESS_H

#include "base.h"

SHIM_BEGIN

/**
 * shim_copy_from_user() - read the caller's memory
 * @to: where to put it
 * @from: user address
 * @size: bytes
 */
bool shim_copy_from_user(void *to, u64 from, size_t size);

/**
 * shim_copy_to_user() - write the caller's memory
 * @to: user address
 * @from: what to write
 * @size: bytes
 */
bool shim_copy_to_user(u64 to, const void *from, size_t size);

/**
 * shim_copy_struct_from_user() - read a struct of the caller's memory
 * @to: where to put it
 * @from: user address
 * @size: bytes, a constant for which @to has room
 *
 * Leaves out the check of @to's bounds at run time, as copy_from_user() does when
 * the compiler knows the size.
 */
bool shim_copy_struct_from_user(void *to, u64 from, size_t size);

/**
 * shim_put_user() - write one word of the caller's memory
 * @to: user address
 * @value: what to write
 */
bool shim_put_user(u64 to, u64 value);

/**
 * shim_access_ok() - whether a range is in the address space of user memory
 * @address: user address
 * @size: bytes
 */
bool shim_access_ok(u64 address, u64 size);

/**
 * shim_string_from_user() - copy a string of the caller
 * @from: user address
 * @size: most bytes that it may have, with its end
 * @string: where to put it; the caller frees it with shim_free()
 *
 * Return: 0, -EFAULT, -EINVAL if it is longer, -ENOMEM.
 */
int shim_string_from_user(u64 from, size_t size, char **string);

SHIM_END

#endif
