// SPDX-License-Identifier: GPL-2.0
#include "vfio_pin.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>

#include "vfio_mdev/shim/vfio_pin.h"

using namespace mock;

namespace {

using Lock = std::unique_lock<std::mutex>;

constexpr u64 kHandles = 0xffff'ea00'0000'0000;
constexpr u64 kDirect = u64{1} << 50;
constexpr u64 kMostAsked = 1000;

std::mutex dma_mutex;
std::map<u64, u64> dma_pfns;
std::map<u64, u64> dma_counts;
bool dma_direct;
u64 next_dma = 0x5000;

auto mapping_at(std::map<u64, vfio_device::Mapping> &mappings, u64 offset)
{
	auto found = mappings.upper_bound(offset);

	if (found == mappings.begin() ||
	    offset - std::prev(found)->first >= (--found)->second.npages)
		return mappings.end();
	return found;
}

} // namespace

vfio_device::~vfio_device()
{
	if (!counts.empty())
		violation("device gone with %zu pages pinned", counts.size());
}

void vfio_device::map(u64 first, u64 npages, u64 pfn, u32 prot, u64 stride)
{
	const Lock lock(mutex);

	mappings[first] = {npages, pfn, stride, prot, false};
}

void vfio_device::unmap(u64 first)
{
	Lock lock(mutex);
	const u64 npages = mappings.at(first).npages;
	const auto pinned = [&] {
		const auto at = counts.lower_bound(first);

		return at != counts.end() && at->first - first < npages;
	};

	mappings.at(first).leaving = true;
	for (u64 asked = 1; pinned(); asked++) {
		if (asked > kMostAsked) {
			violation("driver does not unpin what is unmapped");
			return;
		}
		most_asked = std::max(most_asked, asked);
		lock.unlock();
		dma_unmap(first << 12, npages << 12);
		std::this_thread::yield();
		lock.lock();
	}
	mappings.erase(first);
}

u64 vfio_device::pfn_at(u64 offset) const
{
	const Lock lock(mutex);
	auto &mine = const_cast<std::map<u64, Mapping> &>(mappings);
	const auto found = mapping_at(mine, offset);

	return found == mine.end() ?
		       0 :
		       found->second.pfn + (offset - found->first) * found->second.stride;
}

u64 vfio_device::pinned() const
{
	const Lock lock(mutex);

	return counts.size();
}

u64 vfio_device::pins() const
{
	const Lock lock(mutex);
	u64 pins = 0;

	for (const auto &[offset, count] : counts)
		pins += count;
	return pins;
}

int shim_vfio_pin(vfio_device *vdev, u64 iova, u32 npages, u32 prot, u64 *pages)
{
	const u64 first = iova >> 12;

	if (!vdev->open || !npages || npages > SHIM_VFIO_PIN_MOST || iova & 0xfff)
		violation("pin of %u pages at %#llx that VFIO does not allow", npages, iova);
	if (plan.hit(Fail::kPin))
		return -EFAULT;
	{
		const Lock lock(vdev->mutex);

		for (u64 offset = first; offset < first + npages; offset++) {
			const auto found = mapping_at(vdev->mappings, offset);

			if (found == vdev->mappings.end() ||
			    (found->second.leaving && !vdev->stock))
				return -EINVAL;
			if ((found->second.prot & prot) != prot)
				return -EPERM;
			pages[offset - first] =
				found->second.pfn + (offset - found->first) * found->second.stride;
		}
		for (u32 i = 0; i < npages; i++) {
			if (vdev->counts[first + i]++ == 0)
				phys::pin(pages[i]);
			pages[i] = kHandles + pages[i] * 64;
		}
	}
	if (vdev->after_pin)
		vdev->after_pin(first, npages);
	return static_cast<int>(npages);
}

void shim_pages_to_pfns(u64 *pages, u32 npages)
{
	for (u32 i = 0; i < npages; i++) {
		if (pages[i] < kHandles || pages[i] % 64)
			violation("%#llx is no page", pages[i]);
		pages[i] = (pages[i] - kHandles) / 64;
	}
}

void shim_vfio_unpin(vfio_device *vdev, u64 iova, u32 npages)
{
	const u64 first = iova >> 12;

	if (!vdev->open || !npages || npages > SHIM_VFIO_PIN_MOST || iova & 0xfff)
		violation("unpin of %u pages at %#llx that VFIO does not allow", npages, iova);
	for (u64 offset = first; offset < first + npages; offset++) {
		const u64 pfn = vdev->pfn_at(offset);
		const Lock lock(vdev->mutex);
		const auto found = vdev->counts.find(offset);

		if (found == vdev->counts.end()) {
			violation("page %#llx unpinned too often", offset);
			continue;
		}
		if (--found->second == 0) {
			vdev->counts.erase(found);
			phys::unpin(pfn, false);
		}
	}
}

int shim_dma_map(device *, u64 pfn, u32, u64 *dma)
{
	*dma = ~u64{0};
	if (plan.hit(Fail::kDomainMap))
		return -ENOMEM;

	const Lock lock(dma_mutex);
	*dma = dma_direct ? kDirect + (pfn << 12) : (next_dma += 3 << 12);
	if (phys::pins(pfn) == 0)
		violation("page %#llx mapped for DMA and not pinned", pfn);
	dma_pfns[*dma] = pfn;
	dma_counts[*dma]++;
	phys::mapped(pfn);
	return 0;
}

void shim_dma_unmap(device *, u64 dma, u32)
{
	const Lock lock(dma_mutex);
	const auto found = dma_counts.find(dma);

	if (found == dma_counts.end()) {
		violation("DMA address %#llx unmapped that is none", dma);
		return;
	}
	phys::unmapped(dma_pfns[dma]);
	if (--found->second == 0) {
		dma_pfns.erase(dma);
		dma_counts.erase(found);
	}
}

namespace mock {

void set_dma_direct(bool direct)
{
	dma_direct = direct;
}

u64 dma_mapped()
{
	const Lock lock(dma_mutex);

	return dma_pfns.size();
}

u64 dma_pfn(u64 dma)
{
	const Lock lock(dma_mutex);
	const auto found = dma_pfns.find(dma);

	return found == dma_pfns.end() ? 0 : found->second;
}

} // namespace mock
