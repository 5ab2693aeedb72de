// SPDX-License-Identifier: GPL-2.0
//
// Type1: the IOMMU of one container, as userspace and vfio.ko see it: the semantics
// of the type1 ioctls, over the mappings (DmaTree) and the hardware domains
// (DomainSet) of the container's address space. A container may also have emulated
// groups, whose devices reach memory through the CPU: they copy, or pin pages.
//
// Invariants, whenever the locks are free: those of DmaTree and DomainSet; no mapping
// is busy; without any group there are no mappings; non_pinned_groups_ is the number
// of groups without pinned_dirty_scope.
//
// Locks: devices_lock_ and groups_lock_ are taken before dmas_.lock, and the mmap lock
// of a process inside all of them. groups_lock_ is held shared to map, unmap, report
// and copy, and exclusively to attach and detach, which pins under both locks. Pinning
// for a device needs dmas_.lock alone.
// A device's dma_unmap is called with devices_lock_ held and the others free, because
// it unpins.
#pragma once

#include "dma/domain_set.hpp"
#include "shim/uapi.h"
#include "vfio_type1/shim/device_list.h"
#include "vfio_type1/shim/gate.h"
#include "vocab/errno_counts.hpp"
#include "vocab/lock.hpp"
#include "vocab/uaccess.hpp"

struct page;

// The handle by which C code refers to a Type1.
struct type1 {};

namespace vfio {

class DirtyReport;
class InfoChain;
struct ExternalPages;

class Type1 : public type1 {
public:
	// extension: VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU or
	// VFIO_TYPE1_NESTING_IOMMU. Errors: EINVAL for others, ENOMEM.
	static Result<UniquePtr<Type1>> create(u64 extension);

	static Type1 &of(type1 *handle)
	{
		return *static_cast<Type1 *>(handle);
	}

	Type1(bool v2, bool nesting);
	// Unmaps all mappings and detaches groups that are still attached.
	~Type1();

	// What CHECK_EXTENSION says of VFIO_DMA_CC_IOMMU,
	// VFIO_TYPE1_NESTING_IOMMU and VFIO_UPDATE_VADDR.
	bool check_extension(u64 extension);

	// An ioctl of the container that vfio.ko does not know, but for
	// CHECK_EXTENSION. arg is the address of the request. Returns what the
	// ioctl returns, -ENOTTY for an unknown one.
	long ioctl(u32 cmd, UserVa arg);

	// Attaches a group that VFIO owns, and maps all mappings for it; or, if
	// its devices reach memory only through the CPU (emulated), remembers it.
	// Errors: EBUSY while addresses are being updated, EINVAL for a group
	// that is attached or whose IOVAs conflict with mappings, EPERM without
	// interrupt remapping, EIO without a domain, ENOMEM, errors of pinning.
	Result<void> attach_group(iommu_group *group, bool emulated);

	// Undoes attach_group(). Without any group all mappings are unmapped.
	void detach_group(iommu_group *group);

	// The domain that a group is attached to. Errors: ENODEV if it has none.
	Result<Domain *> group_domain(const iommu_group *group);

	// Pins npages pages from iova on for a device of group, all or none, and
	// writes their handles. A page is charged once however often it is pinned.
	// prot is SHIM_IOMMU_READ and SHIM_IOMMU_WRITE, or-ed.
	// Errors: EINVAL outside mappings or if no device hears of unmaps, EPERM
	// against the mapping's protection, EACCES with the v1 interface, EBUSY
	// while addresses are being updated, EOVERFLOW, ENOMEM, EFAULT.
	Result<void> pin_pages(iommu_group *group, Iova iova, u64 npages, u32 prot,
			       PageHandle *handles);

	// Counts a pin_pages() that has failed.
	void note_pin_error(Error error)
	{
		pin_errors_.note(-error.negative());
	}

	// Takes back one pin of each page.
	void unpin_pages(Iova iova, u64 npages);

	// vfio_iommu_extension::remap and the like. They take no lock that others hold while they
	// wait for userspace: what they look at is guarded by a lock of DomainSet.
	Result<u64> remap(const vfio_remap_page *pages, u32 count) __no_lock_analysis;
	void flush_remapped() __no_lock_analysis;
	void put_users_back() __no_lock_analysis;

	// Copies between data, a buffer of the kernel's, and mapped memory: into
	// the memory if write is set. Errors: EINVAL outside mappings, EPERM
	// against the protection or if the process has gone, EFAULT, EBUSY while
	// addresses are being updated.
	Result<void> dma_rw(Iova iova, u8 *data, size_t size, bool write);

	// Called when a device is opened and closed. In between its dma_unmap, if its
	// driver has one, is called for mappings that it has to unpin.
	void register_device(vfio_device *device);
	void unregister_device(vfio_device *device);

	// Prints a record for debugfs, as vfio_iommu_extension says (include/vfio_cxx/iommu_extension.h).
	int show(u32 part, u64 *cursor, seq_file *seq) __must_not_hold(groups_lock_, dmas_.lock);

	// Whether a bitmap of size bytes has room for npages bits.
	// Errors: EINVAL.
	static Result<void> check_bitmap_size(u64 npages, u64 size);

private:
	// What has been counted for debugfs, of calls that hold the mappings' lock anyway.
	struct Counts {
		u64 pin_calls = 0;
		u64 pinned = 0;
		u64 unpinned = 0;
		u64 pin_retries = 0;
	};

	// show.cpp
	void show_summary(seq_file *seq) __must_hold_shared(groups_lock_)
		__must_not_hold(dmas_.lock);
	void show_statistics(seq_file *seq) __must_hold_shared(groups_lock_)
		__must_not_hold(dmas_.lock);

	// The smallest page size of the IOMMUs, as a shift.
	// Callers hold groups_lock_ or dmas_.lock: it changes under both.
	unsigned int pgshift() const __no_lock_analysis
	{
		return domains_.page_shift();
	}

	// info.cpp
	Result<void> get_info(UserVa arg) __must_not_hold(groups_lock_, dmas_.lock);
	// Fills in the structure and the chain. Nothing is copied under the locks: whoever copies may wait
	// for userspace. Errors: ENOMEM.
	Result<void> describe(vfio_iommu_type1_info &info, InfoChain &chain)
		__must_not_hold(groups_lock_, dmas_.lock);

	// map.cpp
	Result<void> map_dma(UserVa arg) __must_not_hold(groups_lock_, dmas_.lock);
	Result<void> try_map(const vfio_iommu_type1_dma_map &map)
		__must_not_hold(groups_lock_, dmas_.lock);
	Result<void> create_mapping(IovaRange range, UserVa uva, u32 prot)
		__must_hold_shared(groups_lock_) __must_not_hold(dmas_.lock);
	Result<void> insert_busy(DmaRange &dma) __must_hold_shared(groups_lock_)
		__must_not_hold(dmas_.lock);
	Result<void> restore_vaddr(IovaRange range, UserVa uva) __must_hold_shared(groups_lock_)
		__must_not_hold(dmas_.lock);
	MapPolicy map_policy() const;
	int frames_changed() __no_lock_analysis;

	// unmap.cpp
	Result<void> unmap_dma(UserVa arg) __must_not_hold(groups_lock_, dmas_.lock);
	Result<u64> try_unmap_dma(const vfio_iommu_type1_dma_unmap &request, UserVa arg)
		__must_not_hold(groups_lock_, dmas_.lock);
	static Result<void> copy_bitmap_in(const vfio_iommu_type1_dma_unmap &request, UserVa arg,
					   vfio_bitmap *bitmap);
	Result<u64> unmap_range(const vfio_iommu_type1_dma_unmap &request,
				const vfio_bitmap *bitmap)
		__must_not_hold(groups_lock_, dmas_.lock);
	Result<bool> try_unmap(const vfio_iommu_type1_dma_unmap &request, const vfio_bitmap *bitmap,
			       u64 *unmapped, IovaRange *pinned)
		__must_not_hold(groups_lock_, dmas_.lock);
	Result<IovaRange> unmap_bounds(const vfio_iommu_type1_dma_unmap &request)
		__must_hold_shared(groups_lock_);
	Result<bool> take_victims(IovaRange range, bool *all_dirty, List<DmaRange> &victims,
				  IovaRange *pinned) __must_hold_shared(groups_lock_)
		__must_not_hold(dmas_.lock);
	void take_pins_again() __must_not_hold(dmas_.lock);
	u64 unmap(List<DmaRange> &dmas) __must_hold_shared(groups_lock_)
		__must_not_hold(dmas_.lock);
	void unmap_everything() __must_hold(groups_lock_) __must_not_hold(dmas_.lock);
	Result<u64> invalidate_vaddr(const vfio_iommu_type1_dma_unmap &request)
		__must_not_hold(groups_lock_, dmas_.lock);

	// dirty.cpp
	Result<void> dirty_pages(UserVa arg) __must_not_hold(groups_lock_, dmas_.lock);
	Result<void> try_dirty_pages(u32 *flags, UserVa arg)
		__must_not_hold(groups_lock_, dmas_.lock);
	static Result<void> check_bitmap(const vfio_bitmap &bitmap, u64 size);
	Result<void> start_dirty() __must_not_hold(dmas_.lock);
	void stop_dirty() __must_not_hold(dmas_.lock);
	Result<void> get_dirty(const vfio_iommu_type1_dirty_bitmap_get &request)
		__must_not_hold(groups_lock_, dmas_.lock);
	Result<bool> collect(DirtyReport &report, IovaRange &left, IovaRange *ones)
		__must_hold_shared(groups_lock_) __must_not_hold(dmas_.lock);
	void mark_again(IovaRange range) __must_not_hold(dmas_.lock);
	Result<void> report_victims(const List<DmaRange> &victims, IovaRange range, UserVa bitmap,
				    bool all) __must_hold_shared(groups_lock_)
		__must_not_hold(dmas_.lock);
	const DmaRange *collect_victims(const List<DmaRange> &victims, const DmaRange *dma,
					DirtyReport &report, IovaRange &left, bool all,
					IovaRange *ones) __must_hold(dmas_.lock);

	// attach.cpp
	AttachedGroup *find_attached(const iommu_group *group) const
		__must_hold_shared(groups_lock_);
	void keep_external_only() __must_hold(groups_lock_) __must_not_hold(dmas_.lock);

	// pin_pages.cpp
	Result<void> record(DmaRange &dma, const ExternalPages &pages, bool &over_limit)
		__must_hold(dmas_.lock);
	void keep_mapped(Iova at, DmaRange *&held) __must_hold(dmas_.lock);
	void let_go_up_to(Iova first, DmaRange &last) __must_hold(dmas_.lock);
	// Not inlined into pin_some(), which mostly only counts.
	[[gnu::noinline]] Result<u64> pin_new(iommu_group *group, DmaRange &dma, Iova iova,
					      u64 npages, PageHandle *handles)
		__must_hold(dmas_.lock);
	Result<u64> pin_some(iommu_group *group, Iova iova, u64 npages, u32 prot,
			     PageHandle *handles) __must_hold(dmas_.lock);
	Result<void> may_pin() const __must_hold(dmas_.lock);
	void note_pinned(iommu_group *group) __must_not_hold(groups_lock_, dmas_.lock);

	// unpin_pages.cpp
	// g++ does not inline it by itself, because of its large frame.
	[[gnu::always_inline]] u64 unpin_some(Iova iova, u64 npages) __must_not_hold(dmas_.lock);

	// emulated.cpp
	Result<size_t> dma_rw_part(Iova iova, u8 *data, size_t size, bool write)
		__must_hold_shared(groups_lock_) __must_not_hold(dmas_.lock);

	static Result<void> copy_through(const DmaRange &dma, Iova iova, u8 *data, size_t size,
					 bool write);

	// Memory without struct pages may be frames of a gated device, of which vfio.ko tells once
	// there is such memory.
	class Frames : public BorrowPolicy, Immovable {
	public:
		explicit Frames(Type1 &type1) : BorrowPolicy{begin, shut}, type1_(type1)
		{
		}

		// Waits until Type1::frames_changed() has returned; it is not called any more.
		void end() __must_not_hold(lock_);

	private:
		static Result<void> begin(const BorrowPolicy &policy);
		static bool shut(const BorrowPolicy &policy, Pfn first, u64 npages);

		static LockClass lock_class_;

		Type1 &type1_;
		mutable Mutex lock_{lock_class_};
		mutable bool begun_ __guarded_by(lock_) = false;
		// nullptr if vfio.ko is the kernel's; does not change once begun_.
		mutable Atomic<vfio_gate_listener *> listener_{nullptr};
	};

	static LockClass groups_lock_class_;
	static LockClass devices_lock_class_;

	// The first member, because its lock is taken most.
	DmaTree dmas_;
	Mutex devices_lock_{devices_lock_class_};
	RwSem groups_lock_{groups_lock_class_};

	const bool v2_;
	const bool nesting_;

	// The devices whose drivers have dma_unmap, and how many. They change under
	// devices_lock_ and dmas_.lock together, and are read under either.
	shim_device_list devices_;
	u32 listeners_ = 0;

	DomainSet domains_ __guarded_by(groups_lock_);
	Frames frames_{*this};
	List<AttachedGroup> emulated_groups_ __guarded_by(groups_lock_);

	u32 non_pinned_groups_ __guarded_by(dmas_.lock) = 0;
	bool dirty_tracking_ __guarded_by(dmas_.lock) = false;
	Counts counts_ __guarded_by(dmas_.lock);

	// How often devices were asked to unpin what is unmapped.
	Atomic<u64> unmap_retries_{0};
	ErrnoCounts pin_errors_;
};

} // namespace vfio
