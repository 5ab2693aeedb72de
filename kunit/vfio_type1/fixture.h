/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites stand on: a container's IOMMU in the core, user memory of
 * the process that loads the module, mock IOMMUs, and an emulated device.
 *
 * Every test ends with a check that all is as it was: charged pages, domains,
 * PTEs and violations of the mock IOMMUs.
 */
#ifndef KUNIT_TYPE1_FIXTURE_H
#define KUNIT_TYPE1_FIXTURE_H

#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/vfio.h>

#include "entry.h"
#include "mock.h"
#include "../process.h"

#define READ_WRITE (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define MAX_PINS   32

/**
 * struct emulated - a device that reaches memory only by type1_pin_pages()
 * @vdev: it hears of unmaps, and unpins then
 * @group: its group
 * @fixture: whose
 * @pins: what it has pinned
 * @unmaps: how often it heard of one
 */
struct emulated {
	struct vfio_device vdev;
	struct iommu_group *group;
	struct fixture *fixture;
	struct {
		u64 iova;
		u32 npages;
	} pins[MAX_PINS];
	unsigned int unmaps;
};

struct fixture {
	struct kunit *test;
	struct type1 *type1;
	struct mm_struct *mm;
	unsigned long args;
	struct emulated *emulated;
	struct {
		unsigned long at, size;
	} memory[16];
	unsigned long locked_before;
	struct vfio_mock_counts before[VFIO_MOCK_IOMMUS];
};

/* Parameters of the module that is tested, as each test begins. */
extern struct fixture_params {
	bool allow_unsafe_interrupts;
	bool disable_hugepages;
	u32 dma_entry_limit;
} fixture_params;

/* Of every test. */
int fixture_init(struct kunit *test);
void fixture_exit(struct kunit *test);

/** fixture_reopen() - another container instead, of another type */
void fixture_reopen(struct fixture *f, u64 extension);

/** fixture_memory() - writable private memory, each page present and different */
unsigned long fixture_memory(struct fixture *f, unsigned long npages);

/** fixture_map() - VFIO_IOMMU_MAP_DMA */
long fixture_map(struct fixture *f, u64 iova, unsigned long uva, u64 size,
		 u32 flags);

/** fixture_unmap() - VFIO_IOMMU_UNMAP_DMA; bytes unmapped or a negative errno */
s64 fixture_unmap(struct fixture *f, u64 iova, u64 size, u32 flags);

/** fixture_ioctl() - with an argument that is copied to user memory, and back */
long fixture_ioctl(struct fixture *f, u32 cmd, void *arg, size_t size);

/** fixture_pins() - how often the page at a user address is pinned */
int fixture_pins(struct fixture *f, unsigned long uva);

/** fixture_locked() - pages charged since the test began */
long fixture_locked(struct fixture *f);

/** fixture_device() - device nr of a mock IOMMU */
struct mock_device *fixture_device(unsigned int iommu, unsigned int nr);

/** fixture_attach() - the group of a mock device */
int fixture_attach(struct fixture *f, struct mock_device *mdev);
void fixture_detach(struct fixture *f, struct mock_device *mdev);

/** fixture_emulated() - attach the emulated device and let it hear of unmaps */
struct emulated *fixture_emulated(struct fixture *f);

/** fixture_pin() - pin pages for the emulated device, and remember them */
int fixture_pin(struct fixture *f, u64 iova, u32 npages, int prot,
		struct page **pages);

/** fixture_unpin() - undo fixture_pin() of exactly these */
void fixture_unpin(struct fixture *f, u64 iova, u32 npages);

/** expect_reaches() - a mock device reaches the memory at uva */
void expect_reaches(struct fixture *f, struct mock_device *mdev, u64 iova,
		    unsigned long uva, unsigned long npages);

/** expect_reaches_nothing() - nor can its IOTLB */
void expect_reaches_nothing(struct fixture *f, struct mock_device *mdev,
			    u64 iova, unsigned long npages);

/** mock_now() - one count of a mock IOMMU since the test began */
#define mock_now(f, nr, field)                              \
	({                                                  \
		struct vfio_mock_counts __now;              \
                                                            \
		mock_counts(mock_iommu_get(nr), &__now);    \
		(s64)(__now.field - (f)->before[nr].field); \
	})

#endif
