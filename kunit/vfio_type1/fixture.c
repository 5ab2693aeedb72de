// SPDX-License-Identifier: GPL-2.0
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "fixture.h"

struct fixture_params fixture_params;

bool type1_param_allow_unsafe_interrupts(void)
{
	return fixture_params.allow_unsafe_interrupts;
}

bool type1_param_disable_hugepages(void)
{
	return fixture_params.disable_hugepages;
}

u32 type1_param_pin_workers(void)
{
	return 0;
}

u32 type1_param_dma_entry_limit(void)
{
	return fixture_params.dma_entry_limit;
}

struct mm_struct *process_mm;

int fixture_init(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	unsigned int nr;
	int ret;

	if (!f)
		return -ENOMEM;
	f->test = test;
	f->mm = process_mm;
	fixture_params = (struct fixture_params){ .dma_entry_limit = U16_MAX };
	for (nr = 0; nr < VFIO_MOCK_IOMMUS; nr++)
		mock_counts(mock_iommu_get(nr), &f->before[nr]);
	f->locked_before = f->mm->locked_vm;

	process_enter();
	test->priv = f;
	f->args = fixture_memory(f, 1);
	ret = type1_init();
	if (ret)
		return ret;
	return type1_open(VFIO_TYPE1v2_IOMMU, &f->type1);
}

/* In the test's thread, or if that was aborted in the process that loads. */
void fixture_exit(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i, nr;

	if (!f)
		return;
	if (f->emulated) {
		for (i = 0; i < MAX_PINS; i++)
			if (f->emulated->pins[i].npages)
				type1_unpin_pages(f->type1,
						  f->emulated->pins[i].iova,
						  f->emulated->pins[i].npages);
		type1_unregister_device(f->type1, &f->emulated->vdev);
		type1_detach_group(f->type1, f->emulated->group);
		iommu_group_put(f->emulated->group);
		kfree(f->emulated);
	}
	if (f->type1)
		type1_release(f->type1);
	type1_exit();

	KUNIT_EXPECT_EQ(test, fixture_locked(f), 0);
	for (i = 0; i < ARRAY_SIZE(f->memory) && f->memory[i].size; i++) {
		if (f->memory[i].size == PAGE_SIZE)
			KUNIT_EXPECT_EQ(test, fixture_pins(f, f->memory[i].at),
					0);
		vm_munmap(f->memory[i].at, f->memory[i].size);
	}
	for (nr = 0; nr < VFIO_MOCK_IOMMUS; nr++) {
		unsigned int kind;

		for (kind = 0; kind < VFIO_MOCK_FAIL_KINDS; kind++)
			KUNIT_EXPECT_EQ(test,
					mock_fail(mock_iommu_get(nr), kind, 0),
					0);
		KUNIT_EXPECT_EQ(test, mock_now(f, nr, domains), 0);
		KUNIT_EXPECT_EQ(test, mock_now(f, nr, ptes), 0);
		KUNIT_EXPECT_EQ(test, mock_now(f, nr, stale), 0);
		KUNIT_EXPECT_EQ(test, mock_now(f, nr, violations), 0);
	}
	process_leave();
}

void fixture_reopen(struct fixture *f, u64 extension)
{
	type1_release(f->type1);
	f->type1 = NULL;
	KUNIT_ASSERT_EQ(f->test, type1_open(extension, &f->type1), 0);
}

unsigned long fixture_memory(struct fixture *f, unsigned long npages)
{
	unsigned long size = npages * PAGE_SIZE, at, i;

	at = vm_mmap(NULL, 0, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, 0);
	KUNIT_ASSERT_FALSE(f->test, IS_ERR_VALUE(at));
	for (i = 0; i < ARRAY_SIZE(f->memory) && f->memory[i].size; i++)
		;
	KUNIT_ASSERT_LT(f->test, i, ARRAY_SIZE(f->memory));
	f->memory[i].at = at;
	f->memory[i].size = size;
	for (i = 0; i < npages; i++)
		KUNIT_ASSERT_EQ(
			f->test,
			put_user(at ^ (i * 0x9e3779b97f4a7c15ul),
				 (unsigned long __user *)(at + i * PAGE_SIZE)),
			0);
	return at;
}

long fixture_ioctl(struct fixture *f, u32 cmd, void *arg, size_t size)
{
	void __user *user = (void __user *)f->args;
	long ret;

	KUNIT_ASSERT_EQ(f->test, copy_to_user(user, arg, size), 0);
	ret = type1_ioctl(f->type1, cmd, f->args);
	KUNIT_ASSERT_EQ(f->test, copy_from_user(arg, user, size), 0);
	return ret;
}

long fixture_map(struct fixture *f, u64 iova, unsigned long uva, u64 size,
		 u32 flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = uva,
		.iova = iova,
		.size = size,
	};

	return fixture_ioctl(f, VFIO_IOMMU_MAP_DMA, &map, sizeof(map));
}

s64 fixture_unmap(struct fixture *f, u64 iova, u64 size, u32 flags)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = flags,
		.iova = iova,
		.size = size,
	};
	long ret =
		fixture_ioctl(f, VFIO_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap));

	return ret ?: unmap.size;
}

int fixture_pins(struct fixture *f, unsigned long uva)
{
	struct page *page;
	int count;

	KUNIT_ASSERT_EQ(f->test, get_user_pages_fast(uva, 1, 0, &page), 1);
	KUNIT_ASSERT_FALSE(f->test, PageCompound(page));
	count = page_ref_count(page) / GUP_PIN_COUNTING_BIAS;
	put_page(page);
	return count;
}

long fixture_locked(struct fixture *f)
{
	return f->mm->locked_vm - f->locked_before;
}

struct mock_device *fixture_device(unsigned int iommu, unsigned int nr)
{
	return mock_iommu_get(iommu)->devices[nr];
}

int fixture_attach(struct fixture *f, struct mock_device *mdev)
{
	return type1_attach_group(f->type1, mdev->group, false);
}

void fixture_detach(struct fixture *f, struct mock_device *mdev)
{
	type1_detach_group(f->type1, mdev->group);
}

static void emulated_dma_unmap(struct vfio_device *vdev, u64 iova, u64 size)
{
	struct emulated *e = container_of(vdev, struct emulated, vdev);
	unsigned int i;

	e->unmaps++;
	for (i = 0; i < MAX_PINS; i++) {
		if (!e->pins[i].npages || e->pins[i].iova < iova ||
		    e->pins[i].iova - iova >= size)
			continue;
		type1_unpin_pages(e->fixture->type1, e->pins[i].iova,
				  e->pins[i].npages);
		e->pins[i].npages = 0;
	}
}

static const struct vfio_device_ops emulated_ops = {
	.name = "kunit-emulated",
	.dma_unmap = emulated_dma_unmap,
};

struct emulated *fixture_emulated(struct fixture *f)
{
	struct emulated *e = kzalloc(sizeof(*e), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(f->test, e);
	e->fixture = f;
	e->vdev.ops = &emulated_ops;
	e->group = iommu_group_alloc();
	if (IS_ERR(e->group)) {
		kfree(e);
		KUNIT_ASSERT_TRUE(f->test, false);
	}
	f->emulated = e;
	KUNIT_EXPECT_EQ(f->test, type1_attach_group(f->type1, e->group, true),
			0);
	type1_register_device(f->type1, &e->vdev);
	return e;
}

int fixture_pin(struct fixture *f, u64 iova, u32 npages, int prot,
		struct page **pages)
{
	int ret = type1_pin_pages(f->type1, f->emulated->group, iova, npages,
				  prot, pages);
	unsigned int i;

	if (ret <= 0)
		return ret;
	for (i = 0; i < MAX_PINS && f->emulated->pins[i].npages; i++)
		;
	KUNIT_ASSERT_LT(f->test, i, MAX_PINS);
	f->emulated->pins[i].iova = iova;
	f->emulated->pins[i].npages = npages;
	return ret;
}

void fixture_unpin(struct fixture *f, u64 iova, u32 npages)
{
	unsigned int i;

	for (i = 0; i < MAX_PINS; i++)
		if (f->emulated->pins[i].iova == iova &&
		    f->emulated->pins[i].npages == npages)
			break;
	KUNIT_ASSERT_LT(f->test, i, MAX_PINS);
	f->emulated->pins[i].npages = 0;
	type1_unpin_pages(f->type1, iova, npages);
}

void expect_reaches(struct fixture *f, struct mock_device *mdev, u64 iova,
		    unsigned long uva, unsigned long npages)
{
	unsigned long i, seen, held;

	for (i = 0; i < npages; i++) {
		struct vfio_mock_pte pte = { .iova = iova + i * PAGE_SIZE };

		mock_pte(mdev, &pte);
		KUNIT_ASSERT_NE(f->test, pte.size, 0);
		KUNIT_EXPECT_EQ(f->test, pte.stale, 0);
		KUNIT_ASSERT_EQ(
			f->test,
			get_user(held,
				 (unsigned long __user *)(uva + i * PAGE_SIZE)),
			0);
		KUNIT_ASSERT_EQ(f->test,
				mock_dma(mdev, pte.iova, &seen, sizeof(seen),
					 false),
				0);
		KUNIT_EXPECT_EQ(f->test, seen, held);
	}
}

void expect_reaches_nothing(struct fixture *f, struct mock_device *mdev,
			    u64 iova, unsigned long npages)
{
	unsigned long i;

	for (i = 0; i < npages; i++) {
		struct vfio_mock_pte pte = { .iova = iova + i * PAGE_SIZE };

		mock_pte(mdev, &pte);
		KUNIT_EXPECT_EQ(f->test, pte.size, 0);
	}
}
