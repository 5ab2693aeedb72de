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
	flush_remapped();
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

// Maps runs one after the other, from an address on. The destructor unmaps them,
// unless keep() has been called.
class Mapper : Immovable {
public:
	// prot is the dma range's.
	Mapper(const Domain &domain, Iova first, u32 prot, bool small_pages)
		: domain_(domain.get()), use_(domain.use()), first_(first), at_(first),
		  // All DMA snoops the CPU's caches, as userspace has no way to write them back.
		  prot_(prot | SHIM_IOMMU_CACHE), small_pages_(small_pages)
	{
	}

	[[gnu::always_inline]] ~Mapper()
	{
		if (at_ != first_) [[unlikely]]
			undo();
		if (scratch_)
			shim_free_page(scratch_);
	}

	// Tells that runs of a dma range may be shut.
	void set_holes(const DmaRange &dma)
	{
		holes_ = &dma;
	}

	void keep()
	{
		first_ = at_;
	}

	[[gnu::always_inline]] Result<void> map(const PinRun *runs, u32 count)
	{
		const DomainUse::Working working(use_);

		return count == 1 ? map_run(*runs) : map_runs(runs, count);
	}

	// Maps a run of memory without struct pages, also one that is marked as shut.
	Result<void> map_borrowed(PinRun run)
	{
		const DomainUse::Working working(use_);

		run.set_shut(false);
		return map_run(run);
	}

private:
	Result<void> map_runs(const PinRun *runs, u32 count)
	{
		for (u32 i = 0; i < count;) {
			const u32 n = small_pages_ ? 1 : listable(runs + i, count - i);

			TRY(n > 1 ? map_list(runs + i, n) : map_run(runs[i]));
			i += n;
		}
		return {};
	}

	// Not inlined, as an Unmapper needs a large frame.
	[[gnu::noinline]] void undo()
	{
		Unmapper unmapper(domain_, use_);

		if (!holes_)
			return unmapper.unmap({first_, at_ - 1});
		holes_->each_open_part([&](IovaRange part) {
			if (part.last >= first_ && part.first < at_)
				unmapper.unmap({max(part.first, first_), min(part.last, at_ - 1)});
		});
	}

	// An entry of a list is smaller than 4 GiB. Larger runs are mapped one by one,
	// which costs them nothing.
	static constexpr u64 kMaxListed = u64{1} << 18;

	// How many of the first runs can be mapped by one list.
	u32 listable(const PinRun *runs, u32 count)
	{
		const u32 most = min(count, u32{SHIM_MAX_RUNS});
		u32 n = 0;

		while (n < most && runs[n].npages() <= kMaxListed && runs[n].pinned())
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

		if (run.shut()) [[unlikely]] {
			at_ = at_ + run.npages() * kPageSize;
			return {};
		}
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
	DomainUse *const use_;
	Iova first_;
	Iova at_;
	const u32 prot_;
	const bool small_pages_;
	const DmaRange *holes_ = nullptr;
	void *scratch_ = nullptr;
};

// How many pieces are unmapped before other tasks get the CPU.
constexpr u32 kRescheduleAfter = 64;

} // namespace

Result<void> Domain::map(const DmaRange &dma, bool small_pages)
{
	const PinRun *const run = dma.pins.only_run();

	// Contiguous memory is mapped by one call, or not at all.
	if (!run || small_pages || dma.changes_in_parts())
		return map_in_parts(dma, small_pages);

	const DomainUse::Working working(&use_);

	return Result<void>::from_negative(
		shim_domain_map(domain_, dma.range().first.value, phys_of(run->first()).value,
				run->npages() * kPageSize, dma.prot() | SHIM_IOMMU_CACHE));
}

Result<void> Domain::map_in_parts(const DmaRange &dma, bool small_pages)
{
	Mapper mapper(*this, dma.range().first, dma.prot(), small_pages);

	if (dma.changes_in_parts())
		mapper.set_holes(dma);
	TRY(dma.try_each_array(
		[&](const PinRun *runs, u32 count) { return mapper.map(runs, count); }));
	mapper.keep();
	return {};
}

Result<void> Domain::map_pages(const DmaRange &dma, RemappedPages::Span span, bool small_pages)
{
	Mapper mapper(*this, dma.iova_of(span.first), dma.prot(), small_pages);

	mapper.set_holes(dma);
	TRY(dma.remapped->try_each(
		span, [&](const PinRun *runs, u32 count) { return mapper.map(runs, count); }));
	mapper.keep();
	return {};
}

void Domain::unmap_pages(const DmaRange &dma, RemappedPages::Span span)
{
	dma.each_open_part_of(span, [this](IovaRange part) { remapped_.unmap(part); });
}

Result<void> Domain::map_run(Iova at, const PinRun &run, u32 prot, bool small_pages)
{
	Mapper mapper(*this, at, prot, small_pages);

	// The record says of the run that it is shut, until it is mapped.
	TRY(mapper.map_borrowed(run));
	mapper.keep();
	return {};
}

void Domain::unmap(const List<DmaRange> &dmas)
{
	if (dmas.singular() && !dmas.front()->changes_in_parts() &&
	    Unmapper::unmap_at_once(domain_, &use_, dmas.front()->range()))
		flushes_.add(1);
	else
		unmap_pieces(dmas);
}

void Domain::unmap_pieces(const List<DmaRange> &dmas)
{
	const auto end = dmas.end();
	Unmapper unmapper(domain_, &use_);
	u32 pieces = 0;

	for (auto dma = dmas.begin(); dma != end;) {
		IovaRange piece = (*dma).range();

		if ((*dma).changes_in_parts()) [[unlikely]] {
			(*dma).each_open_part([&](IovaRange part) { unmapper.unmap(part); });
			++dma;
			continue;
		}
		while (++dma != end && (*dma).range().first - piece.last == 1 &&
		       !(*dma).changes_in_parts())
			piece.last = (*dma).range().last;
		unmapper.unmap(piece);
		if (++pieces % kRescheduleAfter == 0)
			shim_cond_resched();
	}
	flushes_.add(unmapper.finish());
}

} // namespace vfio
