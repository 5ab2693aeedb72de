// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_GET_INFO: page sizes, and a chain of capabilities behind the
// structure: MIGRATION, DMA_AVAIL, and IOVA_RANGE if anything is known of it.
#include "type1.hpp"

namespace vfio {

namespace {

// The chain, in a buffer of its own, before it is known whether it fits the
// caller's. Offsets count from the start of the info structure.
class CapChain : Pinned {
public:
	static constexpr size_t kStart = sizeof(vfio_iommu_type1_info);

	explicit CapChain(size_t room) : bytes_(static_cast<u8 *>(shim_alloc(room))), room_(room)
	{
	}

	~CapChain()
	{
		shim_free(bytes_);
	}

	explicit operator bool() const
	{
		return bytes_ != nullptr;
	}

	// A zeroed capability at the end of the chain, or nullptr if the room
	// was misjudged.
	template <class T> T *add(u16 id, size_t size = sizeof(T))
	{
		if (WARN_ONCE_IF(size_ + size > room_, "capability chain too long"))
			return nullptr;

		auto *header = reinterpret_cast<vfio_info_cap_header *>(bytes_ + size_);
		header->id = id;
		header->version = 1;
		if (last_)
			last_->next = static_cast<u32>(kStart + size_);
		last_ = header;
		size_ += size;
		return reinterpret_cast<T *>(header);
	}

	const u8 *data() const
	{
		return bytes_;
	}

	size_t size() const
	{
		return size_;
	}

private:
	u8 *const bytes_;
	const size_t room_;
	size_t size_ = 0;
	vfio_info_cap_header *last_ = nullptr;
};

} // namespace

Result<void> Type1::get_info(UserVa arg)
{
	using Info = vfio_iommu_type1_info;
	using Migration = vfio_iommu_type1_info_cap_migration;
	using DmaAvail = vfio_iommu_type1_info_dma_avail;
	using IovaRanges = vfio_iommu_type1_info_cap_iova_range;

	Info info = {};
	size_t size = OFFSET_END(Info, iova_pgsizes);

	TRY(copy_in(&info, arg, size));
	if (info.argsz < size)
		return Error(EINVAL);
	// Callers from before capabilities have no field for them.
	if (info.argsz >= OFFSET_END(Info, cap_offset))
		size = OFFSET_END(Info, cap_offset);

	Guard guard(lock_);

	const u32 windows = space_.unbounded() ? 0 : space_.count();
	const size_t iova_size =
		windows ? sizeof(IovaRanges) + windows * sizeof(vfio_iova_range) : 0;
	CapChain chain(sizeof(Migration) + sizeof(DmaAvail) + iova_size);
	if (!chain)
		return Error(ENOMEM);

	info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = pgsize_bitmap_;

	if (auto *migration = chain.add<Migration>(VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION)) {
		migration->pgsize_bitmap = u64{1} << pgshift();
		migration->max_dirty_bitmap_size = DirtyBitmap::kMaxBytes;
	}
	if (auto *avail = chain.add<DmaAvail>(VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL))
		avail->avail = dma_avail_;
	if (windows) {
		auto *ranges = chain.add<IovaRanges>(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
						     iova_size);
		u32 n = 0;

		if (!ranges)
			return Error(ENOMEM);
		ranges->nr_iovas = windows;
		space_.each([&](IovaRange window) {
			ranges->iova_ranges[n].start = window.first.value;
			ranges->iova_ranges[n].end = window.last.value;
			n++;
		});
	}
	guard.unlock();

	if (info.argsz < sizeof(info) + chain.size()) {
		info.argsz = static_cast<u32>(sizeof(info) + chain.size());
		info.cap_offset = 0;
	} else {
		TRY(copy_out(arg + sizeof(info), chain.data(), chain.size()));
		info.cap_offset = sizeof(info);
	}
	return copy_out(arg, &info, size);
}

} // namespace vfio
