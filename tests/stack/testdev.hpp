// SPDX-License-Identifier: GPL-2.0
//
// Devices of vfio_testdev.ko for the whole-stack tests: made by a test, gone
// with it. See tests/kmod/vfio_testdev.h for what each ioctl does.
#pragma once

#include "../kmod/vfio_testdev.h"
#include "harness.hpp"

namespace stack {

// /dev/vfio_testdev, the module loaded if it was not. The tests have no
// meaning without it, so its absence is a failure and not a skip.
Fd testdev_control();

struct TestdevOptions {
  uint32_t kind = VFIO_TESTDEV_FULL;
  uint32_t set = 0;
  uint32_t mig_flags = 0;
  uint32_t log = 0;
  int32_t init_errno = 0;  // negative
};

// One device; the destructor waits until it is closed and takes it away.
class Testdev {
 public:
  explicit Testdev(TestdevOptions options = {});
  ~Testdev();
  Testdev(Testdev&& other) noexcept;
  Testdev& operator=(Testdev&&) = delete;

  bool ok() const { return result_ == 0; }
  long result() const { return result_; }  // of CREATE
  int id() const { return config_.id; }
  std::string name() const { return config_.name; }
  std::string node() const;
  vfio_testdev_stats stats() const;
  void fail_open(int error);  // positive errno, 0: no more
  // What the driver does in addition at each open and close from now on.
  void act(vfio_testdev_act what);
  long destroy();  // may block; the destructor then does nothing

 private:
  vfio_testdev_create config_{};
  long result_ = -1;
};

// Container, the devices' groups, and an fd of each device.
class TestdevSession {
 public:
  explicit TestdevSession(const std::vector<const Testdev*>& devices,
                          unsigned long type = VFIO_TYPE1v2_IOMMU);
  ~TestdevSession();
  bool ok() const { return ok_; }
  int container() const { return container_; }
  int group(size_t i = 0) const { return groups_[i]; }
  int device(size_t i = 0) const { return devices_[i]; }
  Fd& container_fd() { return container_; }
  Fd& group_fd(size_t i = 0) { return groups_[i]; }
  Fd& device_fd(size_t i = 0) { return devices_[i]; }

 private:
  Fd container_;
  std::vector<Fd> groups_, devices_;
  bool ok_ = false;
};

// One full device in a v2 container.
class OneTestdev : public testing::Test {
 protected:
  void SetUp() override;
  virtual TestdevOptions options() const { return {}; }
  std::optional<Testdev> dev;
  std::optional<TestdevSession> s;
};

inline constexpr uint32_t kRead = VFIO_TESTDEV_PROT_READ;
inline constexpr uint32_t kWrite = VFIO_TESTDEV_PROT_WRITE;
inline constexpr uint32_t kMapRead = VFIO_DMA_MAP_FLAG_READ;
inline constexpr uint32_t kMapWrite = VFIO_DMA_MAP_FLAG_WRITE;

// What vfio_pin_pages() returned (pages or -errno).
long pin(int device, uint64_t iova, int npage, uint32_t prot = kRead | kWrite,
         uint32_t flags = 0, std::vector<uint64_t>* pfns = nullptr);
// 0, or -ENOENT if not all of it was pinned.
long unpin(int device, uint64_t iova, int npage, uint32_t flags = 0);
long dma_write(int device, uint64_t iova, const void* data, size_t size,
               uint32_t flags = 0);
long dma_read(int device, uint64_t iova, void* data, size_t size,
              uint32_t flags = 0);
void set_policy(int device, uint32_t policy, uint32_t ignore = 0);
// The dma_unmap() calls since the last time.
std::vector<vfio_testdev_unmap_event> unmap_events(int device);
// Pfn of the page at `uva` by /proc/self/pagemap, 0 if not present.
uint64_t pfn_of(const void* uva);

// VFIO_DEVICE_FEATURE: `flags` is the feature number with GET, SET, PROBE.
// `data` goes in and comes out; argsz counts it unless given.
long feature(int device, uint32_t flags, void* data, size_t size,
             std::optional<uint32_t> argsz = std::nullopt);

// Dirty-page tracking of a container, each page of [iova, +npages) a bool.
long dirty_start(int container);
long dirty_stop(int container);
struct DirtyPages {
  long result;
  std::vector<bool> pages;
  std::string text() const;  // "0,3-5" or "none", or the errno
};
DirtyPages dirty_pages(int container, uint64_t iova, uint64_t npages);

}  // namespace stack
