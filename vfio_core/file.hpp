// SPDX-License-Identifier: GPL-2.0
//
// FileRef: a counted reference to an open file, or nothing. FdReservation: a
// descriptor that stands for no file yet, given back if it never does.
#pragma once

#include "shim/file.h"
#include "vocab/result.hpp"

namespace vfio {

class FileRef {
public:
	FileRef() = default;

	// Takes over the reference that the caller owns.
	static FileRef adopt(file *file)
	{
		FileRef ref;

		ref.file_ = file;
		return ref;
	}

	// Errors: EBADF.
	static Result<FileRef> of_fd(int fd)
	{
		file *file = shim_file_of_fd(fd);

		if (!file)
			return Error(EBADF);
		return adopt(file);
	}

	FileRef(FileRef &&other) : file_(exchange(other.file_, nullptr))
	{
	}

	FileRef &operator=(FileRef &&) = delete;

	~FileRef()
	{
		if (file_)
			shim_file_put(file_);
	}

	// Hands the reference to the caller.
	[[nodiscard]] file *release()
	{
		return exchange(file_, nullptr);
	}

	file *get() const
	{
		return file_;
	}

	explicit operator bool() const
	{
		return file_ != nullptr;
	}

private:
	file *file_ = nullptr;
};

class FdReservation {
public:
	// Errors: EMFILE, ENOMEM.
	static Result<FdReservation> create()
	{
		const int fd = shim_fd_reserve();

		if (fd < 0)
			return Error::from_negative(fd);
		return FdReservation(fd);
	}

	FdReservation(FdReservation &&other) : fd_(exchange(other.fd_, -1))
	{
	}

	FdReservation &operator=(FdReservation &&) = delete;

	~FdReservation()
	{
		if (fd_ >= 0)
			shim_fd_cancel(fd_);
	}

	int number() const
	{
		return fd_;
	}

	// From now on userspace has the file, and may have closed it.
	void install(FileRef file)
	{
		shim_fd_install(exchange(fd_, -1), file.release());
	}

private:
	explicit FdReservation(int fd) : fd_(fd)
	{
	}

	int fd_;
};

} // namespace vfio
