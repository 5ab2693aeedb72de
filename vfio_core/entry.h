/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The functions of the core that C files of vfio.ko call. A call that fails returns
 * a negative errno. exports.c has the contracts of exported functions, the UAPI
 * those of ioctls; the files named below describe the others. All may sleep, except
 * where exports.c says otherwise.
 */
#ifndef VFIO_CORE_ENTRY_H
#define VFIO_CORE_ENTRY_H

#include "shim/base.h"
#include "vfio_core/shim/gate_map.h"

struct device;
struct file;
struct iommu_group;
struct iova_bitmap;
struct kvm;
struct page;
struct poll_table_struct;
struct rb_root_cached;
struct seq_file;
struct shim_iommu_module;
struct shim_virqfd_calls;
struct vfio_container;
struct vfio_core_device;
struct vfio_core_device_file;
struct vfio_core_device_set;
struct vfio_device;
struct vfio_device_ops;
struct vfio_group;
struct vfio_info_cap_header;
struct vfio_iommu_driver_ops;
struct vfio_irq_set;
struct virqfd;
struct vm_area_struct;
struct vm_fault;

SHIM_BEGIN

/* Registries, registries.cpp */
int vfio_core_init(const struct vfio_iommu_driver_ops *noiommu,
		   const struct shim_iommu_module *modules);
void vfio_core_exit(void);

/* Container, container.cpp */
int vfio_core_container_open(struct vfio_container **container);
void vfio_core_container_close(struct vfio_container *container);
long vfio_core_container_ioctl(struct vfio_container *container, u32 cmd,
			       u64 arg);

/* Container, container_show.cpp; Device, device_show.cpp: files in debugfs */
int vfio_core_container_show(struct vfio_container *container, u32 file,
			     u64 *cursor, struct seq_file *seq);
int vfio_core_device_show(struct vfio_core_device *device, u32 file,
			  struct seq_file *seq);

/* Group, group.cpp */
int vfio_core_group_open(struct vfio_group *group);
void vfio_core_group_close(struct vfio_group *group);
long vfio_core_group_ioctl(struct vfio_group *group, u32 cmd, u64 arg);
void vfio_core_group_destroy(struct vfio_group *group);

/* Group, DeviceFile, group_kvm.cpp: by any file */
bool vfio_core_file_is_group(struct file *file);
struct iommu_group *vfio_core_file_iommu_group(struct file *file);
bool vfio_core_file_is_valid(struct file *file);
bool vfio_core_file_enforced_coherent(struct file *file);
void vfio_core_file_set_kvm(struct file *file, struct kvm *kvm);
bool vfio_core_file_has_dev(struct file *file, struct vfio_core_device *device);
bool vfio_core_device_owns_file(struct vfio_core_device *device,
				struct file *file);

/* Device, device.cpp */
int vfio_core_device_alloc(size_t size, struct device *dev,
			   const struct vfio_device_ops *ops,
			   struct vfio_device **device);
int vfio_core_device_init(struct vfio_device *device, struct device *dev,
			  const struct vfio_device_ops *ops);
void vfio_core_device_release(struct vfio_core_device *device);
int vfio_core_device_register(struct vfio_core_device *device);
int vfio_core_device_register_emulated(struct vfio_core_device *device);
void vfio_core_device_unregister(struct vfio_core_device *device);
int vfio_core_device_assign_set(struct vfio_core_device *device, u64 id);

bool vfio_core_device_try_use(struct vfio_core_device *device);
void vfio_core_device_put_use(struct vfio_core_device *device);

/* Device, device_open.cpp: while it is open */
int vfio_core_device_pin(struct vfio_core_device *device, u64 iova, int npages,
			 int prot, struct page **pages);
void vfio_core_device_unpin(struct vfio_core_device *device, u64 iova,
			    int npages);
int vfio_core_device_dma_rw(struct vfio_core_device *device, u64 iova,
			    void *buffer, size_t size, bool write);

/* DeviceFile, device_file.cpp */
void vfio_core_device_file_close(struct vfio_core_device_file *file);
long vfio_core_device_file_read(struct vfio_core_device_file *file, u64 to,
				size_t size, s64 *position);
long vfio_core_device_file_write(struct vfio_core_device_file *file, u64 from,
				 size_t size, s64 *position);
long vfio_core_device_file_ioctl(struct vfio_core_device_file *file, u32 cmd,
				 u64 arg);
int vfio_core_device_file_mmap(struct vfio_core_device_file *file,
			       struct vm_area_struct *vma);
struct device *vfio_core_device_file_dev(struct vfio_core_device_file *file);

bool vfio_core_device_file_poll(struct vfio_core_device_file *file,
				struct poll_table_struct *table);

/* Gate, gate.cpp: what schedulers call, and what vfio_gate_register() is made of */
#include "vfio_cxx/gate.h"
int vfio_core_gate_register(struct device *dev, const struct vfio_gate_ops *ops,
			    void *data, struct vfio_gate **gate);
/* Gate, gate_access.cpp: in faults of the device's maps, with the lock of the address space */
enum shim_gate_fault vfio_core_gate_fault(struct vfio_gate *gate,
					  struct vm_fault *fault, u32 how);
bool vfio_core_gate_try_map(struct vfio_gate *gate);
long vfio_core_gate_closed_frames(struct vfio_gate *gate, u64 pfn, u64 npages);
void vfio_core_gate_leave(struct vfio_gate *gate);

/* DeviceSet, device_set.cpp */
u32 vfio_core_device_set_open_count(struct vfio_core_device_set *set);
struct vfio_device *vfio_core_device_set_find(struct vfio_core_device_set *set,
					      struct device *dev);

/* IommuDriverRegistry, iommu_driver.cpp */
int vfio_core_register_iommu_driver(const struct vfio_iommu_driver_ops *ops);
void vfio_core_unregister_iommu_driver(const struct vfio_iommu_driver_ops *ops);

/* No-IOMMU mode's IOMMU driver, noiommu.cpp */
int vfio_core_noiommu_open(u64 extension);
long vfio_core_noiommu_ioctl(u32 cmd, u64 arg);

/* Eventfds that call a driver, virqfd.cpp */
int vfio_core_virqfd_enable(const struct shim_virqfd_calls *calls,
			    struct virqfd **slot, int fd);
void vfio_core_virqfd_event(struct virqfd *virqfd, bool signaled, bool closed);
void vfio_core_virqfd_shutdown(struct virqfd *virqfd);
void vfio_core_virqfd_disable(struct virqfd **slot);
void vfio_core_virqfd_wait(struct virqfd **slot);

/*
 * Helpers for drivers: migration.cpp, irq_set.cpp, iova_bitmap.cpp, iova_ranges.cpp,
 * info_cap.cpp
 */
int vfio_core_migration_next(struct vfio_core_device *device, u32 from, u32 to,
			     u32 *next);
int vfio_core_check_irq_set(const struct vfio_irq_set *set, int nirqs,
			    int nindexes, size_t *data_size);
void vfio_core_combine_iova_ranges(struct rb_root_cached *root, u32 count,
				   u32 wanted);
void vfio_core_iova_bitmap_set(struct iova_bitmap *bitmap, u64 iova, u64 size);
int vfio_core_info_cap_add(struct vfio_info_cap_header **buffer, size_t *size,
			   size_t cap_size, u16 id, u16 version,
			   struct vfio_info_cap_header **added);
int vfio_core_info_cap_copy(struct vfio_info_cap_header **buffer, size_t *size,
			    const struct vfio_info_cap_header *cap,
			    size_t cap_size);
void vfio_core_info_cap_shift(struct vfio_info_cap_header *buffer, size_t size,
			      size_t offset);

SHIM_END

#endif
