// SPDX-License-Identifier: GPL-2.0
/*
 * One operation: checked, cut into batches whose pages are pinned together,
 * and those into chunks that lie within one page on each side.
 */
#include <linux/minmax.h>
#include <linux/sched.h>
#include "copy.h"

/* Any placement of so many bytes is in at most one page more on each side. */
#define BATCH_PAGES 63
#define BATCH_BYTES (BATCH_PAGES * PAGE_SIZE)

static bool mc_job_reads(const struct mc_job *job)
{
	return job->op != MDEV_COPY_OP_FILL;
}

static bool mc_job_writes(const struct mc_job *job)
{
	return job->op != MDEV_COPY_OP_CRC32;
}

static bool mc_job_overlaps(const struct mc_job *job)
{
	u64 apart = max(job->src, job->dst) - min(job->src, job->dst);

	return apart < job->length;
}

static u32 mc_job_check(const struct mc_job *job)
{
	u32 length = job->length;

	switch (job->op) {
	case MDEV_COPY_OP_COPY:
	case MDEV_COPY_OP_FILL:
	case MDEV_COPY_OP_CRC32:
		break;
	default:
		return MDEV_COPY_ERR_OP;
	}
	if (!length || length > MDEV_COPY_MAX_LENGTH)
		return MDEV_COPY_ERR_LENGTH;
	/* The last byte may be at U64_MAX. */
	if (mc_job_reads(job) && job->src > U64_MAX - (length - 1))
		return MDEV_COPY_ERR_LENGTH;
	if (mc_job_writes(job) && job->dst > U64_MAX - (length - 1))
		return MDEV_COPY_ERR_LENGTH;
	if (job->op == MDEV_COPY_OP_FILL && (length | job->dst) % 4)
		return MDEV_COPY_ERR_LENGTH;
	if (job->op == MDEV_COPY_OP_COPY && mc_job_overlaps(job))
		return MDEV_COPY_ERR_OVERLAP;
	return MDEV_COPY_OK;
}

static u64 mc_npages(u64 iova, u32 size)
{
	return ((iova & ~PAGE_MASK) + size + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

static u32 mc_job_pin(struct mc *mc, struct mc_job *job, u32 size)
{
	u64 src = job->src + job->done, dst = job->dst + job->done;
	u32 error = MDEV_COPY_OK;

	/* Now, so that pinning the one side does not unpin the other. */
	mc_pages_make_room(mc, 2 * (BATCH_PAGES + 1));
	if (mc_job_reads(job))
		error = mc_pages_pin(mc, src & PAGE_MASK, mc_npages(src, size),
				     MC_READ, &job->fault_iova);
	if (!error && mc_job_writes(job))
		error = mc_pages_pin(mc, dst & PAGE_MASK, mc_npages(dst, size),
				     MC_WRITE, &job->fault_iova);
	return error;
}

static u32 mc_to_page_end(u64 iova)
{
	return PAGE_SIZE - (iova & ~PAGE_MASK);
}

/*
 * Works on what comes next and lies in one page on each side, at most `size`
 * bytes. Returns how many it was, 0 if a page is no longer pinned, or -EIO.
 */
static int mc_job_chunk(struct mc *mc, struct mc_job *job, u32 size)
{
	u64 src = job->src + job->done, dst = job->dst + job->done;
	struct mc_place from, to;
	int ret = 0;

	if (mc_job_reads(job))
		size = min(size, mc_to_page_end(src));
	if (mc_job_writes(job))
		size = min(size, mc_to_page_end(dst));

	/* What is being unmapped comes first, and waits for one chunk at most. */
	wait_event(mc->dropped, !atomic_read(&mc->dropping));
	mutex_lock(&mc->dma_lock);
	if (mc_job_reads(job) &&
	    !mc_pages_find_locked(mc, src, MC_READ, &from)) {
		job->fault_iova = src;
		goto out;
	}
	if (mc_job_writes(job) &&
	    !mc_pages_find_locked(mc, dst, MC_WRITE, &to)) {
		job->fault_iova = dst;
		goto out;
	}
	switch (job->op) {
	case MDEV_COPY_OP_COPY:
		ret = mc_engine_copy(mc, &to, &from, size);
		break;
	case MDEV_COPY_OP_FILL:
		ret = mc_engine_fill(mc, &to, job->value, size);
		break;
	case MDEV_COPY_OP_CRC32:
		ret = mc_engine_crc32(mc, &from, &job->value, size);
		break;
	}
	if (!ret)
		ret = size;
out:
	mutex_unlock(&mc->dma_lock);
	return ret;
}

u32 mc_job_run(struct mc *mc, struct mc_job *job)
{
	u32 error = mc_job_check(job);
	u32 batch_end;
	int chunk, misses = 0;

	if (error)
		return error;
	while (job->done < job->length) {
		batch_end = job->done +
			    min_t(u32, job->length - job->done, BATCH_BYTES);
		error = mc_job_pin(mc, job, batch_end - job->done);
		if (error)
			return error;
		while (job->done < batch_end) {
			if (mc_aborted(mc))
				return MDEV_COPY_ERR_ABORTED;
			chunk = mc_job_chunk(mc, job, batch_end - job->done);
			if (chunk < 0)
				return MDEV_COPY_ERR_PARENT;
			/* Unmapped since it was pinned: pinning it tells. */
			if (!chunk && ++misses > MC_TRIES)
				return MDEV_COPY_ERR_IOVA;
			if (!chunk)
				break;
			job->done += chunk;
			cond_resched();
		}
	}
	job->fault_iova = 0;
	return MDEV_COPY_OK;
}
