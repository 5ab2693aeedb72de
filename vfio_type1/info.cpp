// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_GET_INFO: page sizes, and a chain of capabilities behind the
// structure: MIGRATION, DMA_AVAIL, and IOVA_RANGE if anything is known of it.
#include "type1.hpp"

namespace vfio {

namespace {

// The chain, in a buffer of its own, before it is known whether it fits the
// caller's. Offsets count from the start of the info structure. Each
// capability begins at a multiple of eight bytes, for its 64-bit fields.
class CapChain : Immovable {
public:
	static constexpr size_t kStart = sizeof(vfio_iommu_type1_info);
	static_assert(kStart % sizeof(u64) == 0);

	// Bytes that a capability of this size takes in the chain, with padding.
	static constexpr size_t room_for(size_t size)
	{
		return (size + sizeof(u64) - 1) & ~(sizeof(u64) - 1);
	}

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

	// A capability, that is, a struct that begins with a header, at the end
	// of the chain.
	template <class T> void add(u16 id, T capability)
	{
		const vfio_info_cap_header header = {.id = id, .version = 1, .next = 0};

		if (size_) {
			const u32 next = static_cast<u32>(kStart + size_);
			const size_t link = last_ + __builtin_offsetof(vfio_info_cap_header, next);

			__builtin_memcpy(bytes_ + link, &next, sizeof(next));
		}
		last_ = size_;
		capability.header = header;
		append(&capability, sizeof(capability));
	}

	// Adds bytes to the last capability, padded to a multiple of eight.
	void append(const void *data, size_t size)
	{
		const size_t padded = room_for(size);

		if (WARN_ONCE_IF(padded > room_ - size_, "capability chain too long"))
			return;
		__builtin_memcpy(bytes_ + size_, data, size);
		__builtin_memset(bytes_ + size_ + size, 0, padded - size);
		size_ += padded;
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
	size_t last_ = 0;
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

	const ReadGuard groups(groups_lock_);
	const u32 windows = space_.unbounded() ? 0 : space_.count();
	const size_t iova_size =
		windows ? sizeof(IovaRanges) + windows * sizeof(vfio_iova_range) : 0;
	CapChain chain(CapChain::room_for(sizeof(Migration)) +
		       CapChain::room_for(sizeof(DmaAvail)) + CapChain::room_for(iova_size));
	if (!chain)
		return Error(ENOMEM);

	info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = pgsize_bitmap_;

	Migration migration = {};
	migration.pgsize_bitmap = u64{1} << pgshift();
	migration.max_dirty_bitmap_size = DirtyBitmap::kMaxBytes;
	chain.add(VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, migration);

	DmaAvail avail = {};
	{
		const Guard guard(lock_);

		avail.avail = dma_avail_;
	}
	chain.add(VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, avail);

	if (windows) {
		IovaRanges ranges = {};

		ranges.nr_iovas = windows;
		chain.add(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, ranges);
		space_.each([&](IovaRange window) {
			const vfio_iova_range range = {window.first.value, window.last.value};

			chain.append(&range, sizeof(range));
		});
	}

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
