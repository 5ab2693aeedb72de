// SPDX-License-Identifier: GPL-2.0
//
// What vfio.ko does for drivers: capability chains, the checks of
// VFIO_DEVICE_SET_IRQS, and questions about files.
#include <string.h>

#include "testdev.hpp"

using namespace stack;

namespace {

class InfoCaps : public OneTestdev {
 protected:
  struct Chain {
    long result;
    std::vector<uint8_t> bytes;
  };
  Chain build(std::vector<vfio_testdev_cap> caps, uint32_t shift) {
    Chain chain{0, std::vector<uint8_t>(64 * 1024, 0xee)};
    vfio_testdev_caps request{};
    request.caps = reinterpret_cast<uintptr_t>(caps.data());
    request.ncaps = static_cast<uint32_t>(caps.size());
    request.buf = reinterpret_cast<uintptr_t>(chain.bytes.data());
    request.buf_size = static_cast<uint32_t>(chain.bytes.size());
    request.shift = shift;
    chain.result = call(s->device(), VFIO_TESTDEV_CAPS, &request);
    chain.bytes.resize(chain.result < 0 ? 0 : request.size);
    return chain;
  }
  static vfio_testdev_cap cap(uint16_t id, uint16_t version, uint32_t size,
                              uint8_t fill = 0, uint8_t copy = 0) {
    vfio_testdev_cap c{};
    c.id = id;
    c.version = version;
    c.size = size;
    c.fill = fill;
    c.copy = copy;
    return c;
  }
};

TEST_F(InfoCaps, ChainsLinkInOrder) {
  const std::vector<vfio_testdev_cap> caps = {
      cap(1, 1, 8), cap(0x1234, 7, 24, 0xa5), cap(3, 2, 4096, 0x5a, 1),
      cap(4, 1, 16), cap(1, 9, 40, 1, 1)};
  for (uint32_t shift : {~0u, 0u, 40u, 4096u}) {
    Chain chain = build(caps, shift);
    ASSERT_OK(chain.result);
    uint32_t base = shift == ~0u ? 0 : shift, at = 0;
    for (size_t i = 0; i < caps.size(); i++) {
      ASSERT_LE(at + sizeof(vfio_info_cap_header), chain.bytes.size());
      vfio_info_cap_header header;
      memcpy(&header, chain.bytes.data() + at, sizeof header);
      EXPECT_EQ(header.id, caps[i].id) << "capability " << i;
      EXPECT_EQ(header.version, caps[i].version) << "capability " << i;
      for (uint32_t b = sizeof header; b < caps[i].size; b++)
        ASSERT_EQ(chain.bytes[at + b], caps[i].fill)
            << "byte " << b << " of capability " << i;
      uint32_t next = at + caps[i].size;
      bool last = i + 1 == caps.size();
      EXPECT_EQ(header.next, last ? 0 : next + base)
          << "capability " << i << " with shift " << shift;
      at = next;
    }
    EXPECT_EQ(chain.bytes.size(), at);
  }
}

// A capability begins at a multiple of 8, whatever the sizes of those before
// it; what fills the gap is zero, and the chain's size counts it.
TEST_F(InfoCaps, BeginAligned) {
  std::vector<vfio_testdev_cap> caps;
  for (uint32_t size = 8; size <= 17; size++)
    caps.push_back(cap(static_cast<uint16_t>(size), 1, size, 0xff, size % 2));
  for (uint32_t shift : {~0u, 24u}) {
    // The heap's memory has been filled, so that gaps do not happen to be 0.
    for (int i = 0; i < 32; i++) build({cap(1, 1, 160, 0xff)}, 0);
    Chain chain = build(caps, shift);
    ASSERT_OK(chain.result);
    const uint32_t base = shift == ~0u ? 0 : shift;
    size_t at = 0;
    for (size_t i = 0; i < caps.size(); i++) {
      const size_t end = at + caps[i].size, next = (end + 7) / 8 * 8;
      ASSERT_LE(next, chain.bytes.size()) << "capability " << i;
      vfio_info_cap_header header;
      memcpy(&header, chain.bytes.data() + at, sizeof header);
      EXPECT_EQ(header.id, caps[i].id);
      for (size_t b = end; b < next; b++)
        EXPECT_EQ(chain.bytes[b], 0) << "the gap behind capability " << i;
      EXPECT_EQ(header.next, i + 1 == caps.size() ? 0 : next + base);
      at = next;
    }
    EXPECT_EQ(chain.bytes.size(), at);
  }
}

TEST_F(InfoCaps, OneCapabilityEndsTheChainItself) {
  Chain chain = build({cap(5, 1, 8)}, 64);
  ASSERT_OK(chain.result);
  ASSERT_EQ(chain.bytes.size(), 8u);
  vfio_info_cap_header header;
  memcpy(&header, chain.bytes.data(), sizeof header);
  EXPECT_EQ(header.next, 0u);
}

// Memory from the heap must not come out: fill it, then ask for clean bytes.
TEST_F(InfoCaps, PayloadsAreCleared) {
  for (int i = 0; i < 32; i++) build({cap(1, 1, 1024, 0xff)}, 0);
  Chain chain = build({cap(1, 1, 1024), cap(2, 1, 1024)}, 0);
  ASSERT_OK(chain.result);
  ASSERT_EQ(chain.bytes.size(), 2048u);
  for (size_t cap : {0u, 1024u})
    for (size_t i = sizeof(vfio_info_cap_header); i < 1024; i++)
      ASSERT_EQ(chain.bytes[cap + i], 0) << "byte " << cap + i;
}

class SetIrqs : public OneTestdev {};

TEST_F(SetIrqs, Validation) {
  constexpr uint32_t kNone = VFIO_IRQ_SET_DATA_NONE;
  constexpr uint32_t kBool = VFIO_IRQ_SET_DATA_BOOL;
  constexpr uint32_t kEvent = VFIO_IRQ_SET_DATA_EVENTFD;
  constexpr uint32_t kTrigger = VFIO_IRQ_SET_ACTION_TRIGGER;
  constexpr uint32_t kSize = sizeof(vfio_irq_set);
  constexpr uint64_t kUntouched = ~0ull;
  struct Case {
    const char* name;
    uint32_t argsz, flags, index, start, count;
    int num_irqs, max_type;
    bool want_size;
    int ret;
    uint64_t size;
  };
  const Case cases[] = {
      {"none", kSize, kNone | kTrigger, 0, 0, 1, 1, 1, true, 0, 0},
      {"none, no size asked", kSize, kNone | kTrigger, 0, 0, 1, 1, 1, false, 0,
       kUntouched},
      {"none, count 0", kSize, kNone | kTrigger, 0, 0, 0, 1, 1, true, 0, 0},
      {"all of eight", kSize, kNone | kTrigger, 2, 0, 8, 8, 3, true, 0, 0},
      {"bool", kSize + 8, kBool | kTrigger, 0, 0, 8, 8, 1, true, 0, 8},
      {"bool, size not asked", kSize + 8, kBool | kTrigger, 0, 0, 8, 8, 1,
       false, -EINVAL, kUntouched},
      {"bool, one byte short", kSize + 7, kBool | kTrigger, 0, 0, 8, 8, 1, true,
       -EINVAL, 0},
      {"bool, count 0", kSize, kBool | kTrigger, 0, 0, 0, 8, 1, true, 0, 0},
      {"eventfd", kSize + 16, kEvent | kTrigger, 0, 4, 4, 8, 1, true, 0, 16},
      {"eventfd, one byte short", kSize + 15, kEvent | kTrigger, 0, 4, 4, 8, 1,
       true, -EINVAL, 0},
      {"eventfd, more than enough", kSize + 64, kEvent | kTrigger, 0, 4, 4, 8,
       1, true, 0, 16},
      {"argsz one short of the header", kSize - 1, kNone | kTrigger, 0, 0, 1, 1,
       1, true, -EINVAL, kUntouched},
      {"argsz 0", 0, kNone | kTrigger, 0, 0, 1, 1, 1, true, -EINVAL,
       kUntouched},
      {"index at the end", kSize, kNone | kTrigger, 1, 0, 1, 1, 1, true,
       -EINVAL, kUntouched},
      {"start at the end", kSize, kNone | kTrigger, 0, 8, 0, 8, 1, true,
       -EINVAL, 0},
      {"start beyond the end", kSize, kNone | kTrigger, 0, 9, 1, 8, 1, true,
       -EINVAL, 0},
      {"count one too many", kSize, kNone | kTrigger, 0, 0, 9, 8, 1, true,
       -EINVAL, 0},
      {"start and count one too many", kSize, kNone | kTrigger, 0, 7, 2, 8, 1,
       true, -EINVAL, 0},
      {"start and count wrap around", kSize, kNone | kTrigger, 0, 2, 0xfffffffe,
       8, 1, true, -EINVAL, kUntouched},
      {"start and count reach the top", kSize, kNone | kTrigger, 0, 1,
       0xfffffffe, 8, 1, true, -EINVAL, kUntouched},
      {"start and count stay below it", kSize, kNone | kTrigger, 0, 1,
       0xfffffffd, 8, 1, true, -EINVAL, 0},
      {"no interrupts at all", kSize, kNone | kTrigger, 0, 0, 0, 0, 1, true,
       -EINVAL, 0},
      {"no type of data", kSize, kTrigger, 0, 0, 1, 1, 1, true, -EINVAL, 0},
      {"two types of data", kSize + 4, kNone | kBool | kTrigger, 0, 0, 1, 1, 1,
       true, -EINVAL, 0},
      {"no action", kSize, kNone, 0, 0, 1, 1, 1, true, 0, 0},
      {"three actions", kSize, kNone | VFIO_IRQ_SET_ACTION_TYPE_MASK, 0, 0, 1,
       1, 1, true, 0, 0},
      {"unknown flag", kSize, kNone | kTrigger | 1u << 6, 0, 0, 1, 1, 1, true,
       -EINVAL, kUntouched},
      {"unknown flag at the top", kSize, kNone | kTrigger | 1u << 31, 0, 0, 1,
       1, 1, true, -EINVAL, kUntouched},
  };
  for (const Case& c : cases) {
    vfio_testdev_irqs r{};
    r.argsz = c.argsz;
    r.flags = c.flags;
    r.index = c.index;
    r.start = c.start;
    r.count = c.count;
    r.num_irqs = c.num_irqs;
    r.max_irq_type = c.max_type;
    r.want_size = c.want_size;
    ASSERT_OK(call(s->device(), VFIO_TESTDEV_IRQS, &r)) << c.name;
    EXPECT_EQ(errno_name(r.ret), errno_name(c.ret)) << c.name;
    EXPECT_EQ(r.data_size, c.size) << c.name;
  }
}

class FileHelpers : public testing::Test {
 protected:
  vfio_testdev_file ask(int device, int fd) {
    vfio_testdev_file f{};
    f.fd = fd;
    EXPECT_OK(call(device, VFIO_TESTDEV_FILE, &f));
    return f;
  }
};

TEST_F(FileHelpers, KnowAGroupFromOtherFiles) {
  Testdev a, b;
  ASSERT_TRUE(a.ok() && b.ok());
  TestdevSession s({&a, &b});
  ASSERT_TRUE(s.ok());
  Fd plain = make_memfd(kPage);
  const struct {
    const char* name;
    int fd;
    uint32_t is_group, has_dev;
  } cases[] = {
      {"its own group", s.group(0), 1, 1},
      {"another device's group", s.group(1), 1, 0},
      {"the container", s.container(), 0, 0},
      {"its own device fd", s.device(0), 0, 0},
      {"a file that has nothing to do with vfio", plain, 0, 0},
  };
  for (const auto& c : cases) {
    vfio_testdev_file f = ask(s.device(0), c.fd);
    EXPECT_EQ(f.is_group, c.is_group) << c.name;
    EXPECT_EQ(f.has_dev, c.has_dev) << c.name;
    EXPECT_EQ(f.has_iommu_group, 0u) << c.name;
  }
}

TEST_F(FileHelpers, FilesThatAreNotVfiosAreCoherent) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  Fd plain = make_memfd(kPage);
  EXPECT_EQ(ask(s.device(), s.container()).enforced_coherent, 1u);
  EXPECT_EQ(ask(s.device(), plain).enforced_coherent, 1u);
}

// The emulated VT-d of this machine does not enforce coherency by itself, and
// the testdev has no IOMMU. From 6.2 on the kernel knows that of a device.
TEST_F(FileHelpers, CoherencyIsTheDevices) {
  REQUIRE_DEVICES(1);
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(ask(s.device(), s.group()).enforced_coherent, 0u);
  EXPECT_EQ(ask(s.device(), s.device()).enforced_coherent, 0u);
  Fd group = open_group(lone_devices()[0]);
  ASSERT_OK(group.get());
  EXPECT_EQ(ask(s.device(), group).enforced_coherent, 0u)
      << "also before it has a container";
  Fd container = open_container();
  ASSERT_OK(set_container(group, container));
  EXPECT_EQ(ask(s.device(), group).enforced_coherent, 0u);
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  EXPECT_EQ(ask(s.device(), group).enforced_coherent, 0u);
}

// Before 6.2 only a domain tells, so that it is the container that is asked.
TEST_F(FileHelpers, CoherencyIsTheContainers) {
  REQUIRE_DEVICES(1);
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(ask(s.device(), s.group()).enforced_coherent, 1u)
      << "there is no hardware in it";
  EXPECT_EQ(ask(s.device(), s.device()).enforced_coherent, 1u);
  Fd group = open_group(lone_devices()[0]);
  ASSERT_OK(group.get());
  EXPECT_EQ(ask(s.device(), group).enforced_coherent, 1u)
      << "a group without a container proves nothing";
  Fd container = open_container();
  ASSERT_OK(set_container(group, container));
  long before = ask(s.device(), group).enforced_coherent;
  observe("coherent_without_iommu", static_cast<uint64_t>(before));
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  long cc = call(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU);
  EXPECT_EQ(ask(s.device(), group).enforced_coherent, static_cast<uint32_t>(cc))
      << "the same answer as the container's extension";
  observe_result("dma_cc", cc);
}

}  // namespace
