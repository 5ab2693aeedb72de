// SPDX-License-Identifier: GPL-2.0
/*
 * BAR 0, the registers, and BAR 2, the doorbell page. A 64-bit register is two
 * of 32 bits, low half first.
 */
#include <linux/log2.h>
#include <linux/minmax.h>
#include "copy.h"

/* The rest of the doorbell page is the worker's and the user's. */
void mc_regs_init(struct mc *mc)
{
	memset(&mc->regs, 0, sizeof(mc->regs));
	atomic64_set(&mc->moved, 0);
	WRITE_ONCE(mc_doorbell(mc)->tail, 0);
}

static u64 mc_reg64(struct mc *mc, u32 offset)
{
	struct mc_regs *regs = &mc->regs;

	switch (offset) {
	case MDEV_COPY_RING_BASE:
		return regs->ring_base;
	case MDEV_COPY_FAULT_IOVA:
		return regs->fault_iova;
	case MDEV_COPY_COMPLETED:
		return regs->completed;
	case MDEV_COPY_FAILED:
		return regs->failed;
	case MDEV_COPY_BYTES:
		return regs->bytes;
	case MDEV_COPY_PARENT_BYTES:
		return atomic64_read(&mc->moved);
	case MDEV_COPY_PINNED:
		return mc_pages_pinned(mc);
	case MDEV_COPY_PIN_MEMORY:
		return mc_pages_memory(mc);
	default:
		return 0;
	}
}

static u32 mc_reg32(struct mc *mc, u32 offset)
{
	struct mc_regs *regs = &mc->regs;

	switch (offset) {
	case MDEV_COPY_ID:
		return MDEV_COPY_MAGIC;
	case MDEV_COPY_VERSION:
		return 1;
	case MDEV_COPY_CAPS:
		return mc->parent->edu ? MDEV_COPY_CAP_PARENT : 0;
	case MDEV_COPY_RING_MAX:
		return mc->entries;
	case MDEV_COPY_CTRL:
		return regs->ctrl;
	case MDEV_COPY_STATUS:
		return regs->status | (mc->busy ? MDEV_COPY_STATUS_BUSY : 0);
	case MDEV_COPY_ERROR:
		return regs->error;
	case MDEV_COPY_RING_SIZE:
		return regs->ring_size;
	case MDEV_COPY_HEAD:
		return regs->head;
	case MDEV_COPY_TAIL:
		return le32_to_cpu(READ_ONCE(mc_doorbell(mc)->tail));
	default:
		return mc_reg64(mc, offset & ~4u) >> (offset & 4 ? 32 : 0);
	}
}

u32 mc_regs_read(struct mc *mc, u32 offset)
{
	u32 value;

	mutex_lock(&mc->lock);
	value = mc_reg32(mc, offset);
	mutex_unlock(&mc->lock);
	return value;
}

static void mc_enable_locked(struct mc *mc)
{
	struct mdev_copy_doorbell *doorbell = mc_doorbell(mc);
	struct mc_regs *regs = &mc->regs;

	if (!is_power_of_2(regs->ring_size) || regs->ring_size > mc->entries ||
	    !IS_ALIGNED(regs->ring_base, MDEV_COPY_DESC_SIZE) ||
	    regs->ring_base > U64_MAX - regs->ring_size * MDEV_COPY_DESC_SIZE) {
		regs->status |= MDEV_COPY_STATUS_ERROR;
		regs->error = MDEV_COPY_ERR_RING;
		regs->fault_iova = regs->ring_base;
		regs->ctrl &= ~MDEV_COPY_CTRL_ENABLE;
		return;
	}
	regs->status &= ~MDEV_COPY_STATUS_HALTED;
	regs->head = 0;
	WRITE_ONCE(doorbell->tail, 0);
}

static void mc_write_ctrl(struct mc *mc, u32 value)
{
	bool was_enabled, enabled;

	value &= MDEV_COPY_CTRL_ENABLE | MDEV_COPY_CTRL_POLL;
	mutex_lock(&mc->control);
	mutex_lock(&mc->lock);
	was_enabled = mc->regs.ctrl & MDEV_COPY_CTRL_ENABLE;
	WRITE_ONCE(mc->regs.ctrl, value);
	enabled = value & MDEV_COPY_CTRL_ENABLE;
	if (enabled && !was_enabled)
		mc_enable_locked(mc);
	mutex_unlock(&mc->lock);
	if (was_enabled && !enabled)
		mc_wait_quiet(mc);
	mutex_unlock(&mc->control);
	mc_kick(mc);
}

static void mc_write_ring(struct mc *mc, u32 offset, u32 value)
{
	struct mc_regs *regs = &mc->regs;

	mutex_lock(&mc->control);
	mutex_lock(&mc->lock);
	if (!(regs->ctrl & MDEV_COPY_CTRL_ENABLE)) {
		if (offset == MDEV_COPY_RING_SIZE)
			regs->ring_size = value;
		else if (offset == MDEV_COPY_RING_BASE)
			regs->ring_base = (regs->ring_base & ~0xffffffffull) |
					  value;
		else
			regs->ring_base = (u32)regs->ring_base | (u64)value
									 << 32;
	}
	mutex_unlock(&mc->lock);
	mutex_unlock(&mc->control);
}

void mc_regs_write(struct mc *mc, u32 offset, u32 value)
{
	switch (offset) {
	case MDEV_COPY_CTRL:
		mc_write_ctrl(mc, value);
		break;
	case MDEV_COPY_STATUS:
		mutex_lock(&mc->lock);
		mc->regs.status &= ~(value & MDEV_COPY_STATUS_ERROR);
		mutex_unlock(&mc->lock);
		break;
	case MDEV_COPY_RING_SIZE:
	case MDEV_COPY_RING_BASE:
	case MDEV_COPY_RING_BASE + 4:
		mc_write_ring(mc, offset, value);
		break;
	case MDEV_COPY_TAIL:
		mc_doorbell_write(mc, offsetof(struct mdev_copy_doorbell, tail),
				  value);
		break;
	case MDEV_COPY_KICK:
		mc_kick(mc);
		break;
	}
}

u32 mc_doorbell_read(struct mc *mc, u32 offset)
{
	const __le32 *page = page_address(mc->doorbell);

	return le32_to_cpu(READ_ONCE(page[offset / 4]));
}

void mc_doorbell_write(struct mc *mc, u32 offset, u32 value)
{
	__le32 *page = page_address(mc->doorbell);

	WRITE_ONCE(page[offset / 4], cpu_to_le32(value));
	mc_kick(mc);
}

/* As new, but for the eventfds and the configuration space. */
void mc_reset(struct mc *mc)
{
	mutex_lock(&mc->control);
	mutex_lock(&mc->lock);
	WRITE_ONCE(mc->regs.ctrl, 0);
	mutex_unlock(&mc->lock);
	mc_wait_quiet(mc);
	mutex_lock(&mc->lock);
	mc_regs_init(mc);
	mutex_unlock(&mc->lock);
	mc_pages_drop(mc, 0, U64_MAX);
	mutex_unlock(&mc->control);
}
