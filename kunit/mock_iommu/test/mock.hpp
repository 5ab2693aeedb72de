// SPDX-License-Identifier: GPL-2.0
//
// VFIO on the mock IOMMUs from userspace: a container, groups in it, and what
// /dev/vfio_mock tells.
#ifndef MOCK_HPP
#define MOCK_HPP

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <linux/vfio.h>
#include <map>
#include <memory>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include "../../../include/uapi/vfio_group_merge.h"
#include "../vfio_mock.h"
#include "tap.hpp"

constexpr uint64_t kPage = 4096;
constexpr uint64_t kHuge = 2 << 20;
constexpr uint32_t kRead = VFIO_DMA_MAP_FLAG_READ;
constexpr uint32_t kReadWrite = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

class Fd {
public:
	explicit Fd(int fd = -1) : fd_(fd)
	{
	}
	Fd(Fd &&other) noexcept : fd_(other.fd_)
	{
		other.fd_ = -1;
	}
	Fd &operator=(Fd &&other) noexcept
	{
		std::swap(fd_, other.fd_);
		return *this;
	}
	~Fd()
	{
		if (fd_ >= 0)
			close(fd_);
	}
	int get() const
	{
		return fd_;
	}
	/* 0 or the errno. */
	template <class Arg> int call(unsigned long request, Arg arg) const
	{
		return ioctl(fd_, request, arg) < 0 ? errno : 0;
	}

private:
	int fd_;
};

/* Anonymous memory, present. */
class Memory {
public:
	explicit Memory(uint64_t size, int flags = 0)
		: size_(size),
		  data_(static_cast<uint8_t *>(mmap(nullptr, size, PROT_READ | PROT_WRITE,
						    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0)))
	{
		if (data_ == MAP_FAILED)
			throw tap::Failure("mmap: " + std::string(strerror(errno)));
		for (uint64_t i = 0; i < size; i++)
			data_[i] = static_cast<uint8_t>(i * 7 + (i >> 12) * 13);
	}
	~Memory()
	{
		munmap(data_, size_);
	}
	uint8_t *data() const
	{
		return data_;
	}
	uint64_t size() const
	{
		return size_;
	}

private:
	uint64_t size_;
	uint8_t *data_;
};

/* A device behind mock IOMMU `iommu`. */
struct Device {
	unsigned iommu, nr;

	vfio_mock_pte pte(uint64_t iova) const;
	/* 0 or the errno. */
	int dma(uint64_t iova, void *data, uint32_t size, bool write) const;
	/* Checks that it reads what memory holds, and can write it if wanted. */
	void check_reaches(uint64_t iova, const Memory &memory, bool writes = true) const;
	void check_reaches_nothing(uint64_t iova, uint64_t size) const;
	std::string name() const;
	std::string group_path() const;
	Fd open_group() const;
};

vfio_mock_counts counts(unsigned iommu);
/* Returns what was left of the one set before. */
unsigned fail(unsigned iommu, unsigned kind, unsigned nth);
void set_flags(unsigned iommu, unsigned flags);
uint64_t locked_kib();
void set_parameter(const char *name, const char *value);

/* The slab objects that modules hold, by how they were got: vfio_live_objects.ko lists them. */
using Objects = std::map<std::string, unsigned>;
Objects live_objects();

/* What a test, and a call that fails, must leave as it was. */
struct State {
	uint64_t locked = locked_kib();
	uint64_t ptes[VFIO_MOCK_IOMMUS], domains[VFIO_MOCK_IOMMUS];
	Objects objects = live_objects();

	State();
	void check_same() const;
};

/* The file on which the ioctls of an IOMMU are called; errors of each call are its errno. */
class IommuFile {
public:
	int fd() const
	{
		return fd_.get();
	}
	int set_iommu(unsigned long type = VFIO_TYPE1v2_IOMMU) const;
	int map(const Memory &memory, uint64_t iova, uint32_t flags = kReadWrite,
		uint64_t size = 0) const;
	/* Bytes unmapped. */
	uint64_t unmap(uint64_t iova, uint64_t size, uint32_t flags = 0) const;
	long extension(long which) const;
	uint64_t page_sizes() const;
	std::vector<std::pair<uint64_t, uint64_t>> ranges() const;

	/* 0 or the errno. */
	template <class Arg> int call(unsigned long request, Arg arg) const
	{
		return fd_.call(request, arg);
	}

protected:
	explicit IommuFile(Fd fd) : fd_(std::move(fd))
	{
	}

private:
	std::vector<uint8_t> info() const;

	Fd fd_;
};

/* VFIO_GROUP_MERGE or VFIO_GROUP_UNMERGE of another group; its file stays open meanwhile. */
inline vfio_group_merge merge_request(const Fd &group)
{
	vfio_group_merge request = {};
	request.argsz = sizeof(request);
	request.group = group.get();
	return request;
}

/* The groups of devices, by their devices. */
using Groups = std::map<std::pair<unsigned, unsigned>, Fd>;

/* A container. */
class Container : public IommuFile {
public:
	Container();

	/* The first one also sets the IOMMU. */
	int attach(const Device &device, unsigned long type = VFIO_TYPE1v2_IOMMU);
	void detach(const Device &device);
	/* A device of a group that is attached. */
	Fd open_device(const Device &device) const;

private:
	Groups groups_;
};

/* A set of merged groups, without a container's file; it begins with one group. */
class MergedSet : public IommuFile {
public:
	explicit MergedSet(const Device &first) : IommuFile(first.open_group())
	{
	}

	int merge(const Device &device);
	int unmerge(const Device &device);

private:
	Groups groups_;
};

/* Runs a body, and checks that it leaves nothing behind. */
template <class Body> void balanced(Body body)
{
	const State before;
	body();
	before.check_same();
}

/*
 * Lets the 1st, 2nd, ... call of a kind that a mock IOMMU gets fail while body runs, until it runs
 * without one having failed. Returns how many failed.
 */
template <class Body> unsigned sweep_calls(unsigned iommu, unsigned kind, Body body)
{
	/* What a container keeps for the next time is there from now on. */
	CHECK_EQ(body(), 0);
	for (unsigned nth = 1;; nth++) {
		const State before;
		fail(iommu, kind, nth);
		const int error = body();
		if (fail(iommu, kind, 0)) {
			CHECK_EQ(error, 0);
			return nth - 1;
		}
		CHECK(error != 0);
		before.check_same();
	}
}

#endif
