// SPDX-License-Identifier: GPL-2.0
//
// Ownership. make<T>() is the only way to the heap: it takes memory through
// the shim and returns an error if there is none. UniquePtr owns an object,
// Owned owns whatever else must be released, RefPtr shares an object that counts
// its references itself, T & borrows.
#pragma once

#include <new>

#include "shim/alloc.h"
#include "shim/slab.h"
#include "vocab/result.hpp"
#include "vocab/warn.hpp"

namespace vfio {

// The tag of the core's only heap. The operator is noexcept, so that g++
// tests for null before it constructs.
struct ShimHeap {};
constexpr ShimHeap kShimHeap{};

} // namespace vfio

inline void *operator new(size_t size, vfio::ShimHeap) noexcept
{
	return shim_alloc_object(size);
}

// Takes an object's memory from its slab.
inline void *operator new(size_t, shim_slab &slab) noexcept
{
	return shim_slab_alloc(&slab);
}

namespace vfio {

// A class of which there are very many objects has a static member slab, for all of them and
// for no object of a derived class.
template <class T>
concept HasSlab = requires
{
	static_cast<shim_slab &>(T::slab);
};

// Owns what a handle stands for: an object, a reference, a reservation. kRelease
// is called with the handle when the owner is destroyed or gets another handle.
// An owner that owns nothing has the handle kNothing, which is not released.
template <class Handle, auto kRelease, Handle kNothing = Handle{}> class Owned {
public:
	constexpr Owned() = default;

	// Takes over what the caller owns.
	explicit constexpr Owned(Handle handle) : handle_(handle)
	{
	}

	constexpr Owned(Owned &&other) : handle_(other.release())
	{
	}

	constexpr Owned &operator=(Owned &&other)
	{
		if (this != &other)
			reset(other.release());
		return *this;
	}

	constexpr ~Owned()
	{
		reset();
	}

	constexpr void reset(Handle handle = kNothing)
	{
		const Handle old = vfio::exchange(handle_, handle);

		if (!(old == kNothing))
			kRelease(old);
	}

	// The caller owns the handle afterwards.
	[[nodiscard]] constexpr Handle release()
	{
		return vfio::exchange(handle_, Handle{kNothing});
	}

	constexpr Handle get() const
	{
		return handle_;
	}

	constexpr auto &operator*() const
	{
		return *handle_;
	}

	constexpr Handle operator->() const
	{
		return handle_;
	}

	explicit constexpr operator bool() const
	{
		return !(handle_ == kNothing);
	}

private:
	Handle handle_ = kNothing;
};

// Destroys and frees an object that make() returned; object may be null.
template <class T> void destroy(T *object)
{
	if (!object)
		return;
	object->~T();
	if constexpr (HasSlab<T>)
		shim_slab_free(&T::slab, object);
	else
		shim_free(object);
}

template <class T> using UniquePtr = Owned<T *, destroy<T>>;

// Errors: ENOMEM.
template <class T, class... Args> Result<UniquePtr<T>> make(Args &&...args)
{
	T *object;

	if constexpr (HasSlab<T>)
		object = new (T::slab) T(vfio::forward<Args>(args)...);
	else
		object = new (kShimHeap) T(vfio::forward<Args>(args)...);
	if (!object)
		return Error(ENOMEM);
	return UniquePtr<T>(object);
}

// A count of references that starts at one, or at zero for an object that
// cannot be used before restart(). Getting from zero or past the top is a broken
// invariant: it warns, and the object is never freed.
class RefCount : Immovable {
public:
	explicit constexpr RefCount(u32 count = 1) : count_(count)
	{
	}

	void get()
	{
		const u32 count = __atomic_fetch_add(&count_, 1, __ATOMIC_RELAXED);

		if (count == 0 || count >= kSaturated) [[unlikely]] {
			__atomic_store_n(&count_, kSaturated, __ATOMIC_RELAXED);
			WARN_ONCE_IF(count == 0, "reference taken on a dead object");
		}
	}

	// Returns false if the count was zero: the object is being destroyed.
	bool try_get()
	{
		u32 count = __atomic_load_n(&count_, __ATOMIC_RELAXED);

		do {
			if (count == 0)
				return false;
			if (count >= kSaturated)
				return true;
		} while (!__atomic_compare_exchange_n(&count_, &count, count + 1, true,
						      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
		return true;
	}

	// Returns true if that was the last reference.
	bool put()
	{
		const u32 count = __atomic_fetch_sub(&count_, 1, __ATOMIC_ACQ_REL);

		if (count == 1)
			return true;
		if (count == 0 || count >= kSaturated) {
			__atomic_store_n(&count_, kSaturated, __ATOMIC_RELAXED);
			WARN_ONCE_IF(true, "reference count out of range");
		}
		return false;
	}

	// Counts one again, for an object that nobody can reach.
	void restart()
	{
		__atomic_store_n(&count_, 1, __ATOMIC_RELEASE);
	}

private:
	static constexpr u32 kSaturated = 0x8000'0000;

	u32 count_;
};

template <class T> void put_reference(T *object)
{
	if (object->refs().put())
		destroy(object);
}

// A shared reference to a T, whose refs() returns its RefCount. The last
// reference destroys the object.
template <class T> class RefPtr : public Owned<T *, put_reference<T>> {
	using Base = Owned<T *, put_reference<T>>;

public:
	constexpr RefPtr() = default;

	// Takes over the reference that the caller owns.
	static RefPtr adopt(T *object)
	{
		return RefPtr(object);
	}

	// Takes a reference of its own.
	static RefPtr share(T &object)
	{
		object.refs().get();
		return adopt(&object);
	}

	RefPtr(const RefPtr &other) : Base(other.get())
	{
		if (other)
			other->refs().get();
	}

	RefPtr(RefPtr &&) = default;

	RefPtr &operator=(RefPtr other)
	{
		Base::operator=(vfio::move(other));
		return *this;
	}

private:
	explicit RefPtr(T *object) : Base(object)
	{
	}
};

// Runs a function at the end of the scope, unless dismissed.
template <class F> class Defer : Immovable {
public:
	explicit Defer(F function) : function_(vfio::move(function))
	{
	}

	~Defer()
	{
		if (armed_)
			function_();
	}

	void dismiss()
	{
		armed_ = false;
	}

private:
	F function_;
	bool armed_ = true;
};

} // namespace vfio
