// SPDX-License-Identifier: GPL-2.0
#include "kvm.hpp"

#include <linux/kvm.h>
#include <stdlib.h>

#include "../kmod/zpci_kvm.h"

namespace stack {

namespace {

#ifdef __s390x__
constexpr const char* kLoadKvm = "modprobe kvm_standin";
#else
constexpr const char* kLoadKvm = "modprobe kvm-amd";
#endif

}  // namespace

Fd open_kvm() {
  if (!exists("/dev/kvm")) {
    EXPECT_EQ(system(kLoadKvm), 0) << kLoadKvm;
  }
  return open_path("/dev/kvm");
}

Fd make_vm(int kvm) {
  return Fd(static_cast<int>(call(kvm, KVM_CREATE_VM, 0ul)));
}

Fd make_kvm_vfio(int vm) {
  kvm_create_device create{};
  create.type = KVM_DEV_TYPE_VFIO;
  const long result = call(vm, KVM_CREATE_DEVICE, &create);
  return Fd(static_cast<int>(result < 0 ? result : long{create.fd}));
}

long kvm_vfio_attr(int device, uint64_t attribute, const void* pointer,
                   unsigned long request) {
  kvm_device_attr attr{};
  attr.group = KVM_DEV_VFIO_GROUP;
  attr.attr = attribute;
  attr.addr = reinterpret_cast<uintptr_t>(pointer);
  return call(device, request, &attr);
}

long kvm_vfio_add(int device, int group) {
  return kvm_vfio_attr(device, KVM_DEV_VFIO_GROUP_ADD, &group,
                       KVM_SET_DEVICE_ATTR);
}

long kvm_vfio_del(int device, int group) {
  return kvm_vfio_attr(device, KVM_DEV_VFIO_GROUP_DEL, &group,
                       KVM_SET_DEVICE_ATTR);
}

Fd open_zpci_kvm() {
  EXPECT_EQ(system("modprobe vfio_zpci && modprobe zpci_kvm"), 0);
  return open_path("/dev/zpci_kvm");
}

ZpciRefreshed zpci_kvm_refresh(int zpci_kvm, int vm, uint32_t fh,
                               uint64_t start, uint64_t length) {
  struct zpci_kvm_refresh request {};
  request.vm = vm;
  request.fh = fh;
  request.start = start;
  request.length = length;
  const long result = call(zpci_kvm, ZPCI_KVM_REFRESH, &request);
  if (result < 0 || request.ret < 0)
    return {result < 0 ? result : request.ret, 0, 0};
  return {0, static_cast<uint32_t>(request.ret), request.status};
}

long reopen_for_kvm(Session& s, int vfio) {
  s.device_fd().reset();
  const long result = kvm_vfio_add(vfio, s.group());
  if (result < 0) return result;
  s.device_fd() = get_device(s.group(), s.pci().bdf);
  return s.device();
}

}  // namespace stack
