// SPDX-License-Identifier: GPL-2.0
/*
 * The DMA engine of QEMU's edu device (its documentation: docs/specs/edu.txt
 * of QEMU): moves bytes between memory and a buffer of 4 KiB in the device,
 * which the CPU cannot reach. So a copy goes in and out, and what the CPU has
 * to see or to give goes through a page of the driver's own. 100 ms each.
 */
#include <linux/crc32.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "copy.h"

#define EDU_DMA_SRC    0x80
#define EDU_DMA_DST    0x88
#define EDU_DMA_COUNT  0x90
#define EDU_DMA_CMD    0x98
#define EDU_CMD_START  0x1
#define EDU_CMD_TO_MEM 0x2
#define EDU_BUFFER     0x40000 /* the device's name for its buffer */
/* QEMU ends at a transfer that touches the buffer's end; half is far from it. */
#define EDU_CHUNK      2048
#define EDU_TIMEOUT_MS 2000

struct mc_edu {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct mutex lock; /* the engine and its buffer, and the page */
	void *page;
	dma_addr_t page_dma;
};

struct mc_edu *mc_edu_create(struct pci_dev *pdev)
{
	struct mc_edu *edu = kzalloc(sizeof(*edu), GFP_KERNEL);
	int ret;

	if (!edu)
		return ERR_PTR(-ENOMEM);
	edu->pdev = pdev;
	mutex_init(&edu->lock);
	ret = pci_request_region(pdev, 0, "mdev_copy");
	if (ret)
		goto err_free;
	ret = -ENOMEM;
	edu->regs = pci_iomap(pdev, 0, 0);
	if (!edu->regs)
		goto err_region;
	edu->page = dma_alloc_coherent(&pdev->dev, PAGE_SIZE, &edu->page_dma,
				       GFP_KERNEL);
	if (!edu->page)
		goto err_iounmap;
	return edu;

err_iounmap:
	pci_iounmap(pdev, edu->regs);
err_region:
	pci_release_region(pdev, 0);
err_free:
	kfree(edu);
	return ERR_PTR(ret);
}

void mc_edu_destroy(struct mc_edu *edu)
{
	dma_free_coherent(&edu->pdev->dev, PAGE_SIZE, edu->page, edu->page_dma);
	pci_iounmap(edu->pdev, edu->regs);
	pci_release_region(edu->pdev, 0);
	kfree(edu);
}

static int mc_edu_transfer(struct mc_edu *edu, u64 src, u64 dst, u32 size,
			   u32 command)
{
	ktime_t deadline = ktime_add_ms(ktime_get(), EDU_TIMEOUT_MS);

	writeq(src, edu->regs + EDU_DMA_SRC);
	writeq(dst, edu->regs + EDU_DMA_DST);
	writeq(size, edu->regs + EDU_DMA_COUNT);
	writeq(command | EDU_CMD_START, edu->regs + EDU_DMA_CMD);
	while (readl(edu->regs + EDU_DMA_CMD) & EDU_CMD_START) {
		if (ktime_after(ktime_get(), deadline))
			return -EIO;
		usleep_range(500, 2000);
	}
	return 0;
}

static int mc_edu_load(struct mc_edu *edu, dma_addr_t src, u32 size)
{
	return mc_edu_transfer(edu, src, EDU_BUFFER, size, 0);
}

static int mc_edu_store(struct mc_edu *edu, dma_addr_t dst, u32 size)
{
	return mc_edu_transfer(edu, EDU_BUFFER, dst, size, EDU_CMD_TO_MEM);
}

int mc_edu_copy(struct mc_edu *edu, dma_addr_t dst, dma_addr_t src, u32 size)
{
	u32 at, chunk;
	int ret = 0;

	mutex_lock(&edu->lock);
	for (at = 0; at < size && !ret; at += chunk) {
		chunk = min_t(u32, size - at, EDU_CHUNK);
		ret = mc_edu_load(edu, src + at, chunk);
		if (!ret)
			ret = mc_edu_store(edu, dst + at, chunk);
	}
	mutex_unlock(&edu->lock);
	return ret;
}

int mc_edu_fill(struct mc_edu *edu, dma_addr_t dst, u32 value, u32 size)
{
	u32 at, chunk;
	int ret;

	mutex_lock(&edu->lock);
	memset32(edu->page, (__force u32)cpu_to_le32(value), EDU_CHUNK / 4);
	ret = mc_edu_load(edu, edu->page_dma, min_t(u32, size, EDU_CHUNK));
	for (at = 0; at < size && !ret; at += chunk) {
		chunk = min_t(u32, size - at, EDU_CHUNK);
		ret = mc_edu_store(edu, dst + at, chunk);
	}
	mutex_unlock(&edu->lock);
	return ret;
}

int mc_edu_crc32(struct mc_edu *edu, dma_addr_t src, u32 *crc, u32 size)
{
	u32 at, chunk;
	int ret = 0;

	mutex_lock(&edu->lock);
	for (at = 0; at < size && !ret; at += chunk) {
		chunk = min_t(u32, size - at, EDU_CHUNK);
		ret = mc_edu_load(edu, src + at, chunk);
		if (!ret)
			ret = mc_edu_store(edu, edu->page_dma, chunk);
		if (!ret)
			*crc = crc32_le(*crc, edu->page, chunk);
	}
	mutex_unlock(&edu->lock);
	return ret;
}
