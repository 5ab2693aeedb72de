// SPDX-License-Identifier: GPL-2.0
//
// What debugfs shows of containers and devices, and that it may be read at any
// time: while there are very many mappings, while groups come and go, and with
// a file that stays open when its container has gone.
#include "debugfs.hpp"

#include <string.h>

#include <atomic>
#include <thread>

#include "merge.hpp"
#include "nested.hpp"
#include "testdev.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x40000000;

std::string hex(uint64_t value, int width = 0) {
  char text[24];
  snprintf(text, sizeof text, "0x%0*llx", width,
           static_cast<unsigned long long>(value));
  return text;
}

std::string mapping_line(uint64_t iova, const Memory& m, const char* prot,
                         const std::string& rest) {
  return hex(iova, 16) + "-" + hex(iova + m.size() - 1, 16) + " " + prot +
         " vaddr " + hex(reinterpret_cast<uint64_t>(m.data())) + " pid " +
         std::to_string(getpid()) + " " + rest;
}

class DebugFs : public testing::Test {
 protected:
  void SetUp() override {
    mount_debugfs();
    REQUIRE_DEVICES(1);
    s = Session({lone_devices()[0]});
    ASSERT_TRUE(s.ok());
    ASSERT_EQ(my_containers().size(), 1u);
    dir = my_containers()[0];
  }
  std::vector<std::string> lines(const std::string& file) {
    return lines_of(read_all(dir + file));
  }

  Session s;
  std::string dir;
};

TEST_F(DebugFs, OwnerAndGroups) {
  EXPECT_EQ(lines("owner")[0], "pid " + std::to_string(getpid()));
  EXPECT_EQ(lines("owner")[1].substr(0, 5), "comm ");
  const PciDevice& pci = s.pci();
  const std::vector<std::string> groups = lines("groups");
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0],
            "group " + std::to_string(pci.group) + " type iommu merged 0");
  EXPECT_EQ(groups[1],
            "device " + pci.bdf + " driver vfio-pci opens 1 gate none");
  ASSERT_EQ(lines("domains").size(), 1u);
  EXPECT_NE(lines("domains")[0].find(" groups " + std::to_string(pci.group)),
            std::string::npos);

  const std::string user = std::string(kVfioDebugfs) + "/" + pci.bdf + "/user";
  EXPECT_TRUE(has_line(user, "opens 1"));
  EXPECT_TRUE(has_line(user, "pid " + std::to_string(getpid())));
  s.device_fd().reset();
  EXPECT_TRUE(has_line(user, "opens 0"));
  EXPECT_FALSE(has_line(user, "pid " + std::to_string(getpid())));
}

TEST_F(DebugFs, Mappings) {
  Memory a(4 * kPage), b(kPage);
  a.touch(1);
  b.touch(1);
  ASSERT_OK(map_dma(s.container(), b.data(), kIova + kGiB, b.size(),
                    VFIO_DMA_MAP_FLAG_READ));
  ASSERT_OK(map_dma(s.container(), a.data(), kIova, a.size()));
  const std::vector<std::string> mappings = lines("mappings");
  ASSERT_EQ(mappings.size(), 2u);
  EXPECT_EQ(mappings[0], mapping_line(kIova, a, "rw",
                                      "pinned 4 charged 4 external 0 settled"));
  EXPECT_EQ(mappings[1], mapping_line(kIova + kGiB, b, "r-",
                                      "pinned 1 charged 1 external 0 settled"));
  for (const char* line :
       {"iommu vfio-iommu-type1", "interface v2", "mappings 2", "bytes 20480",
        "pinned_pages 5", "charged_pages 5", "external_pages 0",
        "dirty_tracking 0"})
    EXPECT_TRUE(has_line(dir + "summary", line)) << line;
  EXPECT_TRUE(has_line(dir + "summary",
                       "locked_pages " + std::to_string(locked_pages())));

  EXPECT_EQ(unmap_dma(s.container(), kIova, a.size()).size, a.size());
  EXPECT_EQ(lines("mappings").size(), 1u);
  EXPECT_TRUE(has_line(dir + "statistics", "mapped 2 bytes 20480"));
  EXPECT_TRUE(has_line(dir + "statistics", "unmapped 1 bytes 16384"));
  EXPECT_TRUE(has_line(dir + "statistics", "flushes 1"));
}

TEST_F(DebugFs, CallsThatFail) {
  Memory m(kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_ERR(EEXIST, map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_ERR(EEXIST, map_dma(s.container(), m.data(), kIova, m.size()));
  // Nothing is mapped there in the process.
  EXPECT_ERR(EFAULT, map_dma(s.container(), reinterpret_cast<void*>(kPage),
                             kIova + kGiB, kPage));
  EXPECT_ERR(EINVAL, unmap_dma(s.container(), kIova, 1).result);
  EXPECT_ERR(ENOTTY, call(s.container(), 0x3b99));
  for (const char* line :
       {"failed map EEXIST 2", "failed map EFAULT 1", "failed unmap EINVAL 1",
        "failed other ENOTTY 1", "mapped 1 bytes 4096", "unmapped 0 bytes 0"})
    EXPECT_TRUE(has_line(dir + "statistics", line)) << line;
}

TEST_F(DebugFs, VeryManyMappings) {
  constexpr size_t kMany = 65535;
  Memory m(kPage);
  m.touch(1);
  for (size_t i = 0; i < kMany; i++)
    ASSERT_OK(map_dma(s.container(), m.data(), kIova + 2 * i * kPage, kPage));
  EXPECT_ERR(ENOSPC, map_dma(s.container(), m.data(), kIova - kPage, kPage));

  // Pieces of lines, and other mappings come and go meanwhile, below all
  // others.
  std::atomic<bool> stop = false;
  unmap_dma(s.container(), kIova, kPage);
  std::thread mapper([&] {
    while (!stop) {
      EXPECT_OK(map_dma(s.container(), m.data(), kIova, kPage));
      EXPECT_OK(unmap_dma(s.container(), kIova, kPage).result);
    }
  });
  const std::vector<std::string> mappings =
      lines_of(read_all(dir + "mappings", 1000));
  stop = true;
  mapper.join();

  size_t i = 1;
  for (const std::string& line : mappings) {
    const uint64_t iova = kIova + 2 * i * kPage;
    if (line.starts_with(hex(kIova, 16))) continue;
    ASSERT_TRUE(line.starts_with(hex(iova, 16) + "-")) << line << ", " << i;
    i++;
  }
  EXPECT_EQ(i, kMany);
  EXPECT_TRUE(has_line(dir + "summary", "mappings 65534"));
  EXPECT_TRUE(has_line(dir + "summary", "available 1"));
}

TEST_F(DebugFs, AFileThatStaysOpen) {
  Memory m(kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, kPage));
  std::vector<Fd> files;
  for (const char* name :
       {"owner", "groups", "domains", "summary", "mappings", "statistics"}) {
    files.push_back(open_path(dir + name, O_RDONLY));
    ASSERT_OK(files.back().get()) << name;
  }
  char byte;
  EXPECT_EQ(read(files[4], &byte, 1), 1);
  s = Session();
  for (const Fd& file : files) {
    EXPECT_EQ(read(file, &byte, 1), -1);
    EXPECT_EQ(errno, EIO);
  }
  EXPECT_FALSE(exists(dir));
}

TEST_F(DebugFs, ReadersAndAContainerThatGoes) {
  Memory m(16 * kPage);
  m.touch(1);
  std::atomic<bool> stop = false;
  const auto reader = [&] {
    while (!stop)
      for (const std::string& folder : my_containers())
        for (const char* name :
             {"groups", "domains", "summary", "mappings", "statistics"})
          read_all(folder + name, 100);
  };
  std::thread first(reader), second(reader);
  const std::vector<PciDevice> devices = {s.pci()};
  s = Session();
  for (int i = 0; i < 40; i++) {
    Session session(devices);
    ASSERT_TRUE(session.ok());
    for (uint64_t page = 0; page < 16; page++)
      EXPECT_OK(map_dma(session.container(), m.at(page * kPage),
                        kIova + 2 * page * kPage, kPage));
  }
  stop = true;
  first.join();
  second.join();
  EXPECT_TRUE(my_containers().empty());
  EXPECT_EQ(locked_pages(), 0u);
}

class DebugFsEmulated : public OneTestdev {
 protected:
  TestdevOptions options() const override {
    return {.mig_flags = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P};
  }
  void SetUp() override {
    mount_debugfs();
    OneTestdev::SetUp();
    ASSERT_EQ(my_containers().size(), 1u);
    dir = my_containers()[0];
    device = std::string(kVfioDebugfs) + "/" + dev->name() + "/";
  }
  std::string dir, device;
};

TEST_F(DebugFsEmulated, Pins) {
  Memory m(16 * kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  EXPECT_EQ(pin(s->device(), kIova, 3), 3);
  EXPECT_EQ(pin(s->device(), kIova, 1), 1);
  EXPECT_ERR(EINVAL, pin(s->device(), kIova - kPage, 1));
  EXPECT_TRUE(has_line(
      dir + "mappings",
      mapping_line(kIova, m, "rw", "pinned 0 charged 3 external 3 settled")));
  EXPECT_OK(unpin(s->device(), kIova, 1));
  for (const char* line : {"pin calls 3 pages 4", "unpin pages 1",
                           "failed pin EINVAL 1", "retries pin 0 unmap 0"})
    EXPECT_TRUE(has_line(dir + "statistics", line)) << line;
  EXPECT_EQ(unmap_dma(s->container(), kIova, m.size()).size, m.size());
  EXPECT_TRUE(has_line(dir + "statistics", "retries pin 0 unmap 1"));
  EXPECT_TRUE(has_line(dir + "groups", "device " + dev->name() +
                                           " driver vfio_testdev opens 1 "
                                           "gate none"))
      << read_all(dir + "groups");
}

TEST_F(DebugFsEmulated, StateOfMigration) {
  EXPECT_EQ(read_text(device + "migration/state"), "RUNNING");
  vfio_device_feature_mig_state stop{VFIO_DEVICE_STATE_STOP, -1};
  ASSERT_OK(
      feature(s->device(),
              VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE | VFIO_DEVICE_FEATURE_SET,
              &stop, sizeof stop));
  EXPECT_EQ(read_text(device + "migration/state"), "STOP");
  EXPECT_TRUE(has_line(device + "migration/features", "stop-copy"));
  EXPECT_TRUE(has_line(device + "migration/features", "p2p"));
  s.reset();
  EXPECT_EQ(read_text(device + "migration/state"), "RUNNING");
  ASSERT_OK(dev->destroy());
  EXPECT_FALSE(exists(device));
}

// Prints the files of all containers of this process and of some devices, which
// tests/tool/record-containers takes for the tests of the tool.
TEST(DebugFsRecord, Containers) {
  mount_debugfs();
  REQUIRE_DEVICES(3);
  const std::vector<PciDevice> devices = lone_devices();
  Memory m(64 * kPage);
  m.touch(1);

  Session two({devices[0], devices[1]});
  ASSERT_TRUE(two.ok());
  two.device_fd(1).reset();
  for (uint64_t page = 0; page < 3; page++)
    ASSERT_OK(map_dma(two.container(), m.at(page * kPage),
                      kIova + 2 * page * kPage, kPage));
  ASSERT_OK(map_dma(two.container(), m.data(), kIova + kGiB, m.size(),
                    VFIO_DMA_MAP_FLAG_READ));
  EXPECT_ERR(EEXIST, map_dma(two.container(), m.data(), kIova, kPage));
  EXPECT_ERR(EFAULT, map_dma(two.container(), reinterpret_cast<void*>(kPage),
                             kIova + 2 * kGiB, kPage));
  EXPECT_OK(unmap_dma(two.container(), kIova, kPage).result);

  Testdev dev({.mig_flags = VFIO_MIGRATION_STOP_COPY});
  ASSERT_TRUE(dev.ok());
  TestdevSession emulated({&dev});
  ASSERT_TRUE(emulated.ok());
  ASSERT_OK(map_dma(emulated.container(), m.data(), kIova, m.size()));
  EXPECT_EQ(pin(emulated.device(), kIova, 16), 16);
  EXPECT_ERR(EINVAL, pin(emulated.device(), 0, 1));

  const std::vector<std::string> folders = my_containers();
  ASSERT_EQ(folders.size(), 2u);
  const auto record = [](const std::string& path) {
    for (const std::string& line : lines_of(read_all(path)))
      note("record " + path + " " + line);
  };
  for (const std::string& folder : folders)
    for (const char* name :
         {"owner", "groups", "domains", "summary", "mappings", "statistics"})
      record(folder + name);
  for (const std::string& name : {devices[0].bdf, devices[1].bdf, dev.name()})
    for (const char* file : {"user", "migration/state", "migration/features"})
      record(std::string(kVfioDebugfs) + "/" + name + "/" + file);
  EXPECT_OK(unpin(emulated.device(), kIova, 16));
}

TEST(DebugFsMerge, GroupsOfASet) {
  mount_debugfs();
  REQUIRE_DEVICES(2);
  const std::vector<PciDevice> devices = lone_devices();
  Fd first = open_group(devices[0]), second = open_group(devices[1]);
  ASSERT_OK(set_iommu(first, VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(merge(first, second));
  ASSERT_EQ(my_containers().size(), 1u);
  const std::string dir = my_containers()[0];
  for (int i = 0; i < 2; i++)
    EXPECT_TRUE(has_line(
        dir + "groups",
        "group " + std::to_string(devices[i].group) + " type iommu merged 1"));
}

TEST(DebugFsNested, AGuest) {
  mount_debugfs();
  REQUIRE_DEVICES(1);
  const ZpciModule module;
  Session s({lone_devices()[0]}, VFIO_ZPCI_IOMMU);
  ASSERT_TRUE(s.ok());
  Memory m(16 * kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s.container(), m.data(), 0, m.size()));
  ASSERT_EQ(my_containers().size(), 1u);
  const std::string dir = my_containers()[0];
  EXPECT_TRUE(has_line(dir + "summary", "iommu vfio-zpci"));
  EXPECT_TRUE(has_line(dir + "summary", "charged_pages 16"));
  EXPECT_TRUE(has_line(
      dir + "mappings",
      mapping_line(0, m, "rw", "pinned 0 charged 16 external 0 settled")))
      << read_all(dir + "mappings");
  EXPECT_NE(read_all(dir + "domains").find("nested_pages 0 "),
            std::string::npos);
}

}  // namespace
}  // namespace stack
