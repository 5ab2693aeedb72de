// SPDX-License-Identifier: GPL-2.0
#include "show.hpp"

namespace vfio {

namespace {

// What is copied out of a mapping under the lock.
struct Shown {
	IovaRange range;
	u64 uva;
	u32 prot;
	u64 charged;
	u64 external;
	bool pinned;
	const char *state;
	Owner::Description owner;
};

const char *state_of(const DmaRange &dma)
{
	if (dma.busy.load())
		return "busy";
	if (dma.leaving)
		return "leaving";
	if (dma.vaddr_invalid)
		return "no-vaddr";
	return dma.held ? "held" : "settled";
}

// The first mapping with an address at `from` or above. Returns false if there is none.
bool look(DmaTree &dmas, u64 from, Shown &shown) __must_not_hold(dmas.lock)
{
	const Guard guard(dmas.lock);
	const DmaRange *dma = dmas.first_in({{from}, kAllIova.last});

	if (!dma)
		return false;
	shown.range = dma->range();
	shown.uva = dma->uva_of(dma->range().first).value;
	shown.prot = dma->prot();
	// What a busy mapping has is another caller's to read.
	const bool busy = dma->busy.load();

	shown.charged = busy ? 0 : dma->charged();
	shown.external = busy ? 0 : dma->external.counted();
	shown.pinned = !busy && dma->iommu_mapped;
	shown.state = state_of(*dma);
	shown.owner = dma->owner().describe();
	return true;
}

// Sets *cursor behind a mapping. Returns false if no address is left.
bool go_behind(const Shown &shown, u64 *cursor)
{
	*cursor = shown.range.last.value + 1;
	return *cursor != 0;
}

// All mappings together, looked at one by one.
struct Sum {
	u64 count = 0;
	u64 bytes = 0;
	u64 pinned = 0;
	u64 charged = 0;
	u64 external = 0;
	// The process that the first mapping is charged to.
	Owner::Description owner;
};

Sum sum_of(DmaTree &dmas) __must_not_hold(dmas.lock)
{
	Sum sum;
	Shown shown;
	u64 cursor = 0;
	bool more = true;

	while (more && look(dmas, cursor, shown)) {
		if (sum.count == 0)
			sum.owner = shown.owner;
		sum.count++;
		sum.bytes += shown.range.size();
		sum.pinned += shown.pinned ? shown.range.npages() : 0;
		sum.charged += shown.charged;
		sum.external += shown.external;
		more = go_behind(shown, &cursor);
		shim_cond_resched();
	}
	return sum;
}

} // namespace

bool show_mapping(DmaTree &dmas, u64 *cursor, seq_file *seq)
{
	Shown shown;

	if (!look(dmas, *cursor, shown))
		return false;
	shim_seq_printf(seq,
			"0x%016llx-0x%016llx %c%c vaddr 0x%llx pid %d pinned %llu charged %llu "
			"external %llu %s\n",
			shown.range.first.value, shown.range.last.value,
			shown.prot & SHIM_IOMMU_READ ? 'r' : '-',
			shown.prot & SHIM_IOMMU_WRITE ? 'w' : '-', shown.uva, shown.owner.pid,
			shown.pinned ? shown.range.npages() : u64{0}, shown.charged, shown.external,
			shown.state);
	return go_behind(shown, cursor);
}

void show_mapping_summary(DmaTree &dmas, seq_file *seq)
{
	const Sum sum = sum_of(dmas);
	u32 available = 0;
	{
		const Guard guard(dmas.lock);

		available = dmas.available();
	}
	shim_seq_printf(seq,
			"mappings %llu\navailable %u\nbytes %llu\npinned_pages %llu\n"
			"charged_pages %llu\nexternal_pages %llu\n",
			sum.count, available, sum.bytes, sum.pinned, sum.charged, sum.external);
	if (sum.count)
		shim_seq_printf(seq, "pid %d\ncomm %s\nlocked_pages %llu\nmemlock_bytes %llu\n",
				sum.owner.pid, sum.owner.name, sum.owner.locked_pages,
				sum.owner.memlock);
}

void show_mapping_totals(DmaTree &dmas, seq_file *seq)
{
	const Sum sum = sum_of(dmas);
	DmaTree::Unmapped unmapped;
	{
		const Guard guard(dmas.lock);

		unmapped = dmas.unmapped();
	}
	shim_seq_printf(seq, "mapped %llu bytes %llu\nunmapped %llu bytes %llu\n",
			unmapped.count + sum.count, unmapped.bytes + sum.bytes, unmapped.count,
			unmapped.bytes);
}

} // namespace vfio
