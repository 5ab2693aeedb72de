// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/iommu.h>
#include <linux/mman.h>
#include <linux/slab.h>

#include "fixture.h"

struct mediated_counts mediated_counts;

static int mediated_init(struct vfio_device *vdev)
{
	return 0;
}

static void mediated_release(struct vfio_device *vdev)
{
	struct mediated *m = container_of(vdev, struct mediated, vdev);

	mdev_pins_destroy(m->pins);
	vfio_free_device(vdev);
}

static int mediated_open(struct vfio_device *vdev)
{
	return 0;
}

static void mediated_close(struct vfio_device *vdev)
{
	mdev_pins_drop(container_of(vdev, struct mediated, vdev)->pins, 0,
		       U64_MAX);
}

static void mediated_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	struct mediated *m = container_of(vdev, struct mediated, vdev);

	m->unmaps++;
	mdev_pins_drop(m->pins, iova, length);
}

static const struct vfio_device_ops mediated_ops = {
	.name = "kunit-mediated",
	.init = mediated_init,
	.release = mediated_release,
	.open_device = mediated_open,
	.close_device = mediated_close,
	.dma_unmap = mediated_dma_unmap,
};

static int mediated_probe(struct mdev_device *mdev)
{
	struct mediated *m;
	int ret = mediated_counts.probe_error;

	if (ret)
		return ret;
	m = vfio_alloc_device(mediated, vdev, &mdev->dev, &mediated_ops);
	if (IS_ERR(m))
		return PTR_ERR(m);
	m->pins = mdev_pins_create(&m->vdev, mediated_counts.dma_dev,
				   DMA_BIDIRECTIONAL);
	if (IS_ERR(m->pins)) {
		ret = PTR_ERR(m->pins);
		m->pins = NULL;
		goto err;
	}
	ret = vfio_register_emulated_iommu_dev(&m->vdev);
	if (ret)
		goto err;
	dev_set_drvdata(&mdev->dev, m);
	mediated_counts.last = m;
	atomic_inc(&mediated_counts.probes);
	return 0;

err:
	vfio_put_device(&m->vdev);
	return ret;
}

static void mediated_remove(struct mdev_device *mdev)
{
	struct mediated *m = dev_get_drvdata(&mdev->dev);

	vfio_unregister_group_dev(&m->vdev);
	vfio_put_device(&m->vdev);
	atomic_inc(&mediated_counts.removes);
}

struct mdev_driver kunit_mdev_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.max_instances = MAX_INSTANCES,
	.probe = mediated_probe,
	.remove = mediated_remove,
	/* Without an owner: suites run before the module is in sysfs. */
	.driver = { .name = "vfio_mdev_kunit" },
};

int mdev_fixture_init(struct kunit *test)
{
	struct fixture *files;
	struct mdev_fixture *f;
	int ret = fixture_init(test);

	if (ret)
		return ret;
	files = test->priv;
	f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	if (!f) {
		ret = -ENOMEM;
		goto err;
	}
	f->files = *files;
	f->types[0].sysfs_name = "small";
	f->types[1].sysfs_name = "big";
	f->types[1].pretty_name = "A big one";
	f->list[0] = &f->types[0];
	f->list[1] = &f->types[1];
	memset(&mediated_counts, 0, sizeof(mediated_counts));
	f->dev = __root_device_register("mdev_kunit", NULL);
	if (IS_ERR(f->dev)) {
		ret = PTR_ERR(f->dev);
		goto err;
	}
	f->dev->coherent_dma_mask = DMA_BIT_MASK(64);
	f->dev->dma_mask = &f->dev->coherent_dma_mask;
	ret = mdev_register_driver(&kunit_mdev_driver);
	if (ret) {
		root_device_unregister(f->dev);
		goto err;
	}
	test->priv = f;
	return 0;

err:
	fixture_exit(test);
	test->priv = NULL;
	return ret;
}

void mdev_fixture_exit(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	unsigned int i;

	if (!f)
		return;
	current->fail_nth = 0;
	for (i = ARRAY_SIZE(f->files.files); i > 0; i--)
		if (f->files.files[i - 1])
			fixture_close(&f->files, f->files.files[i - 1]);
	if (f->memory)
		vm_munmap(f->memory, f->npages * PAGE_SIZE);
	if (f->registered)
		fixture_unregister(f);
	mdev_unregister_driver(&kunit_mdev_driver);
	root_device_unregister(f->dev);
	KUNIT_EXPECT_EQ(test, atomic_read(&mediated_counts.removes),
			atomic_read(&mediated_counts.probes));
	fixture_exit(test);
}

int fixture_register(struct mdev_fixture *f)
{
	int ret = mdev_register_parent(&f->parent, f->dev, &kunit_mdev_driver,
				       f->list, ARRAY_SIZE(f->list));

	f->registered = !ret;
	return ret;
}

void fixture_unregister(struct mdev_fixture *f)
{
	f->registered = false;
	mdev_unregister_parent(&f->parent);
}

long write_file(const char *path, const char *text)
{
	struct file *file = filp_open(path, O_WRONLY, 0);
	loff_t at = 0;
	long ret;

	if (IS_ERR(file))
		return PTR_ERR(file);
	ret = kernel_write(file, text, strlen(text), &at);
	fput(file);
	flush_delayed_fput();
	return ret;
}

void read_file(const char *path, char *text, size_t size)
{
	struct file *file = filp_open(path, O_RDONLY, 0);
	loff_t at = 0;
	long ret;

	text[0] = '\0';
	if (IS_ERR(file))
		return;
	ret = kernel_read(file, text, size - 1, &at);
	text[max(ret, 0l)] = '\0';
	fput(file);
	flush_delayed_fput();
}

static void type_path(struct mdev_fixture *f, unsigned int type,
		      const char *file, char *path, size_t size)
{
	snprintf(path, size,
		 "/sys/devices/mdev_kunit/mdev_supported_types/%s-%s/%s",
		 dev_driver_string(f->dev), f->types[type].sysfs_name, file);
}

long fixture_create(struct mdev_fixture *f, unsigned int type, const char *uuid)
{
	char path[128];
	long ret;

	type_path(f, type, "create", path, sizeof(path));
	ret = write_file(path, uuid);
	return ret == strlen(uuid) ? 0 : ret;
}

long fixture_remove(const char *uuid)
{
	char path[128];
	long ret;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/remove", uuid);
	ret = write_file(path, "1");
	return ret == 1 ? 0 : ret;
}

int fixture_available(struct mdev_fixture *f, unsigned int type)
{
	char path[128], text[16];
	int value;

	type_path(f, type, "available_instances", path, sizeof(path));
	read_file(path, text, sizeof(text));
	return kstrtoint(text, 10, &value) ?: value;
}

const char *fixture_uuid(unsigned int number)
{
	static char text[4][37];
	static unsigned int turn;
	char *mine = text[turn++ % ARRAY_SIZE(text)];

	snprintf(mine, sizeof(text[0]), "83b8f4f2-509f-382f-3c1e-%012x",
		 number);
	return mine;
}

struct mdev_pins *pinning_open(struct mdev_fixture *f, unsigned long npages,
			       bool with_dma)
{
	struct kunit *test = f->files.test;
	struct iommu_group *iommu_group;
	struct file *group, *device;
	char path[24];
	unsigned long i;

	mediated_counts.dma_dev = with_dma ? f->dev : NULL;
	KUNIT_ASSERT_EQ(test, fixture_register(f), 0);
	KUNIT_ASSERT_EQ(test, fixture_create(f, 0, fixture_uuid(0)), 0);
	f->mediated = mediated_counts.last;

	iommu_group = iommu_group_get(f->mediated->vdev.dev);
	KUNIT_ASSERT_NOT_NULL(test, iommu_group);
	snprintf(path, sizeof(path), "/dev/vfio/%d",
		 iommu_group_id(iommu_group));
	iommu_group_put(iommu_group);
	f->container = open_container(&f->files);
	group = fixture_open(&f->files, path);
	KUNIT_ASSERT_FALSE(test, IS_ERR(group));
	KUNIT_ASSERT_EQ(test, set_container(&f->files, group, f->container), 0);
	KUNIT_ASSERT_EQ(test,
			file_ioctl(f->container, VFIO_SET_IOMMU,
				   VFIO_TYPE1v2_IOMMU),
			0);
	device = open_device(&f->files, group, fixture_uuid(0));
	KUNIT_ASSERT_FALSE(test, IS_ERR(device));

	f->memory = vm_mmap(NULL, 0, npages * PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, 0);
	f->npages = npages;
	if (IS_ERR_VALUE(f->memory))
		f->memory = 0;
	KUNIT_ASSERT_NE(test, f->memory, 0);
	for (i = 0; i < npages; i++)
		KUNIT_ASSERT_EQ(test,
				put_user((int)i, (int __user *)(f->memory +
								i * PAGE_SIZE)),
				0);
	KUNIT_ASSERT_EQ(test,
			pinning_map(f, 0, f->memory, npages,
				    VFIO_DMA_MAP_FLAG_READ |
					    VFIO_DMA_MAP_FLAG_WRITE),
			0);
	return f->mediated->pins;
}

long pinning_map(struct mdev_fixture *f, u64 iova, unsigned long uva,
		 u64 npages, u32 flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = uva,
		.iova = iova,
		.size = npages * PAGE_SIZE,
	};

	return file_ioctl_copy(&f->files, f->container, VFIO_IOMMU_MAP_DMA,
			       &map, sizeof(map));
}

long pinning_unmap(struct mdev_fixture *f, u64 iova, u64 npages)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = npages * PAGE_SIZE,
	};
	long ret = file_ioctl_copy(&f->files, f->container,
				   VFIO_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap));

	return ret ?: unmap.size / PAGE_SIZE;
}

int page_pins(struct mdev_fixture *f, unsigned long nr)
{
	struct page *page;
	int count;

	KUNIT_ASSERT_EQ(f->files.test,
			get_user_pages_fast(f->memory + nr * PAGE_SIZE, 1, 0,
					    &page),
			1);
	count = page_ref_count(page) / GUP_PIN_COUNTING_BIAS;
	put_page(page);
	return count;
}

unsigned int fixture_sweep(struct mdev_fixture *f,
			   int (*call)(struct mdev_fixture *f),
			   void (*undo)(struct mdev_fixture *f),
			   void (*same)(struct mdev_fixture *f))
{
	struct kunit *test = f->files.test;
	unsigned int nth, left;
	int ret;

	for (nth = 1;; nth++) {
		current->fail_nth = nth;
		ret = call(f);
		left = current->fail_nth;
		current->fail_nth = 0;
		if (!ret)
			undo(f);
		else
			KUNIT_EXPECT_TRUE(test, ret == -ENOMEM || ret == -EIO ||
							ret == -EFAULT);
		same(f);
		if (left)
			break;
		/* As much as any call here has, many times over. */
		KUNIT_ASSERT_LT(test, nth, 5000);
	}
	KUNIT_EXPECT_EQ(test, ret, 0);
	kunit_info(test, "%u allocations swept", nth - 1);
	return nth - 1;
}
