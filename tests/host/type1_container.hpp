// SPDX-License-Identifier: GPL-2.0
//
// What tests of type1 share: a container seen from userspace and from
// drivers, through entry.h alone.
#pragma once

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "host_test.hpp"
#include "mock/device.hpp"
#include "mock/iommu.hpp"
#include "mock/memory.hpp"
#include "mock/params.hpp"
#include "shim/uapi.h"
#include "vfio_type1/entry.h"

using mock::kPage;

constexpr u32 kRead = VFIO_DMA_MAP_FLAG_READ;
constexpr u32 kWrite = VFIO_DMA_MAP_FLAG_WRITE;
constexpr u32 kReadWrite = kRead | kWrite;

class Container {
public:
	explicit Container(u64 extension = VFIO_TYPE1v2_IOMMU)
	{
		EXPECT_EQ(type1_open(extension, &type1_), 0);
	}

	~Container()
	{
		close();
	}

	Container(const Container &) = delete;

	void close()
	{
		if (type1_)
			type1_release(std::exchange(type1_, nullptr));
	}

	type1 *get() const
	{
		return type1_;
	}

	long ioctl(u32 cmd, const void *arg, size_t size)
	{
		const mock::UserWindow window(arg, size);

		return type1_ioctl(type1_, cmd, reinterpret_cast<u64>(arg));
	}

	long map(u64 iova, u64 uva, u64 size, u32 flags = kReadWrite);
	// Bytes unmapped, or a negative errno.
	s64 unmap(u64 iova, u64 size, u32 flags = 0);
	s64 unmap_all(u32 flags = 0)
	{
		return unmap(0, 0, flags | VFIO_DMA_UNMAP_FLAG_ALL);
	}
	// Unmaps with GET_DIRTY_BITMAP into bitmap.
	s64 unmap_dirty(u64 iova, u64 size, std::vector<u64> &bitmap, u64 pgsize = kPage);
	long dirty(u32 flags);
	long start_dirty()
	{
		return dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
	}
	long stop_dirty()
	{
		return dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
	}
	long get_dirty(u64 iova, u64 size, std::vector<u64> &bitmap, u64 pgsize = kPage);
	long extension(u64 extension)
	{
		return type1_ioctl(type1_, VFIO_CHECK_EXTENSION, extension);
	}

	int attach(iommu_group &group, bool emulated = false)
	{
		return type1_attach_group(type1_, &group, emulated);
	}

	void detach(iommu_group &group)
	{
		type1_detach_group(type1_, &group);
	}

	// Gives the pfns.
	int pin(iommu_group &group, u64 iova, u32 npages, std::vector<u64> *pfns = nullptr,
		u32 prot = SHIM_IOMMU_READ | SHIM_IOMMU_WRITE);

	void unpin(u64 iova, u32 npages)
	{
		type1_unpin_pages(type1_, iova, npages);
	}

	int rw(u64 iova, void *data, size_t size, bool write)
	{
		return type1_dma_rw(type1_, iova, data, size, write);
	}

	void add_device(vfio_device &device)
	{
		type1_register_device(type1_, &device);
	}

	void remove_device(vfio_device &device)
	{
		type1_unregister_device(type1_, &device);
	}

private:
	type1 *type1_ = nullptr;
};

// What GET_INFO told.
struct Info {
	long ret;
	vfio_iommu_type1_info info;
	std::optional<std::vector<std::pair<u64, u64>>> windows;
	std::optional<u32> avail;
	std::optional<vfio_iommu_type1_info_cap_migration> migration;
};

Info get_info(Container &container, u32 argsz = 4096);

// A process with memory: 4096 ordinary pages, contiguous, at kUva.
class Type1Test : public HostTest {
public:
	static constexpr u64 kUva = 0x10'0000'0000;
	static constexpr u64 kPfn = 0x10'0000;
	static constexpr u64 kPages = 4096;

protected:
	void SetUp() override;
	void TearDown() override;

	static u64 uva(u64 page)
	{
		return kUva + page * kPage;
	}

	u64 locked() const
	{
		return process.mm.locked_vm;
	}

	// All PTEs of a domain, as iova -> pfn.
	static std::map<u64, u64> ptes(const iommu_domain *domain);

	mock::Process process;
	mock::As as{&process};
	mock::Hardware hardware;
};

// A device that unpins all that it is told of, if it pinned it.
class PinningDevice {
public:
	PinningDevice(Container &container, iommu_group &group);
	~PinningDevice();

	int pin(u64 iova, u32 npages, u32 prot = SHIM_IOMMU_READ | SHIM_IOMMU_WRITE);
	void unpin(u64 iova, u32 npages);
	void unpin_all();

	vfio_device device;
	// iova of a page -> how often this device pinned it
	std::map<u64, u32> pinned;

private:
	Container &container_;
	iommu_group &group_;
};

// A container with a group behind hardware and an emulated one, whose device
// pins. A test attaches what it wants; the end detaches what is left.
class Type1Groups : public Type1Test {
protected:
	void TearDown() override;

	void attach_emulated();

	Container c;
	iommu_group group{&hardware};
	iommu_group emulated;
	// There from attach_emulated() on.
	std::unique_ptr<PinningDevice> device;

private:
	bool emulated_attached_ = false;
};
