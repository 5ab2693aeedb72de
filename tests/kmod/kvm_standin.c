// SPDX-License-Identifier: GPL-2.0
/*
 * kvm_standin.ko: stands in for kvm.ko on an emulated s390x, whose processor runs no
 * virtual machines, so that kvm.ko does not load. It has of KVM what VFIO sees: /dev/kvm
 * makes machines that run nothing, their VFIO device tells vfio.ko of them as KVM's does,
 * and vfio.ko takes references to them. vfio-pci opens a device for a machine only if
 * KVM's hook for zPCI is there; nothing is to be done in it.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm_host.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

/* A VFIO device of a machine. */
struct tellers {
	struct kvm *kvm;
	struct mutex lock; /* told */
	struct list_head told;
};

/* A file of VFIO's that was told of the machine. */
struct told {
	struct list_head node;
	struct file *file;
};

/* vfio.ko calls these two through symbol_get(). Of a struct kvm only the count is used. */
bool kvm_get_kvm_safe(struct kvm *kvm)
{
	return refcount_inc_not_zero(&kvm->users_count);
}
EXPORT_SYMBOL_GPL(kvm_get_kvm_safe);

void kvm_put_kvm(struct kvm *kvm)
{
	if (refcount_dec_and_test(&kvm->users_count))
		kvfree(kvm);
}
EXPORT_SYMBOL_GPL(kvm_put_kvm);

/* Drops the file, which is not told of a machine any more. */
static void untell(struct told *told)
{
	vfio_file_set_kvm(told->file, NULL);
	list_del(&told->node);
	fput(told->file);
	kfree(told);
}

static struct told *find(struct tellers *tellers, const struct file *file)
{
	struct told *told;

	list_for_each_entry(told, &tellers->told, node)
		if (told->file == file)
			return told;
	return NULL;
}

static int add_file(struct tellers *tellers, struct file *file)
{
	struct told *told;

	if (!vfio_file_is_valid(file))
		return -EINVAL;
	if (find(tellers, file))
		return -EEXIST;
	told = kzalloc(sizeof(*told), GFP_KERNEL);
	if (!told)
		return -ENOMEM;
	told->file = get_file(file);
	list_add(&told->node, &tellers->told);
	vfio_file_set_kvm(file, tellers->kvm);
	return 0;
}

static int del_file(struct tellers *tellers, const struct file *file)
{
	struct told *told = find(tellers, file);

	if (!told)
		return -ENOENT;
	untell(told);
	return 0;
}

static long vfio_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct tellers *tellers = filp->private_data;
	struct kvm_device_attr attr;
	struct file *file;
	int fd, ret;

	if (cmd != KVM_SET_DEVICE_ATTR)
		return -ENOTTY;
	if (copy_from_user(&attr, (void __user *)arg, sizeof(attr)) ||
	    get_user(fd, (s32 __user *)u64_to_user_ptr(attr.addr)))
		return -EFAULT;
	file = fget(fd);
	if (!file)
		return -EBADF;
	mutex_lock(&tellers->lock);
	switch (attr.attr) {
	case KVM_DEV_VFIO_GROUP_ADD:
		ret = add_file(tellers, file);
		break;
	case KVM_DEV_VFIO_GROUP_DEL:
		ret = del_file(tellers, file);
		break;
	default:
		ret = -ENXIO;
	}
	mutex_unlock(&tellers->lock);
	fput(file);
	return ret;
}

static int vfio_release(struct inode *inode, struct file *filp)
{
	struct tellers *tellers = filp->private_data;
	struct told *told, *next;

	list_for_each_entry_safe(told, next, &tellers->told, node)
		untell(told);
	kvm_put_kvm(tellers->kvm);
	kfree(tellers);
	return 0;
}

static const struct file_operations vfio_fops = {
	.owner = THIS_MODULE,
	.release = vfio_release,
	.unlocked_ioctl = vfio_ioctl,
};

static int create_vfio(struct kvm *kvm)
{
	struct tellers *tellers = kzalloc(sizeof(*tellers), GFP_KERNEL);
	int fd;

	if (!tellers)
		return -ENOMEM;
	mutex_init(&tellers->lock);
	INIT_LIST_HEAD(&tellers->told);
	tellers->kvm = kvm;
	kvm_get_kvm_safe(kvm);
	fd = anon_inode_getfd("kvm-vfio", &vfio_fops, tellers,
			      O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		kvm_put_kvm(kvm);
		kfree(tellers);
	}
	return fd;
}

static long machine_ioctl(struct file *filp, unsigned int cmd,
			  unsigned long arg)
{
	struct kvm_create_device __user *to = (void __user *)arg;
	struct kvm_create_device create;
	int fd;

	if (cmd != KVM_CREATE_DEVICE)
		return -ENOTTY;
	if (copy_from_user(&create, to, sizeof(create)))
		return -EFAULT;
	if (create.type != KVM_DEV_TYPE_VFIO)
		return -ENODEV;
	fd = create_vfio(filp->private_data);
	if (fd < 0)
		return fd;
	return put_user(fd, &to->fd);
}

static int machine_release(struct inode *inode, struct file *filp)
{
	kvm_put_kvm(filp->private_data);
	return 0;
}

static const struct file_operations machine_fops = {
	.owner = THIS_MODULE,
	.release = machine_release,
	.unlocked_ioctl = machine_ioctl,
};

static long kvm_dev_ioctl(struct file *filp, unsigned int cmd,
			  unsigned long arg)
{
	struct kvm *kvm;
	int fd;

	if (cmd != KVM_CREATE_VM)
		return -ENOTTY;
	kvm = kvzalloc(sizeof(*kvm), GFP_KERNEL);
	if (!kvm)
		return -ENOMEM;
	refcount_set(&kvm->users_count, 1);
	fd = anon_inode_getfd("kvm-vm", &machine_fops, kvm, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		kvfree(kvm);
	return fd;
}

static const struct file_operations kvm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = kvm_dev_ioctl,
};

static struct miscdevice kvm_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kvm",
	.fops = &kvm_fops,
};

static int zpci_register(void *opaque, struct kvm *kvm)
{
	return 0;
}

static void zpci_unregister(void *opaque)
{
}

static int __init kvm_standin_init(void)
{
	int ret = misc_register(&kvm_misc);

	if (ret)
		return ret;
	zpci_kvm_hook.kvm_register = zpci_register;
	zpci_kvm_hook.kvm_unregister = zpci_unregister;
	return 0;
}

static void __exit kvm_standin_exit(void)
{
	zpci_kvm_hook.kvm_register = NULL;
	zpci_kvm_hook.kvm_unregister = NULL;
	misc_deregister(&kvm_misc);
}

module_init(kvm_standin_init);
module_exit(kvm_standin_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION(
	"vfio-cxx: what VFIO sees of KVM, where there is none, for tests");
