// SPDX-License-Identifier: GPL-2.0
//
// Memory behind a protection key. Keys are about what a thread's own loads and
// stores reach: a mapping for a device does not go by them, whoever pins it.
#include <sys/mman.h>

#include <string>

#include "harness.hpp"
#include "testdev.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = 0x100000000;
constexpr uint64_t kMiB = 1 << 20;

// A key of the process for the life of the object.
class ProtectionKey {
 public:
  explicit ProtectionKey(unsigned rights) : key_(pkey_alloc(0, rights)) {}
  ~ProtectionKey() {
    if (key_ >= 0) pkey_free(key_);
  }
  ProtectionKey(const ProtectionKey&) = delete;

  // -errno where the machine has no keys.
  long guard(const Memory& memory) const {
    if (key_ < 0) return -errno;
    return pkey_mprotect(memory.data(), memory.size(), PROT_READ | PROT_WRITE,
                         key_) < 0
               ? -errno
               : 0;
  }
  void set(unsigned rights) { pkey_set(key_, rights); }

 private:
  const int key_;
};

struct Rights {
  const char* name;
  unsigned rights;
};

struct Type1Pkey : OneDevice, testing::WithParamInterface<Rights> {};

TEST_P(Type1Pkey, DoesNotKeepDevicesOut) {
  Memory m(8 * kPage);
  m.touch(0x5a);
  ProtectionKey key(GetParam().rights);
  ASSERT_OK(key.guard(m));
  const uint64_t before = locked_pages();
  // One page goes a way of its own.
  for (uint64_t size : {kPage, m.size()}) {
    EXPECT_OK(map_dma(s.container(), m.data(), kIova, size));
    EXPECT_EQ(locked_pages(), before + size / kPage);
    EXPECT_EQ(unmap_dma(s.container(), kIova, size).size, size);
  }
  EXPECT_OK(map_dma(s.container(), m.data(), kIova, m.size(),
                    VFIO_DMA_MAP_FLAG_READ));
  EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
}

TEST_P(Type1Pkey, BetweenOtherMemory) {
  Memory m(1300 * kPage);
  m.touch(1);
  ProtectionKey key(GetParam().rights);
  Memory inner(600 * kPage, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0,
               m.at(300 * kPage));
  ASSERT_OK(key.guard(inner));
  EXPECT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
}

INSTANTIATE_TEST_SUITE_P(
    Key, Type1Pkey,
    testing::Values(Rights{"open", 0}, Rights{"no_access", PKEY_DISABLE_ACCESS},
                    Rights{"no_write", PKEY_DISABLE_WRITE}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_P(Type1Pkey, DevicesPinIt) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession emulated({&dev});
  ASSERT_TRUE(emulated.ok());
  Memory m(8 * kPage);
  m.touch(1);
  ProtectionKey key(GetParam().rights);
  ASSERT_OK(key.guard(m));
  ASSERT_OK(map_dma(emulated.container(), m.data(), kIova, m.size()));
  EXPECT_EQ(pin(emulated.device(), kIova, 1), 1);
  EXPECT_EQ(pin(emulated.device(), kIova + kPage, 7), 7);
  EXPECT_OK(unpin(emulated.device(), kIova, 8));
  EXPECT_EQ(unmap_dma(emulated.container(), kIova, m.size()).size, m.size());
}

// As large as several threads pin together, none of which has the caller's
// rights.
TEST_F(OneDevice, LargeMappingBehindAKey) {
  ScopedParam workers("vfio_iommu_type1", "pin_workers", "2");
  Memory m = Memory::aligned(256 * kMiB);
  ASSERT_TRUE(m.ok());
  ProtectionKey key(0);
  ASSERT_OK(key.guard(m));
  const uint64_t before = locked_pages();
  EXPECT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_EQ(locked_pages(), before + m.size() / kPage);
  EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
  key.set(PKEY_DISABLE_ACCESS);
  EXPECT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
}

}  // namespace
}  // namespace stack
