// SPDX-License-Identifier: GPL-2.0
/*
 * Work on pinned pages: by the CPU, which reaches them by their frames, or by
 * the parent's DMA engine, which reaches them by their stored addresses.
 */
#include <linux/crc32.h>
#include <linux/highmem.h>
#include <linux/string.h>
#include "copy.h"

static int mc_moved(struct mc *mc, int ret, u64 bytes)
{
	if (!ret)
		atomic64_add(bytes, &mc->moved);
	return ret;
}

int mc_engine_copy(struct mc *mc, const struct mc_place *dst,
		   const struct mc_place *src, u32 size)
{
	int ret;

	if (!mc->parent->edu) {
		memcpy_page(dst->page, dst->offset, src->page, src->offset,
			    size);
		return 0;
	}
	ret = mc_edu_copy(mc->parent->edu, dst->dma + dst->offset,
			  src->dma + src->offset, size);
	return mc_moved(mc, ret, 2 * size);
}

int mc_engine_fill(struct mc *mc, const struct mc_place *dst, u32 value,
		   u32 size)
{
	__le32 *page;
	int ret;

	if (!mc->parent->edu) {
		page = kmap_local_page(dst->page);
		memset32((u32 *)(page + dst->offset / 4),
			 (__force u32)cpu_to_le32(value), size / 4);
		kunmap_local(page);
		return 0;
	}
	ret = mc_edu_fill(mc->parent->edu, dst->dma + dst->offset, value, size);
	return mc_moved(mc, ret, size);
}

int mc_engine_crc32(struct mc *mc, const struct mc_place *src, u32 *crc,
		    u32 size)
{
	u8 *page;
	int ret;

	if (!mc->parent->edu) {
		page = kmap_local_page(src->page);
		*crc = crc32_le(*crc, page + src->offset, size);
		kunmap_local(page);
		return 0;
	}
	ret = mc_edu_crc32(mc->parent->edu, src->dma + src->offset, crc, size);
	return mc_moved(mc, ret, 2 * size);
}
