// SPDX-License-Identifier: GPL-2.0
//
// What every whole-stack test uses: file descriptors that close themselves,
// thin wrappers of container, group and device (the ioctls stay visible in the
// tests), test devices found in sysfs, memory, children, module parameters,
// VmLck, and observations that two runs can be compared by.
//
// Every call that may fail returns its result or a negative errno, so that
// EXPECT_ERR(EBUSY, call(...)) reads like the contract it checks.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <bit>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stack {

inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kHuge = 2ull << 20;
inline constexpr uint64_t kGiB = 1ull << 30;
// Where every machine's IOMMU translates from: s390x's begin at 4 GiB.
inline constexpr uint64_t kFirstIova = 4 * kGiB;
inline constexpr unsigned kUser = 1000;  // the unprivileged uid and gid

// --- errors ---------------------------------------------------------------

// "EBUSY" for 16 (and for -16); "0" and positive results as they are.
std::string errno_name(long result);

// Result or -errno of an ioctl. `arg` may be a pointer or an integer.
long call(int fd, unsigned long request, const void* arg);
long call(int fd, unsigned long request, unsigned long arg = 0);
// The same through the 32-bit system call entry; `arg` must lie below 4 GiB.
// -ENOSYS but on x86, where alone a 64-bit program can take that entry.
long compat_call(int fd, unsigned int request, uint32_t arg);

testing::AssertionResult is_errno(const char* what, int want, long got);
testing::AssertionResult is_success(const char* what, long got);

// The expression is quoted before its macros are expanded: an ioctl's name
// says more than its number.
#define STACK_CHECK(verdict, failure)                             \
  switch (0)                                                      \
  case 0:                                                         \
  default:                                                        \
    if (const testing::AssertionResult stack_verdict = (verdict)) \
      ;                                                           \
    else                                                          \
      failure() << stack_verdict.message() << " "

#define EXPECT_ERR(want, expr) \
  STACK_CHECK(::stack::is_errno(#expr, want, expr), ADD_FAILURE)
#define ASSERT_ERR(want, expr) \
  STACK_CHECK(::stack::is_errno(#expr, want, expr), FAIL)
// Not negative.
#define EXPECT_OK(expr) \
  STACK_CHECK(::stack::is_success(#expr, expr), ADD_FAILURE)
#define ASSERT_OK(expr) STACK_CHECK(::stack::is_success(#expr, expr), FAIL)

// --- observations ---------------------------------------------------------

// Prints "# observe: Suite.name.key=value". Only values that are the same in
// each run on the same modules may be observed: never addresses or times.
void observe(std::string_view key, std::string_view value);
void observe(std::string_view key, uint64_t value);
// errno by name, or the number.
void observe_result(std::string_view key, long result);
// A free diagnostic line.
void note(std::string_view text);

// --- the run --------------------------------------------------------------

// True when the modules under test are the distribution's (STACK_MODULES).
bool on_stock();
// Skips a test that would hang or corrupt a stock kernel.
#define SKIP_ON_STOCK(reason) \
  if (::stack::on_stock()) GTEST_SKIP() << "stock: " << reason

// --- descriptors ----------------------------------------------------------

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  operator int() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void reset();
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;  // negative: none, or the -errno of the open that failed
};

// Fd holds -errno when the open fails.
Fd open_path(const std::string& path, int flags = O_RDWR);
Fd make_eventfd();
// The eventfd's counter, or nothing within the time.
std::optional<uint64_t> wait_event(int fd, int timeout_ms);

// --- files ----------------------------------------------------------------

// Whether the kernel is of this version or later: what its own modules do, and
// ours as they.
bool kernel_at_least(unsigned major, unsigned minor);
std::string read_text(const std::string& path);  // trimmed; "" if unreadable
long write_text(const std::string& path, std::string_view text);
bool exists(const std::string& path);

// A module parameter, written for the life of the object and put back then.
class ScopedParam {
 public:
  ScopedParam(const std::string& module, const std::string& name,
              const std::string& value);
  ~ScopedParam();
  ScopedParam(const ScopedParam&) = delete;
  bool applied() const { return applied_; }

 private:
  std::string path_, before_;
  bool applied_ = false;
};
std::string param(const std::string& module, const std::string& name);

// A field of /proc/self/status in kB ("VmLck", "VmPin"), by page count.
uint64_t status_pages(std::string_view field, pid_t pid = 0);
// Pages accounted against RLIMIT_MEMLOCK in this process, or in `pid`.
uint64_t locked_pages(pid_t pid = 0);
// Pins that the kernel has made and not released, system-wide.
int64_t outstanding_pins();

// --- test devices ---------------------------------------------------------

struct PciDevice {
  std::string bdf;  // 0000:00:03.0
  unsigned vendor = 0, device = 0;
  int group = -1;
  std::string driver;  // "" when unbound

  std::string node() const;   // /dev/vfio/GROUP
  std::string sysfs() const;  // /sys/bus/pci/devices/BDF
};

// All PCI devices with these ids, by address, bound or not.
std::vector<PciDevice> pci_devices(unsigned vendor, unsigned device);
std::optional<PciDevice> pci_device(const std::string& bdf);
// Devices that vfio-pci holds, alone in their groups, by address: the machine's
// edu devices or, where it has none (s390x), its virtio-rngs. Tests in which
// the device reads memory want an edu.
std::vector<PciDevice> lone_devices();
// The other devices of the group, by address.
std::vector<std::string> group_members(int group);
// Binds or unbinds through driver_override; result or -errno.
long bind_driver(const std::string& bdf, const std::string& driver);
long unbind_driver(const std::string& bdf);

// A run without them proves nothing, so their absence is a failure.
#define REQUIRE_DEVICES(count)                               \
  ASSERT_GE(::stack::lone_devices().size(), size_t{(count)}) \
      << "devices bound to vfio-pci, alone in their groups"
// The two edu functions that share a group, by address; empty if there are
// none such.
std::vector<PciDevice> edu_pair();

// --- container, group, device ---------------------------------------------

Fd open_container();
Fd open_group(const PciDevice& device);
long set_container(int group, int container);
long unset_container(int group);
long set_iommu(int container, unsigned long type);
Fd get_device(int group, const std::string& bdf);  // holds -errno on failure

// type1 in one line each; the structs are filled here and nowhere else unless
// a test wants them wrong.
long map_dma(int container, const void* uva, uint64_t iova, uint64_t size,
             uint32_t flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
struct Unmapped {
  long result;
  uint64_t size;
};
Unmapped unmap_dma(int container, uint64_t iova, uint64_t size,
                   uint32_t flags = 0);
// GET_INFO of the container with all its capabilities; empty when refused.
std::vector<uint8_t> iommu_info(int container);
const vfio_info_cap_header* find_cap(const std::vector<uint8_t>& info,
                                     uint32_t cap_offset, uint16_t id);
// Mappings that may still be made, from the DMA_AVAIL capability.
uint32_t dma_avail(int container);
struct IovaRange {
  uint64_t first, last;
};
std::vector<IovaRange> iova_ranges(int container);

// Container with one group per device, IOMMU set, device fds open.
class Session {
 public:
  // `type` 0: groups attached, no IOMMU set. Failures are gtest failures.
  explicit Session(std::vector<PciDevice> devices,
                   unsigned long type = VFIO_TYPE1v2_IOMMU);
  Session() = default;
  Session(Session&&) = default;
  Session& operator=(Session&&) = default;
  ~Session();  // devices, then groups, then the container

  bool ok() const { return ok_; }
  int container() const { return container_; }
  int group(size_t i = 0) const { return groups_[i]; }
  int device(size_t i = 0) const { return devices_[i]; }
  const PciDevice& pci(size_t i = 0) const { return pci_[i]; }
  Fd& container_fd() { return container_; }
  Fd& group_fd(size_t i = 0) { return groups_[i]; }
  Fd& device_fd(size_t i = 0) { return devices_[i]; }

 private:
  std::vector<PciDevice> pci_;
  Fd container_;
  std::vector<Fd> groups_, devices_;
  bool ok_ = false;
};

// Status flags of a group, or -errno.
long group_flags(int group);

// One device in a container with type1 v2; the commonest fixture.
class OneDevice : public testing::Test {
 protected:
  void SetUp() override;
  Session s;
};

// --- memory ---------------------------------------------------------------

class Memory {
 public:
  Memory() = default;
  // `addr` is a hint unless MAP_FIXED* is among the flags.
  Memory(size_t size, int prot = PROT_READ | PROT_WRITE,
         int flags = MAP_PRIVATE | MAP_ANONYMOUS, int fd = -1, off_t offset = 0,
         void* addr = nullptr);
  // 2 MiB-aligned memory; backed by huge pages if the kernel agrees.
  static Memory aligned(size_t size, size_t alignment = kHuge);
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  ~Memory();

  bool ok() const { return data_ != nullptr; }
  uint8_t* data() const { return data_; }
  uint8_t* at(size_t offset) const { return data_ + offset; }
  size_t size() const { return size_; }
  void release() { data_ = nullptr; }  // the test has unmapped it itself
  void touch(uint8_t value = 0);       // writes each page

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

Fd make_memfd(size_t size, unsigned flags = 0);  // holds -errno on failure

// --- children -------------------------------------------------------------

struct ChildOptions {
  bool drop_user = false;           // uid and gid kUser, no capabilities
  std::optional<uint64_t> memlock;  // RLIMIT_MEMLOCK in bytes
};

// A forked process that runs `body`. Assertions that fail in it become
// failures of the test when it is waited for; so does a death by signal,
// unless wait() is told to expect it.
class Child {
 public:
  explicit Child(const std::function<void(Child&)>& body,
                 ChildOptions options = {});
  ~Child();  // kills and reaps what was not waited for
  Child(const Child&) = delete;

  pid_t pid() const { return pid_; }
  void wait(int expected_signal = 0);
  void kill(int signal = SIGKILL) { ::kill(pid_, signal); }

  // One byte each way; called from either side.
  void notify();
  bool await(int timeout_ms = 30000);
  // A descriptor to the other side (unix socket); fd or -errno.
  void send_fd(int fd);
  Fd receive_fd();

 private:
  pid_t pid_ = -1;
  Fd report_;   // failures, as text
  Fd channel_;  // this side's end
};

// Runs `body` in a child to its end.
void in_child(const std::function<void()>& body, ChildOptions options = {});

// --- the edu device -------------------------------------------------------

// QEMU's 1234:11e8: BAR0 registers, a DMA engine with a 4 KiB buffer of its
// own, one interrupt. A transfer takes 100 ms.
class Edu {
 public:
  static constexpr size_t kMaxTransfer = 2048;

  explicit Edu(int device);  // maps BAR0, enables memory and bus mastering
  ~Edu();
  Edu(const Edu&) = delete;
  bool ok() const { return bar_ != nullptr; }

  uint32_t read32(uint32_t offset) const;
  void write32(uint32_t offset, uint32_t value);
  void write64(uint32_t offset, uint64_t value);

  // IOVA -> device buffer, and back. False if the engine did not finish.
  bool fetch(uint64_t iova, uint32_t offset, uint32_t size, bool irq = false);
  bool store(uint64_t iova, uint32_t offset, uint32_t size, bool irq = false);
  // The two together: copies IOVA to IOVA through the device.
  bool copy(uint64_t to, uint64_t from, uint32_t size);
  void raise(uint32_t bits) { write32(0x60, bits); }
  void ack(uint32_t bits) { write32(0x64, bits); }
  uint32_t irq_status() const { return read32(0x24); }

 private:
  bool transfer(uint64_t from, uint64_t to, uint32_t size, uint32_t command);
  volatile uint8_t* bar_ = nullptr;
  size_t size_ = 0;
};

// A number in the byte order of PCI, or one of PCI's in the machine's.
template <typename T>
constexpr T little_endian(T value) {
  if constexpr (std::endian::native == std::endian::little || sizeof(T) == 1)
    return value;
  else if constexpr (sizeof(T) == 2)
    return __builtin_bswap16(value);
  else if constexpr (sizeof(T) == 4)
    return __builtin_bswap32(value);
  else
    return __builtin_bswap64(value);
}

// Region and interrupts, as the tests of devices need them.
vfio_region_info region_info(int device, uint32_t index);
uint16_t config_read16(int device, uint32_t offset);
// Whether the device's vendor can be read from its configuration space.
testing::AssertionResult answers(int device, const PciDevice& pci);
void config_write16(int device, uint32_t offset, uint16_t value);
// Signals `eventfd` on vector 0 of `index`; result or -errno.
long set_irq_eventfd(int device, uint32_t index, int eventfd);
long disable_irqs(int device, uint32_t index);

}  // namespace stack
