/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's UAPI headers, before headers_install, include this name, which
 * is not part of the UAPI. C++ is given this empty one.
 */
