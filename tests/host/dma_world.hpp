// SPDX-License-Identifier: GPL-2.0
//
// What tests of the room dma/ share: a process with memory, and IOMMUs. No
// driver is linked with them.
#pragma once

#include "dma/domain_set.hpp"
#include "host_test.hpp"
#include "mock/iommu.hpp"
#include "mock/memory.hpp"

namespace dma_test {

using mock::kPage;

// 4096 ordinary pages, contiguous, are at kUva.
class DmaTest : public HostTest {
public:
	static constexpr u64 kUva = 0x10'0000'0000;
	static constexpr u64 kPfn = 0x10'0000;
	static constexpr u64 kPages = 4096;

protected:
	void SetUp() override
	{
		HostTest::SetUp();
		process.mm.map(kUva, kPages, kPfn);
	}

	void TearDown() override
	{
		EXPECT_EQ(mock::domain_count(), 0u) << "domains leaked";
		EXPECT_EQ(process.mm.locked_vm, 0u) << "pages still charged";
		HostTest::TearDown();
	}

	static vfio::IovaRange pages(u64 first, u64 npages)
	{
		return {{first * kPage}, {(first + npages) * kPage - 1}};
	}

	// A mapping of the pages at kUva, which the caller owns.
	static vfio::DmaRange &make_range(u64 first, u64 npages,
					  u32 prot = SHIM_IOMMU_READ | SHIM_IOMMU_WRITE)
	{
		return *vfio::make<vfio::DmaRange>(pages(first, npages),
						   vfio::UserVa{kUva + first * kPage}, prot)
				.take()
				.release();
	}

	// Puts a mapping into the tree, idle.
	static vfio::DmaRange &add(vfio::DmaTree &tree, u64 first, u64 npages)
	{
		vfio::DmaRange &dma = make_range(first, npages);
		{
			const vfio::Guard guard(tree.lock);

			EXPECT_TRUE(tree.insert_busy(dma).ok());
		}
		tree.settle(dma);
		return dma;
	}

	mock::Process process;
	mock::As as{&process};
	mock::Hardware hardware;
};

} // namespace dma_test
