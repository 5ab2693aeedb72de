// SPDX-License-Identifier: GPL-2.0
#include "device.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

void die(const char *format, ...)
{
	int error = errno;
	va_list args;

	fputs("mdev_copy: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
	exit(1);
}

static int find_group(const char *uuid)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/iommu_group",
		 uuid);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		die("no mediated device %s (write its UUID to the file create "
		    "of a type, below /sys/class/mdev_bus)",
		    uuid);
	target[n] = '\0';
	return atoi(basename(target));
}

void device_open(struct device *device, const char *uuid)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[64];

	device->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (device->container < 0)
		die("opening /dev/vfio/vfio (is the module vfio loaded?)");
	if (ioctl(device->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
		refuse("VFIO speaks another version of its API");
	if (ioctl(device->container, VFIO_CHECK_EXTENSION,
		  VFIO_TYPE1v2_IOMMU) != 1)
		refuse("VFIO has no type1v2 IOMMU");

	device->group_number = find_group(uuid);
	snprintf(path, sizeof(path), "/dev/vfio/%d", device->group_number);
	device->group = open(path, O_RDWR | O_CLOEXEC);
	if (device->group < 0)
		die("opening %s (its owner may open it, and one at a time)",
		    path);
	if (ioctl(device->group, VFIO_GROUP_GET_STATUS, &status) < 0)
		die("asking for the status of %s", path);
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		refuse("%s is not viable", path);
	if (ioctl(device->group, VFIO_GROUP_SET_CONTAINER, &device->container) <
	    0)
		die("adding %s to the container", path);
	if (ioctl(device->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		die("setting the container's IOMMU");
	device->fd = ioctl(device->group, VFIO_GROUP_GET_DEVICE_FD, uuid);
	if (device->fd < 0)
		die("opening the device %s", uuid);
}

/* In this order; a container without groups is empty. */
void device_close(struct device *device)
{
	close(device->fd);
	close(device->group);
	close(device->container);
}

void *device_memory(struct device *device, uint64_t iova, size_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = iova,
		.size = size,
	};
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("allocating %zu bytes", size);
	map.vaddr = (uintptr_t)memory;
	if (ioctl(device->container, VFIO_IOMMU_MAP_DMA, &map) < 0)
		die("mapping %zu bytes at IOVA %#llx", size,
		    (unsigned long long)iova);
	return memory;
}

void device_memory_free(struct device *device, void *memory, uint64_t iova,
			size_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};

	if (ioctl(device->container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
		die("unmapping IOVA %#llx", (unsigned long long)iova);
	munmap(memory, size);
}

static struct vfio_region_info region_info(struct device *device,
					   unsigned int region)
{
	struct vfio_region_info info = { .argsz = sizeof(info),
					 .index = region };

	if (ioctl(device->fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		die("asking for region %u", region);
	return info;
}

uint64_t device_read(struct device *device, unsigned int region,
		     uint64_t offset, size_t size)
{
	struct vfio_region_info info = region_info(device, region);
	uint64_t value = 0;

	errno = 0;
	if (pread(device->fd, &value, size, info.offset + offset) !=
	    (ssize_t)size)
		die("reading %#llx of region %u", (unsigned long long)offset,
		    region);
	return value;
}

void device_write(struct device *device, unsigned int region, uint64_t offset,
		  size_t size, uint64_t value)
{
	struct vfio_region_info info = region_info(device, region);

	errno = 0;
	if (pwrite(device->fd, &value, size, info.offset + offset) !=
	    (ssize_t)size)
		die("writing %#llx of region %u", (unsigned long long)offset,
		    region);
}

void *device_map(struct device *device, unsigned int region, size_t size)
{
	struct vfio_region_info info = region_info(device, region);
	void *memory;

	if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP) || info.size < size)
		refuse("region %u cannot be mapped", region);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      device->fd, info.offset);
	if (memory == MAP_FAILED)
		die("mapping region %u", region);
	return memory;
}

int device_msi(struct device *device)
{
	char buffer[sizeof(struct vfio_irq_set) + sizeof(int)];
	struct vfio_irq_set *set = (struct vfio_irq_set *)buffer;
	int event = eventfd(0, EFD_CLOEXEC);

	if (event < 0)
		die("making an eventfd");
	*set = (struct vfio_irq_set){
		.argsz = sizeof(buffer),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD |
			 VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSI_IRQ_INDEX,
		.count = 1,
	};
	memcpy(set->data, &event, sizeof(event));
	if (ioctl(device->fd, VFIO_DEVICE_SET_IRQS, set) < 0)
		die("setting the MSI up");
	return event;
}
