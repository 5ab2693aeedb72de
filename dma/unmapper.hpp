// SPDX-License-Identifier: GPL-2.0
//
// Unmapper: takes ranges out of a domain, with as few flushes of the IOMMU as possible.
#pragma once

#include "dma/shim/iommu.h"
#include "domain_use.hpp"
#include "vocab/units.hpp"
#include "vocab/warn.hpp"

namespace vfio {

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

// Unmaps ranges, and flushes the IOMMU at the latest in its destructor: no device reaches
// the ranges afterwards. If the caller passes them in ascending order, there is one flush
// for each block of SHIM_MAX_FLUSH bytes in which ranges are.
class Unmapper : Immovable {
public:
	// use is the domain's, or nullptr if the caller keeps groups from being attached and detached.
	Unmapper(iommu_domain *domain, DomainUse *use) : domain_(domain), use_(use)
	{
	}

	~Unmapper()
	{
		flush();
	}

	// Unmaps one range, flushes, and returns true, if one flush is enough for it; else does nothing
	// and returns false. For a single range this costs less than an Unmapper.
	[[gnu::always_inline]] static bool unmap_at_once(iommu_domain *domain, DomainUse *use,
							 IovaRange range)
	{
		if (!same_flush(range.first, range.last)) [[unlikely]]
			return false;

		const IovaRange block = block_around(range);
		__uninitialized shim_gather gather;

		shim_gather_init(&gather);

		const DomainUse::Working working(use);
		const u64 unmapped =
			shim_domain_unmap(domain, range.first.value, range.size(), &gather);

		shim_domain_flush(domain, &gather, block.first.value, block.last.value);
		WARN_ONCE_IF(unmapped != range.size(), kNotAll);
		return true;
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
		WARN_ONCE_IF(unmapped != size, kNotAll);
	}

	// Flushes what is due, and returns how many flushes there have been since the last call.
	u32 finish()
	{
		flush();
		return exchange(flushes_, u32{0});
	}

private:
	static constexpr char kNotAll[] = "the IOMMU did not unmap what was mapped";

	static bool same_flush(Iova one, Iova other)
	{
		return (one.value ^ other.value) < SHIM_MAX_FLUSH;
	}

	// Unmaps a part that lies in one block, and flushes it later. Returns the bytes
	// that were unmapped.
	[[gnu::always_inline]] u64 unmap_part(IovaRange part)
	{
		if (due_ && !same_flush(due_range_.first, part.first))
			flush();
		if (!due_) {
			shim_gather_init(&gather_);
			due_range_ = part;
		}
		due_range_.first = min(due_range_.first, part.first);
		due_range_.last = max(due_range_.last, part.last);
		due_ = true;

		const DomainUse::Working working(use_);

		return shim_domain_unmap(domain_, part.first.value, part.size(), &gather_);
	}

	[[gnu::always_inline]] void flush()
	{
		if (!due_)
			return;

		const IovaRange block = block_around(due_range_);
		{
			const DomainUse::Working working(use_);

			shim_domain_flush(domain_, &gather_, block.first.value, block.last.value);
		}
		due_ = false;
		flushes_++;
	}

	iommu_domain *const domain_;
	DomainUse *const use_;
	IovaRange due_range_ = {};
	bool due_ = false;
	u32 flushes_ = 0;
	shim_gather gather_;
};

} // namespace vfio
