// SPDX-License-Identifier: GPL-2.0
//
// KVM's VFIO device takes our group fd, which it finds out about by
// symbol_get: the group is told its VM, drivers see it when they are opened,
// and the VM holds the group's file. A small guest shows that KVM runs.
#include <linux/kvm.h>
#include <string.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "kvm.hpp"
#include "merge.hpp"
#include "testdev.hpp"

using namespace stack;

namespace {

class KvmVfio : public testing::Test {
 protected:
  void SetUp() override {
    kvm = open_kvm();
    ASSERT_OK(kvm.get());
    vm = make_vm(kvm);
    ASSERT_OK(vm.get());
    vfio = make_kvm_vfio(vm);
    ASSERT_OK(vfio.get()) << "KVM_CREATE_DEVICE KVM_DEV_TYPE_VFIO";
  }
  static int group_number(const Testdev& dev) {
    return atoi(dev.node().substr(dev.node().rfind('/') + 1).c_str());
  }
  Fd kvm, vm, vfio;
};

TEST_F(KvmVfio, TakesGroupsAndNothingElse) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]});
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(
      kvm_vfio_attr(vfio, KVM_DEV_VFIO_GROUP_ADD, nullptr, KVM_HAS_DEVICE_ATTR),
      0);
  Fd memfd = make_memfd(kPage), event = make_eventfd();
  const struct {
    const char* name;
    int fd;
    int want;
  } cases[] = {{"the container", s.container(), EINVAL},
               // Later kernels take files of devices, too.
               {"the device", s.device(), kernel_at_least(6, 6) ? 0 : EINVAL},
               {"a memfd", memfd, EINVAL},
               {"an eventfd", event, EINVAL},
               {"no such fd", 9999, EBADF},
               {"-1", -1, EBADF}};
  for (const auto& c : cases) {
    if (c.want)
      EXPECT_ERR(c.want, kvm_vfio_add(vfio, c.fd)) << c.name;
    else
      EXPECT_OK(kvm_vfio_add(vfio, c.fd)) << c.name;
  }
  EXPECT_ERR(EFAULT, kvm_vfio_attr(vfio, KVM_DEV_VFIO_GROUP_ADD,
                                   reinterpret_cast<const void*>(8),
                                   KVM_SET_DEVICE_ATTR));
  EXPECT_ERR(ENOENT, kvm_vfio_del(vfio, s.group())) << "not added yet";
  EXPECT_OK(kvm_vfio_add(vfio, s.group()));
  EXPECT_ERR(EEXIST, kvm_vfio_add(vfio, s.group()));
  EXPECT_OK(kvm_vfio_del(vfio, s.group()));
  EXPECT_ERR(ENOENT, kvm_vfio_del(vfio, s.group()));
  EXPECT_OK(kvm_vfio_add(vfio, s.group())) << "and once more";
}

TEST_F(KvmVfio, GroupWithoutAContainer) {
  REQUIRE_DEVICES(2);
  Fd first = open_group(lone_devices()[0]),
     second = open_group(lone_devices()[1]);
  ASSERT_TRUE(first.valid() && second.valid());
  EXPECT_OK(kvm_vfio_add(vfio, first));
  EXPECT_OK(kvm_vfio_add(vfio, second)) << "several groups a VM";
  EXPECT_OK(kvm_vfio_del(vfio, first));
  Fd container = open_container();
  EXPECT_OK(set_container(second, container));
  EXPECT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  EXPECT_OK(get_device(second, lone_devices()[1].bdf).get());
}

// Only a device that is opened after ADD learns of the VM.
TEST_F(KvmVfio, DriversSeeTheVmWhenTheyAreOpened) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(dev.stats().kvm_at_open, 0u) << "no VM yet";
  ASSERT_OK(kvm_vfio_add(vfio, s.group()));
  Fd second = get_device(s.group(), dev.name());
  EXPECT_EQ(dev.stats().opens, 1u) << "open already, so nothing is told";
  second.reset();
  s.device_fd().reset();
  EXPECT_EQ(dev.stats().kvm_at_close, 0u);

  s.device_fd() = get_device(s.group(), dev.name());
  ASSERT_OK(s.device());
  EXPECT_EQ(dev.stats().kvm_at_open, 1u) << "opened after ADD";
  ASSERT_OK(kvm_vfio_del(vfio, s.group()));
  s.device_fd().reset();
  EXPECT_EQ(dev.stats().kvm_at_close, 1u)
      << "what a driver was opened with stays until it is closed";
  s.device_fd() = get_device(s.group(), dev.name());
  EXPECT_EQ(dev.stats().kvm_at_open, 0u) << "opened after DEL";
}

// KVM knows one of the two groups' files.
TEST_F(KvmVfio, AMergedGroupServesTheVmOfTheOther) {
  Testdev known, other;
  ASSERT_TRUE(known.ok() && other.ok());
  Fd a = open_path(known.node()), b = open_path(other.node());
  ASSERT_OK(a.get());
  ASSERT_OK(b.get());
  ASSERT_OK(set_iommu(a, VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(merge(a, b));
  ASSERT_OK(kvm_vfio_add(vfio, a));
  Fd device = get_device(b, other.name());
  ASSERT_OK(device.get());
  EXPECT_EQ(other.stats().kvm_at_open, 1u);
  device.reset();
  b.reset();
  device = get_device(a, other.name());
  EXPECT_EQ(other.stats().kvm_at_open, 1u) << "also without a file of its own";
  device.reset();
  ASSERT_OK(unmerge_number(a, group_number(other)));
  b = open_path(other.node());
  ASSERT_OK(set_iommu(b, VFIO_TYPE1v2_IOMMU));
  device = get_device(b, other.name());
  ASSERT_OK(device.get());
  EXPECT_EQ(other.stats().kvm_at_open, 0u) << "taken out, it has no VM";
}

TEST_F(KvmVfio, TheVmHoldsTheGroup) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  {
    TestdevSession s({&dev});
    ASSERT_TRUE(s.ok());
    ASSERT_OK(kvm_vfio_add(vfio, s.group()));
  }
  EXPECT_EQ(dev.stats().closes, 1u);
  EXPECT_ERR(EBUSY, open_path(dev.node()).get()) << "held by the VFIO device";
  vfio.reset();
  Fd group = open_path(dev.node());
  EXPECT_OK(group.get()) << "closed, and the group let go, the VM still there";
  Fd container = open_container();
  EXPECT_OK(set_container(group, container));
}

// The VM goes while the device is open; the group forgets it.
TEST_F(KvmVfio, TheVmGoesFirst) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  s.device_fd().reset();
  ASSERT_OK(kvm_vfio_add(vfio, s.group()));
  s.device_fd() = get_device(s.group(), dev.name());
  EXPECT_EQ(dev.stats().kvm_at_open, 1u);
  vfio.reset();
  vm.reset();
  kvm.reset();
  Memory m(kPage);
  m.touch(1);
  EXPECT_OK(map_dma(s.container(), m.data(), 0x100000, kPage));
  EXPECT_EQ(pin(s.device(), 0x100000, 1), 1) << "the device goes on";
  s.device_fd().reset();
  s.device_fd() = get_device(s.group(), dev.name());
  EXPECT_EQ(dev.stats().kvm_at_open, 0u) << "no VM any more";
}

TEST_F(KvmVfio, TheDeviceGoesWhileTheVmHasItsGroup) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  {
    TestdevSession s({&dev});
    ASSERT_TRUE(s.ok());
    ASSERT_OK(kvm_vfio_add(vfio, s.group()));
    s.device_fd().reset();
    ASSERT_OK(dev.destroy());
    EXPECT_OK(kvm_vfio_del(vfio, s.group()))
        << "a group without devices is still one";
    EXPECT_OK(kvm_vfio_add(vfio, s.group()));
  }
  vfio.reset();
  vm.reset();
}

TEST_F(KvmVfio, AnotherVmTakesOver) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  ASSERT_OK(kvm_vfio_add(vfio, s.group()));
  Fd vm2 = make_vm(kvm), vfio2 = make_kvm_vfio(vm2);
  ASSERT_OK(vfio2.get());
  EXPECT_OK(kvm_vfio_add(vfio2, s.group())) << "KVM does not ask whose it is";
  EXPECT_OK(kvm_vfio_del(vfio2, s.group()));
  s.device_fd().reset();
  s.device_fd() = get_device(s.group(), dev.name());
  observe("kvm_after_the_second_left",
          static_cast<uint64_t>(dev.stats().kvm_at_open));
}

int references(const std::string& module) {
  return atoi(read_text("/sys/module/" + module + "/refcnt").c_str());
}
// Virtual machines that have not been destroyed: KVM has a folder for each.
int virtual_machines() {
  int count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("/sys/kernel/debug/kvm"))
    count += entry.is_directory();
  return count;
}

// A driver may use the virtual machine as long as its device is open.
TEST_F(KvmVfio, AnOpenDeviceKeepsItsVm) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  s.device_fd().reset();
  ASSERT_OK(kvm_vfio_add(vfio, s.group()));
  const int before = references("kvm");
  s.device_fd() = get_device(s.group(), dev.name());
  EXPECT_EQ(dev.stats().kvm_at_open, 1u);
  Fd second = get_device(s.group(), dev.name());
  vfio.reset();
  vm.reset();
  kvm.reset();
  EXPECT_EQ(virtual_machines(), 1) << "the machine, which nobody else has";
  s.device_fd().reset();
  EXPECT_EQ(virtual_machines(), 1) << "another file of the device";
  second.reset();
  EXPECT_EQ(dev.stats().kvm_at_close, 1u);
  EXPECT_EQ(virtual_machines(), 0) << "the machine went with the last";
  EXPECT_EQ(references("kvm"), before) << "whose functions are found by name";
}

TEST_F(KvmVfio, AnOpenThatFailsKeepsNoVm) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  s.device_fd().reset();
  ASSERT_OK(kvm_vfio_add(vfio, s.group()));
  dev.fail_open(EIO);
  const int before = references("kvm");
  for (int i = 0; i < 3; i++)
    EXPECT_ERR(EIO, get_device(s.group(), dev.name()).get());
  EXPECT_EQ(references("kvm"), before);
  vfio.reset();
  vm.reset();
  kvm.reset();
  EXPECT_EQ(virtual_machines(), 0);
}

// Drivers take the machine's lock when they are opened and closed; KVM holds
// it while its VFIO device is released, and then talks to the group.
class KvmVfioLock : public KvmVfio {
 protected:
  void SetUp() override {
    KvmVfio::SetUp();
    if (HasFatalFailure()) return;
    ASSERT_TRUE(dev.ok());
    s.emplace(std::vector<const Testdev*>{&dev});
    ASSERT_TRUE(s->ok());
    s->device_fd().reset();
    ASSERT_OK(kvm_vfio_add(vfio, s->group()));
    vfio_testdev_act act{};
    act.what = VFIO_TESTDEV_ACT_KVM_LOCK;
    act.delay_ms = 1000;
    dev.act(act);
  }
  // Waits until the driver is about to take the lock for the nth time.
  void await(uint32_t waits) {
    for (int i = 0; i < 1000 && dev.stats().waits < waits; i++) usleep(10000);
    EXPECT_EQ(dev.stats().waits, waits);
  }
  Testdev dev;
  std::optional<TestdevSession> s;
};

TEST_F(KvmVfioLock, ReleaseWhileADeviceIsOpened) {
  std::thread opener(
      [&] { s->device_fd() = get_device(s->group(), dev.name()); });
  await(1);
  vfio.reset();
  opener.join();
  EXPECT_OK(s->device());
  EXPECT_EQ(dev.stats().lock_timeouts, 0u) << "deadlock with kvm->lock";
}

TEST_F(KvmVfioLock, ReleaseWhileADeviceIsClosed) {
  s->device_fd() = get_device(s->group(), dev.name());
  ASSERT_OK(s->device());
  std::thread closer([&] { s->device_fd().reset(); });
  await(2);
  vfio.reset();
  closer.join();
  EXPECT_EQ(dev.stats().lock_timeouts, 0u) << "deadlock with kvm->lock";
}

// KVM asks for coherency with a lock of its own held, which it takes inside
// kvm->lock elsewhere.
TEST_F(KvmVfioLock, AnotherGroupIsAddedWhileADeviceIsOpened) {
  Testdev other;
  ASSERT_TRUE(other.ok());
  Fd group = open_path(other.node());
  ASSERT_OK(group.get());
  std::thread opener(
      [&] { s->device_fd() = get_device(s->group(), dev.name()); });
  await(1);
  EXPECT_OK(kvm_vfio_add(vfio, group));
  EXPECT_EQ(dev.stats().opens, 1u) << "did not wait for the driver";
  EXPECT_OK(kvm_vfio_del(vfio, s->group()));
  EXPECT_EQ(dev.stats().opens, 1u) << "nor does this";
  opener.join();
  EXPECT_OK(s->device());
  EXPECT_EQ(dev.stats().opens, 2u);
  EXPECT_EQ(dev.stats().lock_timeouts, 0u);
}

// A guest in real mode: writes two bytes to a port, reads one that it adds
// one to and writes back, then halts. Its memory is mapped for DMA as well.
TEST_F(KvmVfio, AGuestRunsWithADeviceOfOurs) {
  static const uint8_t kCode[] = {
      0xba, 0xf8, 0x03,  // mov dx, 0x3f8
      0xb0, 'V',         // mov al, 'V'
      0xee,              // out dx, al
      0xb0, 'M',         // mov al, 'M'
      0xee,              // out dx, al
      0xa0, 0x00, 0x20,  // mov al, [0x2000]
      0xfe, 0xc0,        // inc al
      0xa2, 0x01, 0x20,  // mov [0x2001], al
      0xee,              // out dx, al
      0xf4,              // hlt
  };
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  ASSERT_OK(kvm_vfio_add(vfio, s.group()));
  Memory ram(16 * kPage);
  memcpy(ram.at(0x1000), kCode, sizeof kCode);
  ASSERT_OK(map_dma(s.container(), ram.data(), 0, ram.size()));
  const uint8_t seven = 7;
  ASSERT_OK(dma_write(s.device(), 0x2000, &seven, 1))
      << "the device writes guest memory";

  kvm_userspace_memory_region region{};
  region.memory_size = ram.size();
  region.userspace_addr = reinterpret_cast<uintptr_t>(ram.data());
  ASSERT_OK(call(vm, KVM_SET_USER_MEMORY_REGION, &region));
  Fd vcpu(static_cast<int>(call(vm, KVM_CREATE_VCPU, 0ul)));
  ASSERT_OK(vcpu.get());
  long size = call(kvm, KVM_GET_VCPU_MMAP_SIZE, 0ul);
  ASSERT_GE(size, static_cast<long>(sizeof(kvm_run)));
  Memory shared(static_cast<size_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED,
                vcpu);
  ASSERT_TRUE(shared.ok());
  auto* run = reinterpret_cast<kvm_run*>(shared.data());

  kvm_sregs sregs{};
  ASSERT_OK(call(vcpu, KVM_GET_SREGS, &sregs));
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  ASSERT_OK(call(vcpu, KVM_SET_SREGS, &sregs));
  kvm_regs regs{};
  regs.rip = 0x1000;
  regs.rflags = 2;
  ASSERT_OK(call(vcpu, KVM_SET_REGS, &regs));

  std::string written;
  for (int exits = 0; exits < 10; exits++) {
    ASSERT_OK(call(vcpu, KVM_RUN, 0ul));
    if (run->exit_reason == KVM_EXIT_HLT) break;
    ASSERT_EQ(run->exit_reason, uint32_t{KVM_EXIT_IO});
    ASSERT_EQ(run->io.port, 0x3f8);
    written += static_cast<char>(shared.data()[run->io.data_offset]);
  }
  EXPECT_EQ(run->exit_reason, uint32_t{KVM_EXIT_HLT});
  EXPECT_EQ(written, "VM\x08");
  uint8_t back = 0;
  EXPECT_OK(dma_read(s.device(), 0x2001, &back, 1));
  EXPECT_EQ(back, 8) << "the device reads what the guest wrote";
}

}  // namespace
