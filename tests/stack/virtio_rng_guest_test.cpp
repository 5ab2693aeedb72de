// SPDX-License-Identifier: GPL-2.0
//
// A guest with a virtio-rng and an IOMMU of its own: its driver maps the
// device's queue and its buffers in I/O page tables in guest memory, as Linux
// does, and says which IOVAs it has changed. Behind it is a VMM, in one of
// three ways: vfio_zpci follows the table, by an ioctl or by what KVM calls; or
// the VMM follows it, and makes an ioctl of type1 a page. Needs no device that
// x86 alone has.
#include <map>

#include "kvm.hpp"
#include "mdev.hpp"
#include "virtio_rng.hpp"

namespace stack {
namespace {

// As on s390x, where IOVAs begin at 4 GiB.
constexpr uint64_t kPba = kFirstIova, kPal = (1ull << 38) - 1;
constexpr uint64_t kQueueIova = kPba, kIova = kPba + 40 * kGiB;
constexpr uint32_t kFh = 0x80000007;
constexpr uint64_t kGuestSize = 16ull << 20;
constexpr uint64_t kQueue = 0x2000, kBuffers = 4ull << 20;
constexpr uint64_t kPages = 16;

enum class Way { kIoctl, kKvm, kPerPage };

// What a VMM does when the guest's table has changed in a range.
class Vmm {
 public:
  virtual ~Vmm() = default;
  virtual ZpciRefreshed refresh(uint64_t iova, uint64_t length) = 0;
  // How many calls into the kernel the last refresh was.
  unsigned calls() const { return calls_; }

 protected:
  unsigned calls_ = 0;
};

class IoctlVmm : public Vmm {
 public:
  explicit IoctlVmm(int container) : container_(container) {}
  ZpciRefreshed refresh(uint64_t iova, uint64_t length) override {
    calls_ = 1;
    return zpci_refresh(container_, kFh, iova, length);
  }

 private:
  const int container_;
};

class KvmVmm : public Vmm {
 public:
  explicit KvmVmm(Session& s)
      : zpci_kvm_(open_zpci_kvm()),
        kvm_(open_kvm()),
        vm_(make_vm(kvm_)),
        vfio_(make_kvm_vfio(vm_)) {
    EXPECT_OK(zpci_kvm_.get());
    EXPECT_OK(reopen_for_kvm(s, vfio_));
  }
  ZpciRefreshed refresh(uint64_t iova, uint64_t length) override {
    calls_ = 1;
    return zpci_kvm_refresh(zpci_kvm_, vm_, kFh, iova, length);
  }

 private:
  Fd zpci_kvm_, kvm_, vm_, vfio_;
};

class PerPageVmm : public Vmm {
 public:
  PerPageVmm(int container, Memory& memory, const GuestTables& tables)
      : container_(container), memory_(memory), tables_(tables) {}

  ZpciRefreshed refresh(uint64_t iova, uint64_t length) override {
    calls_ = 0;
    for (const uint64_t end = iova + length; iova < end; iova += kPage)
      refresh_page(iova);
    return kRefreshed;
  }

 private:
  void refresh_page(uint64_t iova) {
    const auto page = tables_.find(iova);
    const auto known = mapped_.find(iova);
    if (known != mapped_.end()) {
      if (page && *page == known->second) return;
      EXPECT_EQ(unmap_dma(container_, iova, kPage).size, kPage);
      mapped_.erase(known);
      calls_++;
    }
    if (!page) return;
    static_assert(kGuestWrite == VFIO_DMA_MAP_FLAG_WRITE);
    EXPECT_OK(
        map_dma(container_, memory_.at(page->gpa), iova, kPage, page->prot));
    mapped_.emplace(iova, *page);
    calls_++;
  }

  const int container_;
  Memory& memory_;
  const GuestTables& tables_;
  std::map<uint64_t, GuestTables::Page> mapped_;
};

using Param = std::tuple<Way, uint32_t>;

class VirtioRngGuest : public testing::TestWithParam<Param> {
 protected:
  static Way way() { return std::get<0>(GetParam()); }
  static bool nested() { return way() != Way::kPerPage; }

  void SetUp() override {
    ASSERT_FALSE(virtio_rngs().empty()) << "a virtio-rng bound to vfio-pci";
    pci = virtio_rngs()[0];
    // The kernel's own vfio.ko does not load it when it is asked for.
    if (nested() && on_stock()) {
      ASSERT_EQ(system("modprobe vfio_zpci"), 0);
    }
    s = Session({pci}, nested() ? VFIO_ZPCI_IOMMU : VFIO_TYPE1v2_IOMMU);
    ASSERT_TRUE(s.ok());
    tables.emplace(memory.data(), std::get<1>(GetParam()), kGuestSize);
    start_vmm();
    if (nested()) {
      ASSERT_OK(map_dma(s.container(), memory.data(), 0, kGuestSize));
      ASSERT_OK(
          zpci_register(s.container(), kFh, s.group(), *tables, kPba, kPal));
    }
    tables->map(kQueueIova, kQueue);
    ASSERT_EQ(vmm->refresh(kQueueIova, kPage), kRefreshed);
    rng.emplace(s.device(), memory.at(kQueue), kQueueIova);
    ASSERT_TRUE(rng->ok());
    buffers = RandomTarget(memory.at(kBuffers), kPages * kPage);
    buffers.wipe();
  }
  void start_vmm() {
    if (way() == Way::kIoctl)
      vmm = std::make_unique<IoctlVmm>(s.container());
    else if (way() == Way::kKvm)
      vmm = std::make_unique<KvmVmm>(s);
    else
      vmm = std::make_unique<PerPageVmm>(s.container(), memory, *tables);
  }
  // The driver resets the device before it is closed.
  void TearDown() override {
    rng.reset();
    s = Session();
    vmm.reset();
    if (refused) recover(pci);
    if (nested() && on_stock()) {
      EXPECT_OK(unload_module("vfio_zpci"));
    }
  }

  void map(uint64_t iova, uint64_t page, uint32_t prot = kGuestReadWrite) {
    tables->map(iova, kBuffers + page * kPage, prot);
  }
  // Bytes that the device writes at an IOVA arrive in a page of the buffers.
  void expect_in(uint64_t iova, uint64_t page, uint32_t size = 64) {
    buffers.wipe();
    EXPECT_EQ(rng->fill(iova, size), int64_t{size}) << std::hex << iova;
    buffers.expect_only(page * kPage + iova % kPage, size);
  }
  void fill_in_vain(uint64_t iova) {
    buffers.wipe();
    refused = true;
    rng->fill(iova, 64, 500);
    EXPECT_TRUE(buffers.blank()) << std::hex << iova;
  }

  PciDevice pci;
  Memory memory = Memory::aligned(kGuestSize);
  Session s;
  std::optional<GuestTables> tables;
  std::unique_ptr<Vmm> vmm;
  std::optional<VirtioRng> rng;
  RandomTarget buffers;
  bool refused = false;
};

std::string name_of(const testing::TestParamInfo<Param>& info) {
  const Way way = std::get<0>(info.param);
  const char* name = way == Way::kIoctl ? "Ioctl"
                     : way == Way::kKvm ? "Kvm"
                                        : "PerPage";
  return name + std::string(std::get<1>(info.param) == VFIO_ZPCI_FORMAT_S390
                                ? "S390"
                                : "Vtd");
}

const auto kFormats =
    testing::Values(VFIO_ZPCI_FORMAT_S390, VFIO_ZPCI_FORMAT_VTD);
INSTANTIATE_TEST_SUITE_P(
    VirtioRng, VirtioRngGuest,
    testing::Combine(testing::Values(Way::kIoctl, Way::kKvm, Way::kPerPage),
                     kFormats),
    name_of);

// In an order of their own, and all in one refresh.
TEST_P(VirtioRngGuest, BytesArriveWhereTheTableLeads) {
  for (uint64_t i = 0; i < kPages; i++) map(kIova + i * kPage, i * 5 % kPages);
  ASSERT_EQ(vmm->refresh(kIova, kPages * kPage), kRefreshed);
  EXPECT_EQ(vmm->calls(), nested() ? 1u : kPages);
  for (uint64_t i = 0; i < kPages; i++)
    expect_in(kIova + i * kPage + 8 * i, i * 5 % kPages);

  buffers.wipe();
  ASSERT_EQ(rng->fill(kIova + kPage - 64, 128), 128) << "over two pages";
  EXPECT_TRUE(buffers.random_at(kPage - 64, 64));
  EXPECT_TRUE(buffers.random_at(5 * kPage, 64));
  EXPECT_TRUE(buffers.blank_but(kPage - 64, 4 * kPage + 128));

  // More than the queue has entries.
  for (uint64_t i = 0; i < 20; i++) expect_in(kIova + 64 * i, 0);
}

TEST_P(VirtioRngGuest, AFrameIsFollowed) {
  const uint64_t frame = tables->frame_size();
  tables->map_frame(kIova, kBuffers);
  ASSERT_EQ(vmm->refresh(kIova, frame), kRefreshed);
  EXPECT_EQ(vmm->calls(), nested() ? 1u : frame / kPage);
  expect_in(kIova + 3 * kPage, 3, kPage);
  expect_in(kIova + 9 * kPage + 8, 9);
}

TEST_P(VirtioRngGuest, ChangesAreFollowedByTheRefresh) {
  map(kIova, 2);
  ASSERT_EQ(vmm->refresh(kIova, kPage), kRefreshed);
  expect_in(kIova, 2);
  map(kIova, 7);
  expect_in(kIova, 2);
  ASSERT_EQ(vmm->refresh(kIova, kPage), kRefreshed);
  EXPECT_EQ(vmm->calls(), nested() ? 1u : 2u);
  expect_in(kIova, 7);
  tables->unmap(kIova);
  map(kIova + kPage, 4);
  ASSERT_EQ(vmm->refresh(kIova, 2 * kPage), kRefreshed);
  expect_in(kIova + kPage, 4);
  fill_in_vain(kIova);
}

// The whole region leaves the table, with all pages below it.
TEST_P(VirtioRngGuest, AnInvalidRegionIsNotReached) {
  for (uint64_t i = 0; i < 4; i++)
    map(kIova + i * 16 * tables->frame_size(), i);
  ASSERT_EQ(vmm->refresh(kIova, 64 * tables->frame_size()), kRefreshed);
  expect_in(kIova + 32 * tables->frame_size(), 2);
  tables->unmap(kIova, 2);
  ASSERT_EQ(vmm->refresh(kIova, 64 * tables->frame_size()), kRefreshed);
  EXPECT_EQ(vmm->calls(), nested() ? 1u : 4u);
  if (nested()) {
    EXPECT_EQ(zpci_statistics(s.container(), kFh).pages, 1u) << "the queue";
  }
  fill_in_vain(kIova + 32 * tables->frame_size());
}

TEST_P(VirtioRngGuest, ProtectionIsFollowed) {
  map(kIova, 1, kGuestRead);
  ASSERT_EQ(vmm->refresh(kIova, kPage), kRefreshed);
  map(kIova, 1);
  ASSERT_EQ(vmm->refresh(kIova, kPage), kRefreshed);
  expect_in(kIova, 1);
  map(kIova, 1, kGuestRead);
  ASSERT_EQ(vmm->refresh(kIova, kPage), kRefreshed);
  fill_in_vain(kIova);
}

// Type1 knows no tables.
class VirtioRngGuestError : public VirtioRngGuest {};

INSTANTIATE_TEST_SUITE_P(
    VirtioRng, VirtioRngGuestError,
    testing::Combine(testing::Values(Way::kIoctl, Way::kKvm), kFormats),
    name_of);

// Each error of the table, as its event says it to the guest; when the guest
// has put it right, the device goes on.
TEST_P(VirtioRngGuestError, IsAnEvent) {
  const auto expect_event = [&](uint64_t start, uint64_t length, uint32_t code,
                                uint64_t address) {
    EXPECT_EQ(vmm->refresh(start, length),
              (ZpciRefreshed{0, VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR}));
    EXPECT_EQ(
        vmm->refresh(start, length),
        (ZpciRefreshed{0, VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_IN_ERROR}));
    const vfio_zpci_event event =
        zpci_event(s.container(), kFh, VFIO_ZPCI_EVENT_CLEAR);
    EXPECT_EQ(event.fh, kFh);
    EXPECT_EQ(event.fid, kFh + 1000);
    EXPECT_EQ(event.code, code);
    EXPECT_EQ(event.address, address);
    EXPECT_OK(zpci_set_state(s.container(), kFh, VFIO_ZPCI_STATE_ENABLED));
    map(kIova, 3);
    EXPECT_EQ(vmm->refresh(kIova, kPage), kRefreshed);
    expect_in(kIova, 3);
  };
  expect_event(kPba - kPage, 2 * kPage, VFIO_ZPCI_EVENT_OUT_OF_RANGE,
               kPba - kPage);
  expect_event(kPal, 2, VFIO_ZPCI_EVENT_OUT_OF_RANGE, kPal);
  tables->map(kIova + kPage, kGuestSize);
  expect_event(kIova, 2 * kPage, VFIO_ZPCI_EVENT_ENTRY, kIova + kPage);
  if (tables->format() == VFIO_ZPCI_FORMAT_S390) {
    tables->write(kIova, 0, 0);
    expect_event(kIova, kPage, VFIO_ZPCI_EVENT_ENTRY, kIova);
  }
}

}  // namespace
}  // namespace stack
