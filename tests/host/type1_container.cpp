// SPDX-License-Identifier: GPL-2.0
#include "type1_container.hpp"

namespace {

template <class Fixed> std::vector<u8> join(const Fixed &fixed, const void *rest, size_t size)
{
	std::vector<u8> bytes(sizeof(fixed) + size);

	memcpy(bytes.data(), &fixed, sizeof(fixed));
	memcpy(bytes.data() + sizeof(fixed), rest, size);
	return bytes;
}

vfio_bitmap bitmap_of(std::vector<u64> &words, u64 pgsize)
{
	vfio_bitmap bitmap = {};

	bitmap.pgsize = pgsize;
	bitmap.size = words.size() * sizeof(u64);
	bitmap.data = reinterpret_cast<__u64 *>(words.data());
	return bitmap;
}

} // namespace

long Container::map(u64 iova, u64 uva, u64 size, u32 flags)
{
	vfio_iommu_type1_dma_map map = {sizeof(map), flags, uva, iova, size};

	return ioctl(VFIO_IOMMU_MAP_DMA, &map, sizeof(map));
}

s64 Container::unmap(u64 iova, u64 size, u32 flags)
{
	struct {
		u32 argsz, flags;
		u64 iova, size;
	} unmap = {sizeof(unmap), flags, iova, size};
	static_assert(sizeof(unmap) == sizeof(vfio_iommu_type1_dma_unmap));
	const long ret = ioctl(VFIO_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap));

	return ret < 0 ? ret : static_cast<s64>(unmap.size);
}

s64 Container::unmap_dirty(u64 iova, u64 size, std::vector<u64> &words, u64 pgsize)
{
	const vfio_bitmap bitmap = bitmap_of(words, pgsize);
	struct {
		u32 argsz, flags;
		u64 iova, size;
	} unmap = {static_cast<u32>(sizeof(unmap) + sizeof(bitmap)),
		   VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, iova, size};
	std::vector<u8> arg = join(unmap, &bitmap, sizeof(bitmap));
	const mock::UserWindow window(words.data(), words.size() * sizeof(u64));
	const long ret = ioctl(VFIO_IOMMU_UNMAP_DMA, arg.data(), arg.size());

	memcpy(&unmap, arg.data(), sizeof(unmap));
	return ret < 0 ? ret : static_cast<s64>(unmap.size);
}

long Container::dirty(u32 flags)
{
	struct {
		u32 argsz, flags;
	} dirty = {sizeof(dirty), flags};

	return ioctl(VFIO_IOMMU_DIRTY_PAGES, &dirty, sizeof(dirty));
}

long Container::get_dirty(u64 iova, u64 size, std::vector<u64> &words, u64 pgsize)
{
	const vfio_iommu_type1_dirty_bitmap_get request = {iova, size, bitmap_of(words, pgsize)};
	const struct {
		u32 argsz, flags;
	} dirty = {static_cast<u32>(sizeof(dirty) + sizeof(request)),
		   VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP};
	const std::vector<u8> arg = join(dirty, &request, sizeof(request));
	const mock::UserWindow window(words.data(), words.size() * sizeof(u64));

	return ioctl(VFIO_IOMMU_DIRTY_PAGES, arg.data(), arg.size());
}

int Container::pin(iommu_group &group, u64 iova, u32 npages, std::vector<u64> *pfns, u32 prot)
{
	std::vector<page *> pages(npages + 1, mock::page_of(~u64{0} >> 8));
	page *const guard = pages.back();
	const int ret = type1_pin_pages(type1_, &group, iova, npages, prot, pages.data());

	EXPECT_EQ(pages.back(), guard) << "wrote past the array";
	if (ret > 0 && pfns)
		for (int i = 0; i < ret; i++)
			pfns->push_back(mock::pfn_of(pages[i]));
	return ret;
}

Info get_info(Container &container, u32 argsz)
{
	std::vector<u8> bytes(std::max<size_t>(argsz, sizeof(vfio_iommu_type1_info)));
	Info info = {};

	info.info.argsz = argsz;
	memcpy(bytes.data(), &info.info, std::min<size_t>(argsz, sizeof(info.info)));
	info.ret = container.ioctl(VFIO_IOMMU_GET_INFO, bytes.data(), argsz);
	memcpy(&info.info, bytes.data(), std::min<size_t>(argsz, sizeof(info.info)));
	if (info.ret)
		return info;

	for (u32 at = info.info.cap_offset; at;) {
		vfio_info_cap_header header;
		EXPECT_LE(at + sizeof(header), argsz);
		memcpy(&header, bytes.data() + at, sizeof(header));
		EXPECT_EQ(header.version, 1);

		switch (header.id) {
		case VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE: {
			vfio_iommu_type1_info_cap_iova_range cap;

			memcpy(&cap, bytes.data() + at, sizeof(cap));
			info.windows.emplace();
			for (u32 i = 0; i < cap.nr_iovas; i++) {
				vfio_iova_range range;

				memcpy(&range, bytes.data() + at + sizeof(cap) + i * sizeof(range),
				       sizeof(range));
				info.windows->emplace_back(range.start, range.end);
			}
			break;
		}
		case VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION:
			info.migration.emplace();
			memcpy(&*info.migration, bytes.data() + at, sizeof(*info.migration));
			break;
		case VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL: {
			vfio_iommu_type1_info_dma_avail cap;

			memcpy(&cap, bytes.data() + at, sizeof(cap));
			info.avail = cap.avail;
			break;
		}
		default:
			ADD_FAILURE() << "capability " << header.id;
		}
		EXPECT_TRUE(header.next == 0 || header.next > at);
		at = header.next;
	}
	return info;
}

void Type1Test::SetUp()
{
	HostTest::SetUp();
	mock::type1_params.reset();
	process.mm.map(kUva, kPages, kPfn);
}

void Type1Test::TearDown()
{
	EXPECT_EQ(mock::domain_count(), 0u) << "domains leaked";
	EXPECT_EQ(locked(), 0u) << "pages still charged";
	HostTest::TearDown();
}

std::map<u64, u64> Type1Test::ptes(const iommu_domain *domain)
{
	std::map<u64, u64> result;

	for (const auto &[iova, pte] : domain->ptes)
		result[iova] = pte.pfn;
	return result;
}

PinningDevice::PinningDevice(Container &container, iommu_group &group)
	: container_(container), group_(group)
{
	device.dma_unmap = [this](u64 iova, u64 size) {
		const u64 last = iova + (size - 1);

		for (auto at = pinned.lower_bound(iova); at != pinned.end() && at->first <= last;) {
			for (u32 i = 0; i < at->second; i++)
				container_.unpin(at->first, 1);
			at = pinned.erase(at);
		}
	};
	container_.add_device(device);
}

PinningDevice::~PinningDevice()
{
	unpin_all();
	container_.remove_device(device);
}

int PinningDevice::pin(u64 iova, u32 npages, u32 prot)
{
	const int ret = container_.pin(group_, iova, npages, nullptr, prot);

	for (int i = 0; i < ret; i++)
		pinned[iova + static_cast<u64>(i) * kPage]++;
	return ret;
}

void PinningDevice::unpin(u64 iova, u32 npages)
{
	for (u32 i = 0; i < npages; i++)
		if (const auto at = pinned.find(iova + i * kPage);
		    at != pinned.end() && --at->second == 0)
			pinned.erase(at);
	container_.unpin(iova, npages);
}

void PinningDevice::unpin_all()
{
	for (const auto &[iova, count] : std::exchange(pinned, {}))
		for (u32 i = 0; i < count; i++)
			container_.unpin(iova, 1);
}

void Type1Groups::TearDown()
{
	device.reset();
	if (group.domain)
		c.detach(group);
	if (emulated_attached_)
		c.detach(emulated);
	c.close();
	Type1Test::TearDown();
}

void Type1Groups::attach_emulated()
{
	ASSERT_EQ(c.attach(emulated, true), 0);
	emulated_attached_ = true;
	device = std::make_unique<PinningDevice>(c, emulated);
}
