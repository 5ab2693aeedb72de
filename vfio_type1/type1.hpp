// SPDX-License-Identifier: GPL-2.0
//
// Type1: the IOMMU of one container: its mappings, the domains that hold
// them, and the groups that are attached.
//
// Invariants, whenever the lock is free:
// - every DmaRange has all its pages pinned and is mapped, whole, in every
//   domain; without domains none is (iommu_mapped);
// - mappings lie inside the valid IOVA space and do not overlap;
// - with dirty tracking on, every DmaRange has a bitmap;
// - non_pinned_groups_ counts the groups without pinned_dirty_scope.
//
// Locks: devices_lock_ before lock_. A device's dma_unmap is called with
// devices_lock_ held and lock_ free, because it unpins, which takes lock_.
// Pinning and accounting take the mmap lock inside lock_.
#pragma once

#include "dma_range.hpp"
#include "domain.hpp"
#include "iova_space.hpp"
#include "shim/device_list.h"
#include "shim/uapi.h"
#include "vocab/lock.hpp"
#include "vocab/uaccess.hpp"

struct page;

namespace vfio {

// Where a group's message interrupts go, if software must say so.
struct MsiWindow {
	bool in_software = false;
	bool in_hardware = false;
	Iova first;
};

class Type1 : Pinned {
public:
	// extension: VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU or
	// VFIO_TYPE1_NESTING_IOMMU. Errors: EINVAL for others, ENOMEM.
	static Result<UniquePtr<Type1>> create(u64 extension);

	Type1(bool v2, bool nesting);
	~Type1();

	// What CHECK_EXTENSION says of VFIO_DMA_CC_IOMMU and
	// VFIO_UPDATE_VADDR.
	bool coherent();
	bool can_update_vaddr();

	bool v2() const
	{
		return v2_;
	}

	// The ioctls, their structures copied in and their flags known.
	// user_bitmap in requests is a user address.
	Result<void> map_dma(const vfio_iommu_type1_dma_map &map);
	// Gives the bytes that were unmapped. bitmap counts only with
	// VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP.
	Result<u64> unmap_dma(const vfio_iommu_type1_dma_unmap &unmap,
			      const vfio_bitmap &bitmap);
	Result<void> start_dirty();
	void stop_dirty();
	Result<void> get_dirty(const vfio_iommu_type1_dirty_bitmap_get &request);
	Result<void> get_info(UserVa arg);

	Result<void> attach_group(iommu_group *group, bool emulated);
	void detach_group(iommu_group *group);
	Result<iommu_domain *> domain_of(iommu_group *group);

	Result<void> pin_pages(iommu_group *group, Iova iova, u32 npages, u32 prot,
			       page **pages);
	void unpin_pages(Iova iova, u32 npages);
	Result<void> dma_rw(Iova iova, u8 *data, size_t size, bool write);
	void register_device(vfio_device *device);
	void unregister_device(vfio_device *device);

	// Whether a bitmap of so many bytes has room for npages bits.
	// Errors: EINVAL.
	static Result<void> check_bitmap(u64 npages, u64 size);

private:
	bool hardware() const __must_hold(lock_)
	{
		return !domains_.empty();
	}

	unsigned int pgshift() const __must_hold(lock_)
	{
		return smallest_shift(pgsize_bitmap_);
	}

	// map.cpp
	Result<void> create_mapping(IovaRange range, UserVa uva, u32 prot) __must_hold(lock_);
	Result<void> restore_vaddr(IovaRange range, UserVa uva) __must_hold(lock_);
	Result<void> pin_and_map(DmaRange &dma) __must_hold(lock_);
	Result<void> allocate_bitmap(DmaRange &dma) __must_hold(lock_);

	// unmap.cpp
	Result<IovaRange> unmap_bounds(const vfio_iommu_type1_dma_unmap &unmap) __must_hold(lock_);
	bool bisects_mapping(IovaRange range) const __must_hold(lock_);
	Result<u64> invalidate_vaddr(IovaRange range) __must_hold(lock_);
	void remove(DmaRange &dma) __must_hold(lock_);
	void remove_all() __must_hold(lock_);
	void unmap_from_domains(DmaRange &dma) __must_hold(lock_);

	// attach.cpp
	AttachedGroup *group_entry(iommu_group *group) __must_hold(lock_);
	Result<void> attach_hardware(UniquePtr<AttachedGroup> attached) __must_hold(lock_);
	Result<void> narrow(IovaSpace &space, IovaRange aperture, iommu_group *group,
			    MsiWindow &msi) __must_hold(lock_);
	Result<bool> join_existing(Domain &from, AttachedGroup &attached) __must_hold(lock_);
	Result<void> populate(Domain &domain) __must_hold(lock_);
	void leave_domain(Domain &domain, AttachedGroup &attached) __must_hold(lock_);
	Result<void> rebuild_space() __must_hold(lock_);
	void update_page_sizes() __must_hold(lock_);

	// dirty.cpp
	Result<void> report_dirty(DmaRange &dma, Iova base, UserVa user_bitmap)
		__must_hold(lock_);

	// emulated.cpp
	Result<ExternalPin *> pin_page(Iova iova, u32 prot) __must_hold(lock_);
	bool unpin_page(Iova iova) __must_hold(lock_);
	Result<size_t> dma_rw_part(Iova iova, u8 *data, size_t size, bool write)
		__must_hold(lock_);

	static LockClass lock_class_;
	static LockClass devices_lock_class_;

	const bool v2_;
	const bool nesting_;

	Mutex devices_lock_{devices_lock_class_};
	Mutex lock_{lock_class_};

	// Changed under both locks, read under either.
	shim_device_list devices_;

	RangeTree<DmaRange> dmas_ __guarded_by(lock_);
	List<Domain> domains_ __guarded_by(lock_);
	GroupList emulated_groups_ __guarded_by(lock_);
	IovaSpace space_ __guarded_by(lock_);
	u64 pgsize_bitmap_ __guarded_by(lock_) = kPageMask;
	u64 non_pinned_groups_ __guarded_by(lock_) = 0;
	u32 dma_avail_ __guarded_by(lock_);
	u32 vaddr_invalid_count_ __guarded_by(lock_) = 0;
	bool dirty_tracking_ __guarded_by(lock_) = false;
};

} // namespace vfio
