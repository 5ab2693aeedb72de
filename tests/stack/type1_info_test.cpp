// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_GET_INFO: sizes of the argument, the capability chain, and that
// the IOVA ranges are the aperture less the reserved regions of sysfs.
#include <string.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "harness.hpp"

namespace stack {
namespace {

using Info = vfio_iommu_type1_info;
using Type1Info = OneDevice;

constexpr uint32_t kMinimum = offsetof(Info, iova_pgsizes) + 8;  // 16
constexpr uint32_t kWithCaps = offsetof(Info, cap_offset) + 4;   // 20

uint32_t full_size(int container) {
  Info info{};
  info.argsz = sizeof info;
  EXPECT_OK(call(container, VFIO_IOMMU_GET_INFO, &info));
  return info.argsz;
}

TEST_F(Type1Info, ArgszTooShortIsEINVAL) {
  for (uint32_t argsz : {0u, 4u, 8u, kMinimum - 1}) {
    Info info;
    memset(&info, 0x5a, sizeof info);
    info.argsz = argsz;
    EXPECT_ERR(EINVAL, call(s.container(), VFIO_IOMMU_GET_INFO, &info))
        << argsz;
    EXPECT_EQ(info.flags, 0x5a5a5a5au) << "untouched";
  }
}

TEST_F(Type1Info, BadPointerIsEFAULT) {
  EXPECT_ERR(EFAULT, call(s.container(), VFIO_IOMMU_GET_INFO, 8ul));
  Memory ro(kPage);
  reinterpret_cast<Info*>(ro.data())->argsz = kPage;
  mprotect(ro.data(), kPage, PROT_READ);
  EXPECT_ERR(EFAULT, call(s.container(), VFIO_IOMMU_GET_INFO, ro.data()));
}

TEST_F(Type1Info, CapsBeyondThePageIsEFAULT) {
  Memory two(2 * kPage);
  munmap(two.at(kPage), kPage);
  auto* info = reinterpret_cast<Info*>(two.at(kPage - sizeof(Info)));
  info->argsz = kPage;
  EXPECT_ERR(EFAULT, call(s.container(), VFIO_IOMMU_GET_INFO, info));
}

// What is written for each argsz; the rest of the buffer stays as it was.
class InfoSize : public testing::TestWithParam<int> {};

TEST_P(InfoSize, WritesWhatFits) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]});
  uint32_t full = full_size(s.container());
  ASSERT_GT(full, sizeof(Info));
  uint32_t argsz = GetParam() > 0 ? GetParam() : full + GetParam() + 1;
  std::vector<uint8_t> buffer(full + 256, 0xa5);
  auto* info = reinterpret_cast<Info*>(buffer.data());
  info->argsz = argsz;
  ASSERT_OK(call(s.container(), VFIO_IOMMU_GET_INFO, info));
  observe("flags", info->flags);
  EXPECT_EQ(info->flags, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS);
  EXPECT_EQ(info->argsz, std::max(argsz, full));
  // As much of the struct as fits, with its padding.
  uint32_t written = std::min<uint32_t>(argsz, sizeof(Info));
  if (argsz >= full) {
    EXPECT_EQ(info->cap_offset, sizeof(Info));
    written = full;
  } else if (argsz >= kWithCaps) {
    EXPECT_EQ(info->cap_offset, 0u);
  }
  EXPECT_TRUE(std::all_of(buffer.begin() + written, buffer.end(),
                          [](uint8_t b) { return b == 0xa5; }))
      << "nothing past byte " << written;
}

// 0: one past the full size; -1: the full size; -2: one short of it.
INSTANTIATE_TEST_SUITE_P(Argsz, InfoSize,
                         testing::Values(16, 17, 19, 20, 23, 24, 25, 40, -2, -1,
                                         0),
                         [](const auto& info) {
                           return info.param > 0
                                      ? "b" + std::to_string(info.param)
                                  : info.param == 0  ? "full_and_one"
                                  : info.param == -1 ? "full"
                                                     : "full_less_one";
                         });

TEST_F(Type1Info, PageSizes) {
  auto info = iommu_info(s.container());
  auto* head = reinterpret_cast<const Info*>(info.data());
  observe("iova_pgsizes", head->iova_pgsizes);
  EXPECT_TRUE(head->iova_pgsizes & kPage);
  EXPECT_FALSE(head->iova_pgsizes & (kPage - 1)) << "none below a page";
}

TEST_F(Type1Info, ChainIsWellFormed) {
  auto info = iommu_info(s.container());
  auto* head = reinterpret_cast<const Info*>(info.data());
  uint32_t offset = head->cap_offset, last = 0;
  std::string ids;
  while (offset) {
    ASSERT_GT(offset, last) << "forward only";
    ASSERT_EQ(offset % 4, 0u);
    ASSERT_LE(offset + sizeof(vfio_info_cap_header), info.size());
    auto* cap = reinterpret_cast<const vfio_info_cap_header*>(&info[offset]);
    EXPECT_EQ(cap->version, 1);
    ids += std::to_string(cap->id) + " ";
    last = offset;
    offset = cap->next;
  }
  observe("ids", ids);
  for (int id :
       {VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
        VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL})
    EXPECT_NE(find_cap(info, head->cap_offset, static_cast<uint16_t>(id)),
              nullptr)
        << id;
}

// A program may read 64-bit fields of a capability where they are.
TEST_F(Type1Info, CapabilitiesAreAligned) {
  auto info = iommu_info(s.container());
  auto* head = reinterpret_cast<const Info*>(info.data());
  EXPECT_EQ(info.size() % 8, 0u) << "argsz, padded at the end too";
  int caps = 0;
  for (uint32_t offset = head->cap_offset; offset; caps++) {
    EXPECT_EQ(offset % 8, 0u) << "capability " << caps;
    ASSERT_LE(offset + sizeof(vfio_info_cap_header), info.size());
    offset = reinterpret_cast<const vfio_info_cap_header*>(&info[offset])->next;
  }
  EXPECT_EQ(caps, 3);
  for (const IovaRange& r : iova_ranges(s.container()))
    EXPECT_LT(r.first, r.last) << "ranges are read right behind the padding";
}

TEST_F(Type1Info, NoTwoCallsDifferAndNoGarbage) {
  // Bytes between and behind the fields must not carry the kernel's memory:
  // every byte of one answer is that of the next, from buffers filled
  // differently.
  uint32_t full = full_size(s.container());
  std::vector<uint8_t> a(full, 0x00), b(full, 0xff);
  for (auto* v : {&a, &b}) {
    reinterpret_cast<Info*>(v->data())->argsz = full;
    Memory churn(64 * kPage);
    map_dma(s.container(), churn.data(), kFirstIova, churn.size());
    unmap_dma(s.container(), kFirstIova, churn.size());
    ASSERT_OK(call(s.container(), VFIO_IOMMU_GET_INFO, v->data()));
  }
  for (size_t i = 0; i < full; i++)
    if (i < kWithCaps || i >= sizeof(Info)) {
      EXPECT_EQ(a[i], b[i]) << "byte " << i;
    }
  std::string hex;
  char text[4];
  for (size_t i = sizeof(Info); i < full; i++) {
    snprintf(text, sizeof text, "%02x", a[i]);
    hex += text;
  }
  observe("caps", hex);
}

TEST_F(Type1Info, Migration) {
  auto info = iommu_info(s.container());
  auto* head = reinterpret_cast<const Info*>(info.data());
  auto* cap = reinterpret_cast<const vfio_iommu_type1_info_cap_migration*>(
      find_cap(info, head->cap_offset, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION));
  ASSERT_NE(cap, nullptr);
  observe("flags", cap->flags);
  observe("max_dirty_bitmap_size", cap->max_dirty_bitmap_size);
  EXPECT_EQ(cap->flags, 0u);
  EXPECT_EQ(cap->pgsize_bitmap, kPage);
  EXPECT_EQ(cap->max_dirty_bitmap_size, 1ull << 28);
}

TEST_F(Type1Info, DmaAvailCounts) {
  Memory m(kPage);
  EXPECT_EQ(dma_avail(s.container()), 65535u);
  map_dma(s.container(), m.data(), kFirstIova, kPage);
  EXPECT_EQ(dma_avail(s.container()), 65534u);
  map_dma(s.container(), m.data(), kFirstIova + kPage, kPage);
  EXPECT_EQ(dma_avail(s.container()), 65533u);
  unmap_dma(s.container(), kFirstIova, 2 * kPage);
  EXPECT_EQ(dma_avail(s.container()), 65535u);
}

TEST_F(Type1Info, IovaRangesAreTheApertureLessReserved) {
  auto ranges = iova_ranges(s.container());
  ASSERT_FALSE(ranges.empty());
  std::vector<IovaRange> reserved;
  std::ifstream in("/sys/kernel/iommu_groups/" + std::to_string(s.pci().group) +
                   "/reserved_regions");
  std::string first, last, type;
  while (in >> first >> last >> type)
    if (type != "direct-relaxable")
      reserved.push_back({strtoull(first.c_str(), nullptr, 0),
                          strtoull(last.c_str(), nullptr, 0)});
  ASSERT_FALSE(reserved.empty()) << "the MSI window at least";

  uint64_t at = 0;  // everything below is in a range or reserved
  for (size_t i = 0; i < ranges.size(); i++) {
    const IovaRange& r = ranges[i];
    observe("first" + std::to_string(i), r.first);
    observe("last" + std::to_string(i), r.last);
    EXPECT_LT(r.first, r.last);
    EXPECT_EQ(r.first % kPage, 0u);
    EXPECT_EQ((r.last + 1) % kPage, 0u);
    for (const IovaRange& bad : reserved)
      EXPECT_TRUE(bad.last < r.first || bad.first > r.last)
          << std::hex << bad.first << " is reserved";
    if (r.first != at) {
      bool covered = std::any_of(
          reserved.begin(), reserved.end(), [&](const IovaRange& bad) {
            return bad.first <= at && bad.last + 1 >= r.first;
          });
      EXPECT_TRUE(covered) << "a hole at " << std::hex << at
                           << " that nothing reserves";
    }
    at = r.last + 1;
  }
}

TEST_F(Type1Info, SecondGroupChangesNothingHere) {
  REQUIRE_DEVICES(2);
  auto before = iommu_info(s.container());
  Fd group = open_group(lone_devices()[1]);
  ASSERT_OK(set_container(group, s.container()));
  EXPECT_EQ(iommu_info(s.container()), before);
  ASSERT_OK(unset_container(group));
  EXPECT_EQ(iommu_info(s.container()), before);
}

TEST(Type1InfoV1, HasTheSameCapabilities) {
  REQUIRE_DEVICES(1);
  std::vector<uint8_t> v1, v2;
  v1 = iommu_info(Session({lone_devices()[0]}, VFIO_TYPE1_IOMMU).container());
  v2 = iommu_info(Session({lone_devices()[0]}, VFIO_TYPE1v2_IOMMU).container());
  EXPECT_FALSE(v1.empty());
  EXPECT_EQ(v1, v2);
}

}  // namespace
}  // namespace stack
