// SPDX-License-Identifier: GPL-2.0
//
// A container of vfio_zpci with one group, and its ioctls, for a fixture that has the group
// and the process's memory at kUva.
#pragma once

#include "dma_world.hpp"
#include "mock/zpci.hpp"
#include "shim/uapi.h"
#include "uapi/vfio_zpci.h"

namespace zpci_test {

using mock::kPage;

constexpr u32 kReadWriteFlags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

template <class Base> class ZpciTest : public Base {
protected:
	static constexpr int kGroupFd = 5;

	void SetUp() override
	{
		Base::SetUp();
		ASSERT_EQ(zpci_init(), 0);
		ASSERT_EQ(zpci_open(VFIO_ZPCI_IOMMU, &zpci), 0);
	}

	void TearDown() override
	{
		close();
		zpci_exit();
		EXPECT_EQ(mock::run_doorbell_works(), 0) << "a work outlives its doorbell";
		EXPECT_EQ(mock::phys::all_pins(), 0u);
		Base::TearDown();
	}

	// As when the container is closed, with all groups that are attached.
	void close()
	{
		if (zpci)
			zpci_release(std::exchange(zpci, nullptr));
	}

	template <class T> long ioctl(u32 cmd, T &request)
	{
		const mock::UserWindow window(&request, sizeof(request));

		request.argsz = sizeof(request);
		return zpci_ioctl(zpci, cmd, reinterpret_cast<u64>(&request));
	}

	// uva: of the page's number, if it is not said.
	long map_memory(u64 page, u64 npages, u32 flags = kReadWriteFlags, u64 uva = 0)
	{
		vfio_iommu_type1_dma_map map = {};

		map.flags = flags;
		map.vaddr = uva ? uva : Base::kUva + page * kPage;
		map.iova = page * kPage;
		map.size = npages * kPage;
		return ioctl(VFIO_IOMMU_MAP_DMA, map);
	}

	long unmap_memory(u64 page, u64 npages)
	{
		vfio_iommu_type1_dma_unmap unmap = {};

		unmap.iova = page * kPage;
		unmap.size = npages * kPage;
		return ioctl(VFIO_IOMMU_UNMAP_DMA, unmap);
	}

	long unmap_all_memory()
	{
		vfio_iommu_type1_dma_unmap unmap = {};

		unmap.flags = VFIO_DMA_UNMAP_FLAG_ALL;
		return ioctl(VFIO_IOMMU_UNMAP_DMA, unmap);
	}

	long deregister(u32 fh, u32 flags = 0)
	{
		vfio_zpci_deregister request = {};

		request.fh = fh;
		request.flags = flags;
		return ioctl(VFIO_ZPCI_DEREGISTER, request);
	}

	long set_state(u32 fh, u32 state)
	{
		vfio_zpci_state request = {};

		request.fh = fh;
		request.state = state;
		return ioctl(VFIO_ZPCI_SET_STATE, request);
	}

	long set_doorbell(u32 fh, int eventfd, u64 page)
	{
		vfio_zpci_doorbell request = {};

		request.fh = fh;
		request.eventfd = eventfd;
		request.page = page;
		return ioctl(VFIO_ZPCI_SET_DOORBELL, request);
	}

	vfio_zpci_event event(u32 fh, u32 flags = 0)
	{
		vfio_zpci_event found = {};

		found.fh = fh;
		found.flags = flags;
		EXPECT_EQ(ioctl(VFIO_ZPCI_GET_EVENT, found), 0);
		return found;
	}

	vfio_zpci_statistics statistics(u32 fh)
	{
		vfio_zpci_statistics found = {};

		found.fh = fh;
		EXPECT_EQ(ioctl(VFIO_ZPCI_GET_STATISTICS, found), 0);
		return found;
	}

	::zpci *zpci = nullptr;
};

} // namespace zpci_test
