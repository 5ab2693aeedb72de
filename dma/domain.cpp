// SPDX-License-Identifier: GPL-2.0
#include "domain.hpp"

#include "shim/alloc.h"
#include "shim/lock.h"

namespace vfio {

AttachedGroup *find_group(const List<AttachedGroup> &groups, const iommu_group *group)
{
	for (AttachedGroup &attached : groups)
		if (attached.group == group)
			return &attached;
	return nullptr;
}

Result<UniquePtr<Domain>> Domain::create(iommu_group *group)
{
	iommu_domain *domain = shim_domain_alloc(group);
	if (!domain)
		return Error(EIO);

	Result<UniquePtr<Domain>> made = make<Domain>(domain);
	if (!made.ok())
		shim_domain_free(domain);
	return made;
}

Domain::~Domain()
{
	while (AttachedGroup *attached = groups.pop_front()) {
		detach(attached->group);
		destroy(attached);
	}
	shim_domain_free(domain_);
}

IovaRange Domain::aperture() const
{
	IovaRange aperture;

	shim_domain_aperture(domain_, &aperture.first.value, &aperture.last.value);
	return aperture;
}

namespace {

// Returns the smallest block that contains a range. The size of a block is a
// power of two, and it is aligned to its size. IOMMUs flush such blocks; some
// drivers flush the wrong block if they are asked for another range.
constexpr IovaRange block_around(IovaRange range)
{
	const u64 differ = range.first.value ^ range.last.value;
	const u64 mask = differ ? kU64Max >> __builtin_clzll(differ) : 0;

	return {{range.first.value & ~mask}, {range.last.value | mask}};
}

static_assert(block_around({{0x3000}, {0x3fff}}) == IovaRange{{0x3000}, {0x3fff}});
static_assert(block_around({{0x3000}, {0x4fff}}) == IovaRange{{0}, {0x7fff}});
static_assert(block_around({{0x5000}, {0x6fff}}) == IovaRange{{0x4000}, {0x7fff}});
static_assert(block_around({{kU64Max - 0xfff}, {kU64Max}}) ==
	      IovaRange{{kU64Max - 0xfff}, {kU64Max}});
static_assert(block_around(kAllIova) == kAllIova);

// Unmaps ranges, which the caller passes in ascending order, and flushes the IOMMU at
// the latest in its destructor: no device reaches the ranges afterwards. There is one
// flush for each block of SHIM_MAX_FLUSH bytes in which ranges are.
class Unmapper : Immovable {
public:
	explicit Unmapper(iommu_domain *domain) : domain_(domain)
	{
	}

	~Unmapper()
	{
		flush();
	}

	// Unmaps a range that begins and ends where mappings do. A mapping may lie in two
	// blocks; an IOMMU may unmap all of it when asked for its part in the first.
	[[gnu::always_inline]] void unmap(IovaRange range)
	{
		const u64 size = range.size();
		u64 unmapped = 0;

		while (!same_flush(range.first, range.last)) {
			const Iova last{range.first.value | (SHIM_MAX_FLUSH - 1)};

			unmapped += unmap_part({range.first, last});
			range.first = last + 1;
		}
		unmapped += unmap_part(range);
		WARN_ONCE_IF(unmapped != size, "the IOMMU did not unmap what was mapped");
	}

private:
	static bool same_flush(Iova one, Iova other)
	{
		return (one.value ^ other.value) < SHIM_MAX_FLUSH;
	}

	// Unmaps a part that lies in one block, and flushes it later. Returns the bytes
	// that were unmapped.
	u64 unmap_part(IovaRange part)
	{
		if (due_ && !same_flush(due_range_.first, part.first))
			flush();
		if (!due_) {
			shim_gather_init(&gather_);
			due_range_.first = part.first;
		}
		due_range_.last = part.last;
		due_ = true;
		return shim_domain_unmap(domain_, part.first.value, part.size(), &gather_);
	}

	void flush()
	{
		if (!due_)
			return;

		const IovaRange block = block_around(due_range_);

		shim_domain_flush(domain_, &gather_, block.first.value, block.last.value);
		due_ = false;
	}

	iommu_domain *const domain_;
	IovaRange due_range_ = {};
	bool due_ = false;
	shim_gather gather_;
};

// Maps runs one after the other, from an address on. The destructor unmaps them,
// unless keep() has been called.
class Mapper : Immovable {
public:
	Mapper(iommu_domain *domain, Iova first, u32 prot, bool small_pages)
		: domain_(domain), first_(first), at_(first), prot_(prot), small_pages_(small_pages)
	{
	}

	[[gnu::always_inline]] ~Mapper()
	{
		if (at_ != first_) [[unlikely]]
			undo();
		if (scratch_)
			shim_free_page(scratch_);
	}

	void keep()
	{
		first_ = at_;
	}

	Result<void> map(const PinRun *runs, u32 count)
	{
		if (count == 1)
			return map_run(*runs);
		for (u32 i = 0; i < count;) {
			const u32 n = small_pages_ ? 1 : listable(runs + i, count - i);

			TRY(n > 1 ? map_list(runs + i, n) : map_run(runs[i]));
			i += n;
		}
		return {};
	}

private:
	// Not inlined, as an Unmapper needs a large frame.
	[[gnu::noinline]] void undo()
	{
		Unmapper(domain_).unmap({first_, at_ - 1});
	}

	// An entry of a list is smaller than 4 GiB. Larger runs are mapped one by one,
	// which costs them nothing.
	static constexpr u64 kMaxListed = u64{1} << 18;

	// How many of the first runs can be mapped by one list.
	u32 listable(const PinRun *runs, u32 count)
	{
		const u32 most = min(count, u32{SHIM_MAX_RUNS});
		u32 n = 0;

		while (n < most && runs[n].npages() <= kMaxListed &&
		       runs[n].kind() != PinKind::kBorrowed)
			n++;
		if (n > 1 && !scratch_)
			scratch_ = shim_alloc_page();
		return scratch_ && n > 1 ? n : 1;
	}

	Result<void> map_list(const PinRun *runs, u32 count)
	{
		u64 npages = 0;

		for (u32 i = 0; i < count; i++)
			npages += runs[i].npages();
		return done(shim_domain_map_runs(domain_, at_.value, runs->shim(), count, prot_,
						 scratch_),
			    npages);
	}

	Result<void> map_run(const PinRun &run)
	{
		const u64 step = small_pages_ ? 1 : run.npages();

		for (u64 offset = 0; offset < run.npages(); offset += step)
			TRY(done(shim_domain_map(domain_, at_.value,
						 phys_of(run.first() + offset).value,
						 step * kPageSize, prot_),
				 step));
		return {};
	}

	Result<void> done(int ret, u64 npages)
	{
		if (ret)
			return Error::from_negative(ret);
		at_ = at_ + npages * kPageSize;
		shim_cond_resched();
		return {};
	}

	iommu_domain *const domain_;
	Iova first_;
	Iova at_;
	const u32 prot_;
	const bool small_pages_;
	void *scratch_ = nullptr;
};

// How many pieces are unmapped before other tasks get the CPU.
constexpr u32 kRescheduleAfter = 64;

} // namespace

Result<void> Domain::map(const DmaRange &dma, bool small_pages)
{
	// All DMA snoops the CPU's caches, as userspace has no way to write them back.
	const u32 prot = dma.prot() | SHIM_IOMMU_CACHE;

	Mapper mapper(domain_, dma.range().first, prot, small_pages);

	TRY(dma.pins.try_each_array(
		[&](const PinRun *runs, u32 count) { return mapper.map(runs, count); }));
	mapper.keep();
	return {};
}

void Domain::unmap(const List<DmaRange> &dmas)
{
	const auto end = dmas.end();
	Unmapper unmapper(domain_);
	u32 pieces = 0;

	for (auto dma = dmas.begin(); dma != end;) {
		IovaRange piece = (*dma).range();

		while (++dma != end && (*dma).range().first - piece.last == 1)
			piece.last = (*dma).range().last;
		unmapper.unmap(piece);
		if (++pieces % kRescheduleAfter == 0)
			shim_cond_resched();
	}
}

} // namespace vfio
