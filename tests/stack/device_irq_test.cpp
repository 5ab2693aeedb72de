// SPDX-License-Identifier: GPL-2.0
//
// SET_IRQS: what the core checks before the driver sees it, and interrupts
// that arrive on an eventfd. DEVICE_FEATURE on a device that has none.
#include <string.h>

#include <functional>

#include "harness.hpp"

namespace stack {
namespace {

struct SetIrqs {
  vfio_irq_set* operator->() { return reinterpret_cast<vfio_irq_set*>(bytes); }
  int* data() { return reinterpret_cast<int*>(bytes + sizeof(vfio_irq_set)); }
  alignas(8) uint8_t bytes[64] = {};
};

constexpr uint32_t kNone = VFIO_IRQ_SET_DATA_NONE;
constexpr uint32_t kBool = VFIO_IRQ_SET_DATA_BOOL;
constexpr uint32_t kEventfd = VFIO_IRQ_SET_DATA_EVENTFD;
constexpr uint32_t kTrigger = VFIO_IRQ_SET_ACTION_TRIGGER;
constexpr uint32_t kMask = VFIO_IRQ_SET_ACTION_MASK;
constexpr uint32_t kUnmask = VFIO_IRQ_SET_ACTION_UNMASK;

struct IrqCase {
  const char* name;
  int error;
  std::function<void(SetIrqs&)> change;
};

// From a good request: one eventfd for vector 0 of MSI.
const IrqCase kIrqCases[] = {
    {"good", 0, [](SetIrqs&) {}},
    {"argsz_0", EINVAL, [](SetIrqs& s) { s->argsz = 0; }},
    {"argsz_19", EINVAL, [](SetIrqs& s) { s->argsz = 19; }},
    {"argsz_no_data", EINVAL, [](SetIrqs& s) { s->argsz = 20; }},
    {"argsz_part_of_data", EINVAL, [](SetIrqs& s) { s->argsz = 23; }},
    {"argsz_over", 0, [](SetIrqs& s) { s->argsz = 64; }},
    {"index_5", EINVAL, [](SetIrqs& s) { s->index = 5; }},
    {"index_max", EINVAL, [](SetIrqs& s) { s->index = ~0u; }},
    {"start_past", EINVAL, [](SetIrqs& s) { s->start = 1; }},
    {"start_max", EINVAL, [](SetIrqs& s) { s->start = ~0u; }},
    {"count_2", EINVAL, [](SetIrqs& s) { s->count = 2, s->argsz = 28; }},
    {"count_max", EINVAL, [](SetIrqs& s) { s->count = ~0u; }},
    {"count_wraps", EINVAL, [](SetIrqs& s) { s->start = 1, s->count = ~0u; }},
    // No vector: refused by the driver, not by the core's check.
    {"count_0_with_data", ERANGE, [](SetIrqs& s) { s->count = 0; }},
    {"flags_0", EINVAL, [](SetIrqs& s) { s->flags = 0; }},
    {"flags_unknown", EINVAL, [](SetIrqs& s) { s->flags |= 1u << 6; }},
    {"flags_top", EINVAL, [](SetIrqs& s) { s->flags |= 1u << 31; }},
    {"no_data_type", EINVAL, [](SetIrqs& s) { s->flags = kTrigger; }},
    {"two_data_types", EINVAL, [](SetIrqs& s) { s->flags |= kBool; }},
    {"three_data_types", EINVAL, [](SetIrqs& s) { s->flags |= kBool | kNone; }},
    {"bad_eventfd", EBADF, [](SetIrqs& s) { *s.data() = 9999; }},
    {"not_an_eventfd", EINVAL, [](SetIrqs& s) { *s.data() = 0; }},
    {"index_absent", EINVAL,
     [](SetIrqs& s) { s->index = VFIO_PCI_MSIX_IRQ_INDEX; }},
};

class SetIrqsCheck : public OneDevice,
                     public testing::WithParamInterface<IrqCase> {};

TEST_P(SetIrqsCheck, Verdict) {
  Fd event = make_eventfd();
  SetIrqs arg;
  arg->argsz = sizeof(vfio_irq_set) + 4;
  arg->flags = kEventfd | kTrigger;
  arg->index = VFIO_PCI_MSI_IRQ_INDEX;
  arg->count = 1;
  *arg.data() = event;
  GetParam().change(arg);
  long result = call(s.device(), VFIO_DEVICE_SET_IRQS, arg.bytes);
  observe_result("set_irqs", result);
  EXPECT_ERR(GetParam().error, result);
}

INSTANTIATE_TEST_SUITE_P(All, SetIrqsCheck, testing::ValuesIn(kIrqCases),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

using DeviceIrq = OneDevice;

TEST_F(DeviceIrq, ActionsAreTheDrivers) {
  // Which combinations vfio-pci takes is its own affair; they reach it.
  int number = 0;
  for (uint32_t index : {0u, 1u, 3u, 4u})
    for (uint32_t data : {kNone, kBool})
      for (uint32_t action : {kTrigger, kMask, kUnmask, kMask | kUnmask}) {
        SetIrqs arg;
        arg->argsz = sizeof(vfio_irq_set) + 1;
        arg->flags = data | action;
        arg->index = index;
        arg->count = 1;
        observe_result("case" + std::to_string(number++),
                       call(s.device(), VFIO_DEVICE_SET_IRQS, arg.bytes));
      }
  EXPECT_EQ(number, 32);
}

TEST_F(DeviceIrq, BadPointerIsEFAULT) {
  EXPECT_ERR(EFAULT, call(s.device(), VFIO_DEVICE_SET_IRQS, 8ul));
  // The head in one page, the eventfd in one that is not there.
  Memory two(2 * kPage);
  munmap(two.at(kPage), kPage);
  auto* set =
      reinterpret_cast<vfio_irq_set*>(two.at(kPage - sizeof(vfio_irq_set)));
  set->argsz = sizeof *set + 4;
  set->flags = kEventfd | kTrigger;
  set->index = VFIO_PCI_MSI_IRQ_INDEX;
  set->start = 0;
  set->count = 1;
  EXPECT_ERR(EFAULT, call(s.device(), VFIO_DEVICE_SET_IRQS, set));
}

TEST_F(DeviceIrq, MsiArrivesOnTheEventfd) {
  Edu edu(s.device());
  Fd event = make_eventfd();
  ASSERT_OK(set_irq_eventfd(s.device(), VFIO_PCI_MSI_IRQ_INDEX, event));
  for (int i = 0; i < 3; i++) {
    edu.raise(1);
    EXPECT_EQ(wait_event(event, 5000), std::optional<uint64_t>(1)) << i;
    EXPECT_EQ(edu.irq_status(), 1u);
    edu.ack(1);
  }
  ASSERT_OK(disable_irqs(s.device(), VFIO_PCI_MSI_IRQ_INDEX));
  edu.raise(1);
  EXPECT_EQ(wait_event(event, 200), std::nullopt) << "after it was disabled";
  edu.ack(1);
}

TEST_F(DeviceIrq, MsiAtTheEndOfADma) {
  Edu edu(s.device());
  Fd event = make_eventfd();
  Memory m(kPage);
  ASSERT_OK(map_dma(s.container(), m.data(), 0, kPage));
  ASSERT_OK(set_irq_eventfd(s.device(), VFIO_PCI_MSI_IRQ_INDEX, event));
  strcpy(reinterpret_cast<char*>(m.data()), "with interrupt");
  ASSERT_TRUE(edu.fetch(0, 0, 32, true));
  EXPECT_EQ(wait_event(event, 5000), std::optional<uint64_t>(1));
  EXPECT_EQ(edu.irq_status(), 0x100u);
  edu.ack(0x100);
  ASSERT_TRUE(edu.store(512, 0, 32, true));
  EXPECT_EQ(wait_event(event, 5000), std::optional<uint64_t>(1));
  edu.ack(0x100);
  EXPECT_STREQ(reinterpret_cast<char*>(m.at(512)), "with interrupt");
}

TEST_F(DeviceIrq, IntxIsMaskedUntilUnmasked) {
  Edu edu(s.device());
  Fd event = make_eventfd();
  ASSERT_OK(set_irq_eventfd(s.device(), VFIO_PCI_INTX_IRQ_INDEX, event));
  edu.raise(1);
  EXPECT_TRUE(wait_event(event, 5000).has_value());
  edu.ack(1);
  edu.raise(1);
  EXPECT_EQ(wait_event(event, 200), std::nullopt) << "vfio-pci has masked it";
  SetIrqs arg;
  arg->argsz = sizeof(vfio_irq_set);
  arg->flags = kNone | kUnmask;
  arg->index = VFIO_PCI_INTX_IRQ_INDEX;
  arg->count = 1;
  EXPECT_OK(call(s.device(), VFIO_DEVICE_SET_IRQS, arg.bytes));
  EXPECT_TRUE(wait_event(event, 5000).has_value());
  edu.ack(1);
  EXPECT_OK(disable_irqs(s.device(), VFIO_PCI_INTX_IRQ_INDEX));
}

TEST_F(DeviceIrq, TriggeredBySoftware) {
  Fd event = make_eventfd();
  ASSERT_OK(set_irq_eventfd(s.device(), VFIO_PCI_MSI_IRQ_INDEX, event));
  SetIrqs arg;
  arg->argsz = sizeof(vfio_irq_set);
  arg->flags = kNone | kTrigger;
  arg->index = VFIO_PCI_MSI_IRQ_INDEX;
  arg->count = 1;
  EXPECT_OK(call(s.device(), VFIO_DEVICE_SET_IRQS, arg.bytes));
  EXPECT_EQ(wait_event(event, 1000), std::optional<uint64_t>(1));
}

TEST_F(DeviceIrq, RequestIndexTakesAnEventfd) {
  Fd event = make_eventfd();
  EXPECT_OK(set_irq_eventfd(s.device(), VFIO_PCI_REQ_IRQ_INDEX, event));
  EXPECT_EQ(wait_event(event, 50), std::nullopt);
}

TEST_F(DeviceIrq, CloseWithInterruptsEnabled) {
  Fd event = make_eventfd();
  ASSERT_OK(set_irq_eventfd(s.device(), VFIO_PCI_MSI_IRQ_INDEX, event));
  PciDevice edu = s.pci();
  s = Session();
  Session again({edu});
  ASSERT_TRUE(again.ok());
  EXPECT_OK(set_irq_eventfd(again.device(), VFIO_PCI_MSI_IRQ_INDEX, event));
}

// --- features -------------------------------------------------------------

using DeviceFeature = OneDevice;

long feature(int device, uint32_t flags, uint32_t argsz = 64) {
  alignas(8) uint8_t buffer[64] = {};
  auto* f = reinterpret_cast<vfio_device_feature*>(buffer);
  f->argsz = argsz;
  f->flags = flags;
  return call(device, VFIO_DEVICE_FEATURE, buffer);
}

constexpr uint32_t kGet = VFIO_DEVICE_FEATURE_GET;
constexpr uint32_t kSet = VFIO_DEVICE_FEATURE_SET;
constexpr uint32_t kProbe = VFIO_DEVICE_FEATURE_PROBE;

TEST_F(DeviceFeature, ArgszShortIsEINVAL) {
  for (uint32_t argsz : {0u, 4u, 7u})
    EXPECT_ERR(EINVAL, feature(s.device(), kProbe | kGet | 1, argsz));
  EXPECT_ERR(EFAULT, call(s.device(), VFIO_DEVICE_FEATURE, 8ul));
}

TEST_F(DeviceFeature, UnknownFlagsAreEINVAL) {
  for (uint32_t bit = 19; bit < 32; bit++)
    EXPECT_ERR(EINVAL, feature(s.device(), kProbe | kGet | 1 | 1u << bit))
        << bit;
}

TEST_F(DeviceFeature, GetAndSetTogetherNeedProbe) {
  EXPECT_ERR(EINVAL, feature(s.device(), kGet | kSet | 1));
  EXPECT_ERR(EINVAL, feature(s.device(), kGet | kSet | 0xfff0));
}

TEST_F(DeviceFeature, UnknownIsENOTTY) {
  for (uint32_t number : {100u, 0xffffu})
    for (uint32_t op : {kGet, kSet, kProbe | kGet, kProbe | kSet,
                        kProbe | kGet | kSet, kProbe})
      EXPECT_ERR(ENOTTY, feature(s.device(), op | number)) << number;
}

TEST_F(DeviceFeature, WhatThisDeviceHas) {
  // Migration and logging are the core's, and vfio-pci offers neither; the
  // rest is the driver's own.
  for (uint32_t number = 0; number <= 12; number++) {
    std::string name = std::to_string(number);
    observe_result(name + "_get", feature(s.device(), kProbe | kGet | number));
    observe_result(name + "_set", feature(s.device(), kProbe | kSet | number));
    observe_result(name + "_probe", feature(s.device(), kProbe | number));
  }
  for (uint32_t number :
       {VFIO_DEVICE_FEATURE_MIGRATION, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
        VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
        VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
        VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT})
    for (uint32_t op : {kGet, kSet, kProbe | kGet, kProbe | kSet})
      EXPECT_ERR(ENOTTY, feature(s.device(), op | number)) << number;
}

}  // namespace
}  // namespace stack
