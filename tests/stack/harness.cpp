// SPDX-License-Identifier: GPL-2.0
//
// Errors, observations, files, module parameters, memory, and the type1
// calls of the harness. Devices are in harness_pci.cpp, children in
// harness_child.cpp.
#include "harness.hpp"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include <fstream>
#include <sstream>

namespace stack {

std::string errno_name(long result) {
  if (result >= 0) return std::to_string(result);
  const char* name = strerrorname_np(static_cast<int>(-result));
  return name ? name : "errno " + std::to_string(-result);
}

long call(int fd, unsigned long request, const void* arg) {
  long result = ioctl(fd, request, arg);
  return result < 0 ? -errno : result;
}

long call(int fd, unsigned long request, unsigned long arg) {
  long result = ioctl(fd, request, arg);
  return result < 0 ? -errno : result;
}

long compat_call([[maybe_unused]] int fd, [[maybe_unused]] unsigned int request,
                 [[maybe_unused]] uint32_t arg) {
#ifdef __x86_64__
  // int 0x80 enters the 32-bit table from a 64-bit program too; 54 is ioctl
  // there, and it returns a negative errno itself.
  long result;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(54L), "b"(static_cast<long>(fd)),
                 "c"(static_cast<unsigned long>(request)),
                 "d"(static_cast<unsigned long>(arg))
               : "memory", "r8", "r9", "r10", "r11");
  return static_cast<int>(result);
#else
  return -ENOSYS;
#endif
}

testing::AssertionResult is_errno(const char* what, int want, long got) {
  if (got == -static_cast<long>(want)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << what << ": wanted " << errno_name(-want)
                                     << ", got " << errno_name(got);
}

testing::AssertionResult is_success(const char* what, long got) {
  if (got >= 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << what << ": " << errno_name(got);
}

void observe(std::string_view key, std::string_view value) {
  const testing::TestInfo* test =
      testing::UnitTest::GetInstance()->current_test_info();
  printf("# observe: %s.%s.%.*s=%.*s\n", test ? test->test_suite_name() : "run",
         test ? test->name() : "-", static_cast<int>(key.size()), key.data(),
         static_cast<int>(value.size()), value.data());
  fflush(stdout);
}

void observe(std::string_view key, uint64_t value) {
  observe(key, std::string_view(std::to_string(value)));
}

void observe_result(std::string_view key, long result) {
  observe(key, std::string_view(errno_name(result)));
}

void note(std::string_view text) {
  printf("# %.*s\n", static_cast<int>(text.size()), text.data());
  fflush(stdout);
}

bool on_stock() {
  const char* modules = getenv("STACK_MODULES");
  return modules && !strcmp(modules, "stock");
}

void Fd::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Fd open_path(const std::string& path, int flags) {
  int fd = open(path.c_str(), flags | O_CLOEXEC, 0600);
  return Fd(fd < 0 ? -errno : fd);
}

Fd make_eventfd() { return Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

std::optional<uint64_t> wait_event(int fd, int timeout_ms) {
  pollfd p{fd, POLLIN, 0};
  uint64_t value = 0;
  if (poll(&p, 1, timeout_ms) != 1) return std::nullopt;
  if (read(fd, &value, sizeof value) != sizeof value) return std::nullopt;
  return value;
}

bool kernel_at_least(unsigned major, unsigned minor) {
  utsname name;
  unsigned has_major = 0, has_minor = 0;
  if (uname(&name) ||
      sscanf(name.release, "%u.%u", &has_major, &has_minor) != 2)
    return false;
  return has_major != major ? has_major > major : has_minor >= minor;
}

std::string read_text(const std::string& path) {
  std::ifstream in(path);
  std::stringstream all;
  all << in.rdbuf();
  std::string text = all.str();
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.pop_back();
  return text;
}

long write_text(const std::string& path, std::string_view text) {
  Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return -errno;
  ssize_t n = write(fd, text.data(), text.size());
  return n < 0 ? -errno : n;
}

bool exists(const std::string& path) { return !access(path.c_str(), F_OK); }

static std::string param_path(const std::string& module,
                              const std::string& name) {
  return "/sys/module/" + module + "/parameters/" + name;
}

std::string param(const std::string& module, const std::string& name) {
  return read_text(param_path(module, name));
}

ScopedParam::ScopedParam(const std::string& module, const std::string& name,
                         const std::string& value)
    : path_(param_path(module, name)), before_(read_text(path_)) {
  applied_ = write_text(path_, value) >= 0;
}

ScopedParam::~ScopedParam() {
  if (applied_) write_text(path_, before_);
}

uint64_t status_pages(std::string_view field, pid_t pid) {
  std::string path =
      "/proc/" + (pid ? std::to_string(pid) : std::string("self")) + "/status";
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line))
    if (line.starts_with(field) && line.size() > field.size() &&
        line[field.size()] == ':')
      return strtoull(line.c_str() + field.size() + 1, nullptr, 10) * 1024 /
             kPage;
  return ~0ull;
}

uint64_t locked_pages(pid_t pid) { return status_pages("VmLck", pid); }

static int64_t vmstat(std::string_view name) {
  std::ifstream in("/proc/vmstat");
  std::string key;
  int64_t value;
  while (in >> key >> value)
    if (key == name) return value;
  return 0;
}

int64_t outstanding_pins() {
  // Each CPU keeps a part of the counts to itself until it is asked to.
  write_text("/proc/sys/vm/stat_refresh", "1");
  return vmstat("nr_foll_pin_acquired") - vmstat("nr_foll_pin_released");
}

// --- memory ---------------------------------------------------------------

Memory::Memory(size_t size, int prot, int flags, int fd, off_t offset,
               void* addr)
    : size_(size) {
  void* p = mmap(addr, size, prot, flags, fd, offset);
  data_ = p == MAP_FAILED ? nullptr : static_cast<uint8_t*>(p);
}

Memory Memory::aligned(size_t size, size_t alignment) {
  Memory whole(size + alignment);
  Memory out;
  if (!whole.ok()) return out;
  uintptr_t first = reinterpret_cast<uintptr_t>(whole.data());
  uintptr_t start = (first + alignment - 1) & ~(alignment - 1);
  if (start > first) munmap(whole.data(), start - first);
  if (size_t tail = first + size + alignment - (start + size))
    munmap(reinterpret_cast<void*>(start + size), tail);
  out.data_ = reinterpret_cast<uint8_t*>(start);
  out.size_ = size;
  whole.release();
  madvise(out.data_, size, MADV_HUGEPAGE);
  return out;
}

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  if (this != &other) {
    if (data_) munmap(data_, size_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = other.size_;
  }
  return *this;
}

Memory::~Memory() {
  if (data_) munmap(data_, size_);
}

void Memory::touch(uint8_t value) {
  for (size_t i = 0; i < size_; i += kPage)
    *static_cast<volatile uint8_t*>(data_ + i) = value;
}

Fd make_memfd(size_t size, unsigned flags) {
  int fd = memfd_create("stack", flags | MFD_CLOEXEC);
  if (fd < 0) return Fd(-errno);
  if (ftruncate(fd, static_cast<off_t>(size))) {
    int error = errno;
    close(fd);
    return Fd(-error);
  }
  return Fd(fd);
}

// --- type1 ----------------------------------------------------------------

long set_container(int group, int container) {
  return call(group, VFIO_GROUP_SET_CONTAINER, &container);
}

long unset_container(int group) {
  return call(group, VFIO_GROUP_UNSET_CONTAINER);
}

long set_iommu(int container, unsigned long type) {
  return call(container, VFIO_SET_IOMMU, type);
}

long map_dma(int container, const void* uva, uint64_t iova, uint64_t size,
             uint32_t flags) {
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof map;
  map.flags = flags;
  map.vaddr = reinterpret_cast<uintptr_t>(uva);
  map.iova = iova;
  map.size = size;
  return call(container, VFIO_IOMMU_MAP_DMA, &map);
}

Unmapped unmap_dma(int container, uint64_t iova, uint64_t size,
                   uint32_t flags) {
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = sizeof unmap;
  unmap.flags = flags;
  unmap.iova = iova;
  unmap.size = size;
  long result = call(container, VFIO_IOMMU_UNMAP_DMA, &unmap);
  return {result, unmap.size};
}

std::vector<uint8_t> iommu_info(int container) {
  vfio_iommu_type1_info head{};
  head.argsz = sizeof head;
  if (call(container, VFIO_IOMMU_GET_INFO, &head) < 0) return {};
  std::vector<uint8_t> info(std::max<size_t>(head.argsz, sizeof head));
  auto* full = reinterpret_cast<vfio_iommu_type1_info*>(info.data());
  full->argsz = static_cast<uint32_t>(info.size());
  if (call(container, VFIO_IOMMU_GET_INFO, full) < 0) return {};
  return info;
}

const vfio_info_cap_header* find_cap(const std::vector<uint8_t>& info,
                                     uint32_t cap_offset, uint16_t id) {
  uint32_t offset = cap_offset;
  while (offset && offset + sizeof(vfio_info_cap_header) <= info.size()) {
    auto* cap =
        reinterpret_cast<const vfio_info_cap_header*>(info.data() + offset);
    if (cap->id == id) return cap;
    if (cap->next && cap->next <= offset) return nullptr;
    offset = cap->next;
  }
  return nullptr;
}

static const vfio_info_cap_header* type1_cap(const std::vector<uint8_t>& info,
                                             uint16_t id) {
  if (info.size() < sizeof(vfio_iommu_type1_info)) return nullptr;
  auto* head = reinterpret_cast<const vfio_iommu_type1_info*>(info.data());
  if (!(head->flags & VFIO_IOMMU_INFO_CAPS)) return nullptr;
  return find_cap(info, head->cap_offset, id);
}

uint32_t dma_avail(int container) {
  std::vector<uint8_t> info = iommu_info(container);
  auto* cap = type1_cap(info, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
  if (!cap) return ~0u;
  return reinterpret_cast<const vfio_iommu_type1_info_dma_avail*>(cap)->avail;
}

std::vector<IovaRange> iova_ranges(int container) {
  std::vector<uint8_t> info = iommu_info(container);
  std::vector<IovaRange> ranges;
  auto* cap = type1_cap(info, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
  if (!cap) return ranges;
  auto* list =
      reinterpret_cast<const vfio_iommu_type1_info_cap_iova_range*>(cap);
  for (uint32_t i = 0; i < list->nr_iovas; i++)
    ranges.push_back({list->iova_ranges[i].start, list->iova_ranges[i].end});
  return ranges;
}

}  // namespace stack
