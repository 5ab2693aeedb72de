/* SPDX-License-Identifier: GPL-2.0 */
/* Copying between the core and the memory of the calling process. */
#ifndef SHIM_UACCESS_H
#define SHIM_UACCESS_H

#include "base.h"

SHIM_BEGIN

/**
 * shim_copy_from_user() - read the caller's memory
 * @to: where to put it
 * @from: user address
 * @size: bytes
 *
 * Context: may sleep and fault; the caller's mm.
 * Return: true if all was copied.
 */
bool shim_copy_from_user(void *to, u64 from, size_t size);

/**
 * shim_copy_to_user() - write the caller's memory
 * @to: user address
 * @from: what to write
 * @size: bytes
 *
 * Context: may sleep and fault; the caller's mm.
 * Return: true if all was copied.
 */
bool shim_copy_to_user(u64 to, const void *from, size_t size);

/**
 * shim_copy_struct_from_user() - read a struct of the caller's memory
 * @to: where to put it
 * @from: user address
 * @size: bytes, a constant that @to is known to have room for
 *
 * The kernel does not check @to again, as it does not for a size that its
 * compiler knows.
 *
 * Context: may sleep and fault; the caller's mm.
 * Return: true if all was copied.
 */
bool shim_copy_struct_from_user(void *to, u64 from, size_t size);

/**
 * shim_put_user() - write one word of the caller's memory
 * @to: user address
 * @value: what to write
 *
 * Context: may sleep and fault; the caller's mm.
 * Return: true if it was written.
 */
bool shim_put_user(u64 to, u64 value);

/**
 * shim_access_ok() - whether a range can be user memory at all
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
 * Context: may sleep and fault; the caller's mm.
 * Return: 0, -EFAULT, -EINVAL if it is longer, -ENOMEM.
 */
int shim_string_from_user(u64 from, size_t size, char **string);

SHIM_END

#endif
