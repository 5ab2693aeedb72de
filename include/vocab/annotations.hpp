// SPDX-License-Identifier: GPL-2.0
//
// Lock annotations in the kernel's spelling, checked by clang
// -Wthread-safety; other compilers see nothing.
#pragma once

#ifdef __clang__
#define VFIO_TSA(x) __attribute__((x))
#else
#define VFIO_TSA(x)
#endif

#define __lock_capability(name) VFIO_TSA(capability(name))
#define __lockable VFIO_TSA(capability("lock"))
#define __scoped_guard VFIO_TSA(scoped_lockable)
#define __guarded_by(lock) VFIO_TSA(guarded_by(lock))
#define __must_hold(...) VFIO_TSA(requires_capability(__VA_ARGS__))
#define __must_hold_shared(...) VFIO_TSA(requires_shared_capability(__VA_ARGS__))
#define __must_not_hold(...) VFIO_TSA(locks_excluded(__VA_ARGS__))
#define __acquires_lock(...) VFIO_TSA(acquire_capability(__VA_ARGS__))
#define __acquires_lock_shared(...) VFIO_TSA(acquire_shared_capability(__VA_ARGS__))
#define __tries_lock(...) VFIO_TSA(try_acquire_capability(__VA_ARGS__))
#define __tries_lock_shared(...) VFIO_TSA(try_acquire_shared_capability(__VA_ARGS__))
#define __releases_lock(...) VFIO_TSA(release_capability(__VA_ARGS__))
#define __releases_lock_shared(...) VFIO_TSA(release_shared_capability(__VA_ARGS__))
#define __releases_lock_generic(...) VFIO_TSA(release_generic_capability(__VA_ARGS__))
#define __asserts_lock(...) VFIO_TSA(assert_capability(__VA_ARGS__))
#define __asserts_lock_shared(...) VFIO_TSA(assert_shared_capability(__VA_ARGS__))
#define __returns_lock(lock) VFIO_TSA(lock_returned(lock))
#define __no_lock_analysis VFIO_TSA(no_thread_safety_analysis)
