// SPDX-License-Identifier: GPL-2.0
//
// Refreshes that KVM asks vfio_zpci for: a function is found by its handle in
// the machine that its device was opened for, and in no other one, whatever
// happens to it meanwhile. zpci_kvm.ko calls as KVM would.
#include <atomic>
#include <thread>

#include "kvm.hpp"
#include "mdev.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x345000;
constexpr uint64_t kPba = kFirstIova, kPal = (1ull << 38) - 1;
constexpr uint32_t kFh = 0x80000021;
constexpr ZpciRefreshed kUnknown{0, VFIO_ZPCI_CC_INVALID_HANDLE, 0};
constexpr ZpciRefreshed kError{0, VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR};
constexpr ZpciRefreshed kInError{0, VFIO_ZPCI_CC_ERROR,
                                 VFIO_ZPCI_STATUS_IN_ERROR};

// A guest with one device, whose table maps kIova.
class Guest {
 public:
  static constexpr uint64_t kSize = 4ull << 20;

  explicit Guest(const PciDevice& device, uint32_t fh = kFh)
      : fh_(fh), memory_(Memory::aligned(kSize)) {
    open(device);
    tables_.emplace(memory_.data(), VFIO_ZPCI_FORMAT_S390, kSize);
    tables_->map(kIova, 0x5000);
  }

  void open(const PciDevice& device) {
    s = Session();
    s = Session({device}, VFIO_ZPCI_IOMMU);
    EXPECT_OK(map_memory());
  }
  long map_memory() { return map_dma(c(), memory_.data(), 0, kSize); }
  long enroll() {
    return zpci_register(c(), fh_, s.group(), *tables_, kPba, kPal);
  }
  int c() const { return s.container(); }
  uint64_t pages() const { return zpci_statistics(c(), fh_).pages; }
  GuestTables& tables() { return *tables_; }
  Memory& memory() { return memory_; }

  Session s;

 private:
  const uint32_t fh_;
  Memory memory_;
  std::optional<GuestTables> tables_;
};

class ZpciKvm : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_DEVICES(2);
    zpci_kvm = open_zpci_kvm();
    ASSERT_OK(zpci_kvm.get());
    kvm = open_kvm();
    vm = make_vm(kvm);
    vfio = make_kvm_vfio(vm);
    ASSERT_OK(vfio.get());
  }
  void TearDown() override {
    zpci_kvm.reset();
    // KVM's device keeps the group's file, and so the container.
    vfio.reset();
    if (on_stock()) {
      EXPECT_OK(unload_module("vfio_zpci"));
    }
  }
  ZpciRefreshed refresh(uint32_t fh = kFh) const {
    return zpci_kvm_refresh(zpci_kvm, vm, fh, kIova, kPage);
  }
  static PciDevice device(size_t i = 0) { return lone_devices()[i]; }

  Fd zpci_kvm, kvm, vm, vfio;
};

TEST_F(ZpciKvm, ByTheHandleInItsMachine) {
  Fd other = make_vm(kvm);
  ASSERT_OK(other.get());
  Guest guest(device());
  EXPECT_EQ(refresh(), kUnknown) << "not registered";
  ASSERT_OK(guest.enroll());
  EXPECT_EQ(refresh(), kUnknown) << "its device is not opened for a machine";
  ASSERT_OK(reopen_for_kvm(guest.s, vfio));
  EXPECT_EQ(guest.pages(), 0u);
  EXPECT_EQ(refresh(), kRefreshed);
  EXPECT_EQ(guest.pages(), 1u);
  guest.tables().unmap(kIova);
  EXPECT_EQ(zpci_kvm_refresh(zpci_kvm, other, kFh, kIova, kPage), kUnknown);
  EXPECT_EQ(refresh(kFh + 1), kUnknown);
  EXPECT_EQ(guest.pages(), 1u) << "neither did anything";
  EXPECT_EQ(refresh(), kRefreshed);
  EXPECT_EQ(guest.pages(), 0u);
}

TEST_F(ZpciKvm, OutcomesAreThoseOfTheIoctl) {
  Guest guest(device());
  ASSERT_OK(reopen_for_kvm(guest.s, vfio));
  ASSERT_OK(guest.enroll());
  const auto recover = [&](uint32_t code, uint64_t address) {
    EXPECT_EQ(refresh(), kInError);
    const vfio_zpci_event event =
        zpci_event(guest.c(), kFh, VFIO_ZPCI_EVENT_CLEAR);
    EXPECT_EQ(event.code, code);
    EXPECT_EQ(event.fid, kFh + 1000);
    EXPECT_EQ(event.address, address);
    EXPECT_OK(zpci_set_state(guest.c(), kFh, VFIO_ZPCI_STATE_ENABLED));
    EXPECT_EQ(refresh(), kRefreshed);
  };
  EXPECT_EQ(zpci_kvm_refresh(zpci_kvm, vm, kFh, kPal + 1, kPage), kError);
  recover(VFIO_ZPCI_EVENT_OUT_OF_RANGE, kPal + 1);
  EXPECT_EQ(zpci_kvm_refresh(zpci_kvm, vm, kFh, ~0ull, 2), kError);
  recover(VFIO_ZPCI_EVENT_OUT_OF_RANGE, ~0ull);
  guest.tables().map(kIova + kPage, Guest::kSize);
  EXPECT_EQ(zpci_kvm_refresh(zpci_kvm, vm, kFh, kIova, 2 * kPage), kError);
  recover(VFIO_ZPCI_EVENT_ENTRY, kIova + kPage);
  EXPECT_EQ(zpci_kvm_refresh(zpci_kvm, vm, kFh, kIova, 0), kRefreshed);

  for (const uint32_t state :
       {VFIO_ZPCI_STATE_PERMANENT_ERROR, VFIO_ZPCI_STATE_DISABLED}) {
    ASSERT_OK(zpci_set_state(guest.c(), kFh, state));
    EXPECT_EQ(refresh(), kUnknown);
  }
  ASSERT_OK(zpci_set_state(guest.c(), kFh, VFIO_ZPCI_STATE_ENABLED));
  EXPECT_EQ(refresh(), kError) << "disabling it took its anchor away";
  EXPECT_EQ(zpci_event(guest.c(), kFh).code,
            unsigned{VFIO_ZPCI_EVENT_NO_ANCHOR});
  EXPECT_OK(zpci_deregister(guest.c(), kFh, VFIO_ZPCI_DEREGISTER_FORGET));
  EXPECT_EQ(refresh(), kUnknown);
}

TEST_F(ZpciKvm, AsLongAsTheDeviceIsOpenForTheMachine) {
  Guest guest(device());
  ASSERT_OK(reopen_for_kvm(guest.s, vfio));
  ASSERT_OK(guest.enroll());
  Fd second = get_device(guest.s.group(), guest.s.pci().bdf);
  guest.s.device_fd().reset();
  EXPECT_EQ(refresh(), kRefreshed) << "another file of the device";
  second.reset();
  EXPECT_EQ(refresh(), kUnknown) << "closed";
  guest.s.device_fd() = get_device(guest.s.group(), guest.s.pci().bdf);
  EXPECT_EQ(refresh(), kRefreshed) << "opened once more";

  ASSERT_OK(kvm_vfio_del(vfio, guest.s.group()));
  EXPECT_EQ(refresh(), kRefreshed) << "as it was opened";
  guest.s.device_fd().reset();
  guest.s.device_fd() = get_device(guest.s.group(), guest.s.pci().bdf);
  ASSERT_OK(guest.s.device());
  EXPECT_EQ(refresh(), kUnknown) << "opened for no machine";

  ASSERT_OK(reopen_for_kvm(guest.s, vfio));
  EXPECT_EQ(refresh(), kRefreshed);
  vfio.reset();
  guest.s = Session();
  EXPECT_EQ(refresh(), kUnknown) << "nothing is left";
}

TEST_F(ZpciKvm, TwoContainersOfOneMachine) {
  Guest first(device(0), kFh), second(device(1), kFh + 1);
  ASSERT_OK(reopen_for_kvm(first.s, vfio));
  ASSERT_OK(reopen_for_kvm(second.s, vfio));
  ASSERT_OK(first.enroll());
  ASSERT_OK(second.enroll());
  EXPECT_EQ(refresh(kFh + 1), kRefreshed);
  EXPECT_EQ(first.pages(), 0u);
  EXPECT_EQ(second.pages(), 1u);
  EXPECT_EQ(refresh(kFh), kRefreshed);
  EXPECT_EQ(first.pages(), 1u);
  first.s = Session();
  EXPECT_EQ(refresh(kFh), kUnknown);
  EXPECT_EQ(refresh(kFh + 1), kRefreshed);
}

TEST_F(ZpciKvm, TheSameHandleInTwoMachines) {
  Fd vm2 = make_vm(kvm), vfio2 = make_kvm_vfio(vm2);
  Guest first(device(0)), second(device(1));
  ASSERT_OK(reopen_for_kvm(first.s, vfio));
  ASSERT_OK(reopen_for_kvm(second.s, vfio2));
  ASSERT_OK(first.enroll());
  ASSERT_OK(second.enroll());
  EXPECT_EQ(zpci_kvm_refresh(zpci_kvm, vm2, kFh, kIova, kPage), kRefreshed);
  EXPECT_EQ(first.pages(), 0u);
  EXPECT_EQ(second.pages(), 1u);
}

// A device of a guest's that was opened for another machine, or for none, is
// not this machine's.
TEST_F(ZpciKvm, OneContainerAndDevicesOfTwoMachines) {
  Fd vm2 = make_vm(kvm), vfio2 = make_kvm_vfio(vm2);
  Guest guest(device(0));
  ASSERT_OK(reopen_for_kvm(guest.s, vfio));
  ASSERT_OK(guest.enroll());
  Fd group = open_group(device(1));
  ASSERT_OK(set_container(group, guest.c()));
  Fd file = get_device(group, device(1).bdf);
  ASSERT_OK(
      zpci_register(guest.c(), kFh + 1, group, guest.tables(), kPba, kPal));
  EXPECT_EQ(refresh(kFh + 1), kUnknown);
  file.reset();
  ASSERT_OK(kvm_vfio_add(vfio2, group));
  file = get_device(group, device(1).bdf);
  EXPECT_EQ(refresh(kFh + 1), kUnknown);
  EXPECT_EQ(zpci_kvm_refresh(zpci_kvm, vm2, kFh, kIova, kPage), kUnknown);
  EXPECT_EQ(refresh(kFh), kRefreshed);
}

TEST_F(ZpciKvm, FilesThatAreNoMachines) {
  Fd event = make_eventfd();
  EXPECT_ERR(EINVAL,
             zpci_kvm_refresh(zpci_kvm, event, kFh, kIova, kPage).result);
  EXPECT_ERR(EBADF, zpci_kvm_refresh(zpci_kvm, -1, kFh, kIova, kPage).result);
}

// All regions have one segment table, all segments one page table: without an
// end to it, a refresh of the window would take long.
TEST_F(ZpciKvm, KilledInALongRefresh) {
  Guest guest(device());
  ASSERT_OK(reopen_for_kvm(guest.s, vfio));
  ASSERT_OK(guest.enroll());
  guest.tables().unmap(kIova);
  guest.tables().repeat(kIova);
  Child child([&](Child& self) {
    self.notify();
    for (;;) zpci_kvm_refresh(zpci_kvm, vm, kFh, kPba, kPal - kPba + 1);
  });
  ASSERT_TRUE(child.await());
  while (zpci_statistics(guest.c(), kFh).refreshes < 3) usleep(1000);
  child.kill();
  child.wait(SIGKILL);
  EXPECT_EQ(refresh(), kRefreshed);
}

// KVM asks all the time while a guest changes.
class ZpciKvmMeanwhile : public ZpciKvm {
 protected:
  void SetUp() override {
    ZpciKvm::SetUp();
    if (HasFatalFailure()) return;
    guest.emplace(device());
    ASSERT_OK(reopen_for_kvm(guest->s, vfio));
    ASSERT_OK(guest->enroll());
  }
  void TearDown() override {
    guest.reset();
    ZpciKvm::TearDown();
  }
  // Does `change` often while two threads ask; afterwards all is in order.
  void while_it_is_refreshed(const std::function<void()>& change) {
    std::atomic<bool> stop = false;
    std::atomic<int> done = 0, others = 0;
    const auto ask = [&] {
      while (!stop) {
        const ZpciRefreshed got = refresh();
        if (got == kRefreshed)
          done++;
        else if (got == kUnknown || got == kError || got == kInError)
          others++;
        else
          ADD_FAILURE() << got;
      }
    };
    std::thread one(ask), two(ask);
    for (int i = 0; i < 20; i++) {
      change();
      ASSERT_OK(zpci_set_state(guest->c(), kFh, VFIO_ZPCI_STATE_ENABLED));
      const int before = done;
      while (done == before && !HasFailure()) usleep(1000);
    }
    stop = true;
    one.join();
    two.join();
    EXPECT_EQ(refresh(), kRefreshed);
    EXPECT_EQ(guest->pages(), 1u);
  }
  std::optional<Guest> guest;
};

TEST_F(ZpciKvmMeanwhile, MemoryIsTakenAway) {
  while_it_is_refreshed([&] {
    EXPECT_EQ(unmap_dma(guest->c(), 0, 0, VFIO_DMA_UNMAP_FLAG_ALL).size,
              Guest::kSize);
    EXPECT_OK(guest->map_memory());
  });
}

TEST_F(ZpciKvmMeanwhile, TheAnchorGoes) {
  while_it_is_refreshed([&] {
    EXPECT_OK(zpci_deregister(guest->c(), kFh));
    EXPECT_OK(guest->enroll());
  });
}

TEST_F(ZpciKvmMeanwhile, TheFunctionIsForgotten) {
  while_it_is_refreshed([&] {
    EXPECT_OK(zpci_deregister(guest->c(), kFh, VFIO_ZPCI_DEREGISTER_FORGET));
    EXPECT_OK(guest->enroll());
  });
}

TEST_F(ZpciKvmMeanwhile, TheDeviceIsClosed) {
  while_it_is_refreshed([&] {
    guest->s.device_fd().reset();
    guest->s.device_fd() = get_device(guest->s.group(), guest->s.pci().bdf);
    EXPECT_OK(guest->s.device());
  });
}

TEST_F(ZpciKvmMeanwhile, TheContainerIsClosed) {
  while_it_is_refreshed([&] {
    EXPECT_OK(kvm_vfio_del(vfio, guest->s.group()));
    guest->open(device());
    ASSERT_OK(reopen_for_kvm(guest->s, vfio));
    ASSERT_OK(guest->enroll());
  });
}

TEST_F(ZpciKvmMeanwhile, TheDeviceIsUnbound) {
  const PciDevice pci = guest->s.pci();
  while_it_is_refreshed([&] {
    EXPECT_OK(kvm_vfio_del(vfio, guest->s.group()));
    guest->s = Session();
    EXPECT_OK(unbind_driver(pci.bdf));
    EXPECT_OK(bind_driver(pci.bdf, "vfio-pci"));
    guest->open(pci);
    ASSERT_OK(reopen_for_kvm(guest->s, vfio));
    ASSERT_OK(guest->enroll());
  });
}

// The same with CPUs that run at once.
class ZpciKvmTwoCpus : public ZpciKvmMeanwhile {};

TEST_F(ZpciKvmTwoCpus, TheContainerIsClosed) {
  while_it_is_refreshed([&] {
    EXPECT_OK(kvm_vfio_del(vfio, guest->s.group()));
    guest->open(device());
    ASSERT_OK(reopen_for_kvm(guest->s, vfio));
    ASSERT_OK(guest->enroll());
  });
}

}  // namespace
}  // namespace stack
