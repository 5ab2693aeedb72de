// SPDX-License-Identifier: GPL-2.0
/*
 * zpci_kvm.ko: calls vfio_zpci_kvm_refresh() as KVM of s390 would, which finds the
 * function by its name and keeps vfio_zpci.ko loaded as long as it may call it. Here
 * that is as long as /dev/zpci_kvm is open.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include "vfio_cxx/zpci_kvm.h"
#include "zpci_kvm.h"

typedef typeof(&vfio_zpci_kvm_refresh) refresh_fn;

/* KVM's file of a virtual machine has the struct kvm. */
static bool is_machine(const struct file *file)
{
	return !strcmp(file->f_path.dentry->d_name.name, "kvm-vm");
}

static int refresh(refresh_fn fn, struct zpci_kvm_refresh *request)
{
	struct file *vm = fget(request->vm);
	u8 status = 0;

	if (!vm)
		return -EBADF;
	if (!is_machine(vm)) {
		fput(vm);
		return -EINVAL;
	}
	request->ret = fn(vm->private_data, request->fh, request->start,
			  request->length, &status);
	request->status = status;
	fput(vm);
	return 0;
}

static long zpci_kvm_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	struct zpci_kvm_refresh request;
	int ret;

	if (cmd != ZPCI_KVM_REFRESH)
		return -ENOTTY;
	if (copy_from_user(&request, (void __user *)arg, sizeof(request)))
		return -EFAULT;
	ret = refresh(file->private_data, &request);
	if (!ret && copy_to_user((void __user *)arg, &request, sizeof(request)))
		ret = -EFAULT;
	return ret;
}

static int zpci_kvm_open(struct inode *inode, struct file *file)
{
	refresh_fn fn = symbol_get(vfio_zpci_kvm_refresh);

	if (!fn)
		return -ENOENT;
	file->private_data = fn;
	return 0;
}

static int zpci_kvm_close(struct inode *inode, struct file *file)
{
	symbol_put(vfio_zpci_kvm_refresh);
	return 0;
}

static const struct file_operations zpci_kvm_fops = {
	.owner = THIS_MODULE,
	.open = zpci_kvm_open,
	.release = zpci_kvm_close,
	.unlocked_ioctl = zpci_kvm_ioctl,
};

static struct miscdevice zpci_kvm_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "zpci_kvm",
	.fops = &zpci_kvm_fops,
	.mode = 0600,
};
module_misc_device(zpci_kvm_misc);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("vfio-cxx: calls vfio_zpci as KVM would, for tests");
