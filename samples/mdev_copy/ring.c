// SPDX-License-Identifier: GPL-2.0
/*
 * The worker of an instance: takes descriptors from the ring one after the
 * other, writes back what became of them, raises the interrupt, and sleeps
 * until there is a doorbell, or looks at the doorbell page for a while.
 */
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include "copy.h"

#define POLL_MIN_US 20
#define POLL_MAX_US 60

static unsigned int poll_ms = 20;
module_param(poll_ms, uint, 0644);
MODULE_PARM_DESC(poll_ms, "How long an idle instance polls before it sleeps");

void mc_kick(struct mc *mc)
{
	smp_store_release(&mc->kicked, true);
	wake_up(&mc->wake);
}

/* With control, and CTRL_ENABLE off: the worker takes nothing new. */
void mc_wait_quiet(struct mc *mc)
{
	wait_event(mc->quiet, !READ_ONCE(mc->busy));
}

bool mc_aborted(struct mc *mc)
{
	return !(READ_ONCE(mc->regs.ctrl) & MDEV_COPY_CTRL_ENABLE) ||
	       kthread_should_stop();
}

static void mc_fail_locked(struct mc *mc, u32 error, u64 fault_iova)
{
	mc->regs.status |= MDEV_COPY_STATUS_ERROR;
	mc->regs.error = error;
	mc->regs.fault_iova = fault_iova;
}

static void mc_halt_locked(struct mc *mc, u32 error, u64 fault_iova)
{
	mc_fail_locked(mc, error, fault_iova);
	mc->regs.status |= MDEV_COPY_STATUS_HALTED;
	mc_signal_locked(mc, MC_EVENT_MSI);
}

static bool mc_running_locked(struct mc *mc)
{
	return (mc->regs.ctrl & MDEV_COPY_CTRL_ENABLE) &&
	       !(mc->regs.status & MDEV_COPY_STATUS_HALTED);
}

/* Whether there is a descriptor, whose address goes to *iova: then it is busy. */
static bool mc_take(struct mc *mc, u64 *iova)
{
	struct mc_regs *regs = &mc->regs;
	bool taken = false;
	u32 tail;

	mutex_lock(&mc->lock);
	if (!mc_running_locked(mc))
		goto out;
	/* Pairs with the program's: descriptors first, then the tail. */
	tail = le32_to_cpu(smp_load_acquire(&mc_doorbell(mc)->tail));
	if (tail == regs->head)
		goto out;
	if (tail >= regs->ring_size) {
		mc_halt_locked(mc, MDEV_COPY_ERR_TAIL, 0);
	} else if (!mc_config_master(mc)) {
		mc_halt_locked(mc, MDEV_COPY_ERR_MASTER, 0);
	} else {
		*iova = regs->ring_base + (u64)regs->head * MDEV_COPY_DESC_SIZE;
		WRITE_ONCE(mc->busy, true);
		taken = true;
	}
out:
	mutex_unlock(&mc->lock);
	return taken;
}

/*
 * Reads or writes a descriptor, which never crosses a page. A page that was
 * unpinned between pinning and here was unmapped: pinning it again tells.
 */
static u32 mc_desc_access(struct mc *mc, u64 iova, struct mdev_copy_desc *desc,
			  enum mc_way way)
{
	struct mdev_copy_desc *there;
	struct mc_place place;
	bool found = false;
	int tries;
	u64 fault;
	void *page;
	u32 error;

	for (tries = 0; tries < MC_TRIES && !found; tries++) {
		mc_pages_make_room(mc, 1);
		error = mc_pages_pin(mc, iova & PAGE_MASK, 1, way, &fault);
		if (error)
			return error;
		mutex_lock(&mc->dma_lock);
		found = mc_pages_find_locked(mc, iova, way, &place);
		if (found) {
			page = kmap_local_page(place.page);
			there = page + place.offset;
			if (way == MC_READ) {
				*desc = *there;
			} else {
				there->fault_iova = desc->fault_iova;
				there->result = desc->result;
				there->done = desc->done;
				/* All before it is seen with the status. */
				smp_store_release(&there->status, desc->status);
			}
			kunmap_local(page);
		}
		mutex_unlock(&mc->dma_lock);
	}
	return found ? MDEV_COPY_OK : MDEV_COPY_ERR_IOVA;
}

static u32 mc_execute(struct mc *mc, struct mdev_copy_desc *desc, u64 *bytes)
{
	struct mc_job job = {
		.src = le64_to_cpu(desc->src),
		.dst = le64_to_cpu(desc->dst),
		.length = le32_to_cpu(desc->length),
		.op = le32_to_cpu(desc->op),
		.value = le32_to_cpu(desc->value),
	};
	u32 error = MDEV_COPY_ERR_OP;

	if (!(le32_to_cpu(desc->flags) & ~MDEV_COPY_DESC_IRQ))
		error = mc_job_run(mc, &job);
	desc->fault_iova = cpu_to_le64(job.fault_iova);
	desc->result = cpu_to_le32(
		job.op == MDEV_COPY_OP_CRC32 && !error ? job.value : 0);
	desc->done = cpu_to_le32(job.done);
	desc->status = cpu_to_le32(MDEV_COPY_DONE | error);
	*bytes = job.done;
	return error;
}

static void mc_finish(struct mc *mc, u32 ring_error, u32 error, u64 bytes,
		      u64 fault_iova, bool irq)
{
	struct mc_regs *regs = &mc->regs;

	mutex_lock(&mc->lock);
	if (ring_error) {
		mc_halt_locked(mc, ring_error, fault_iova);
	} else {
		regs->head = (regs->head + 1) & (regs->ring_size - 1);
		regs->completed++;
		regs->bytes += bytes;
		if (error) {
			regs->failed++;
			mc_fail_locked(mc, error, fault_iova);
		}
		if (irq)
			mc_signal_locked(mc, MC_EVENT_MSI);
	}
	WRITE_ONCE(mc->busy, false);
	mutex_unlock(&mc->lock);
	wake_up(&mc->quiet);
}

static bool mc_run_one(struct mc *mc)
{
	struct mdev_copy_desc desc;
	u32 error = 0, ring_error;
	u64 iova, bytes = 0, fault;
	bool irq = false;

	if (!mc_take(mc, &iova))
		return false;
	fault = iova;
	ring_error = mc_desc_access(mc, iova, &desc, MC_READ);
	if (!ring_error) {
		error = mc_execute(mc, &desc, &bytes);
		irq = desc.flags & cpu_to_le32(MDEV_COPY_DESC_IRQ);
		ring_error = mc_desc_access(mc, iova, &desc, MC_WRITE);
		if (!ring_error)
			fault = le64_to_cpu(desc.fault_iova);
	}
	mc_finish(mc, ring_error, error, bytes, fault, irq);
	return true;
}

/* Whether to look at the doorbell page again without being kicked. */
static bool mc_polls(struct mc *mc, unsigned long since)
{
	return (READ_ONCE(mc->regs.ctrl) & MDEV_COPY_CTRL_POLL) &&
	       !mc_aborted(mc) &&
	       time_before(jiffies, since + msecs_to_jiffies(poll_ms));
}

static int mc_work(void *data)
{
	struct mc *mc = data;
	struct mdev_copy_doorbell *doorbell = mc_doorbell(mc);
	unsigned long last = jiffies;

	while (!kthread_should_stop()) {
		if (mc_run_one(mc)) {
			last = jiffies;
			cond_resched();
			continue;
		}
		if (mc_polls(mc, last)) {
			usleep_range(POLL_MIN_US, POLL_MAX_US);
			continue;
		}
		/*
		 * Who has stored a tail before it could read this flag has no
		 * reason to kick; so look once more behind it.
		 */
		WRITE_ONCE(doorbell->asleep, cpu_to_le32(1));
		smp_mb();
		if (!mc_run_one(mc)) {
			wait_event_idle(mc->wake,
					READ_ONCE(mc->kicked) ||
						kthread_should_stop());
			/* In full order before the next look at the tail. */
			xchg(&mc->kicked, false);
		}
		WRITE_ONCE(doorbell->asleep, 0);
		last = jiffies;
	}
	return 0;
}

int mc_worker_start(struct mc *mc)
{
	struct task_struct *worker = kthread_run(mc_work, mc, "mdev_copy-%s",
						 dev_name(mc->vdev.dev));

	if (IS_ERR(worker))
		return PTR_ERR(worker);
	mc->worker = worker;
	return 0;
}

void mc_worker_stop(struct mc *mc)
{
	kthread_stop(mc->worker);
	mc->worker = NULL;
}
