// SPDX-License-Identifier: GPL-2.0
#include "memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "system.hpp"

namespace bench {
namespace {

// Always the same order, so that two boots do the same.
std::vector<std::size_t> shuffled(std::size_t count) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::mt19937 random(4);
  for (std::size_t i = count; i > 1; i--) std::swap(order[i - 1], order[random() % i]);
  return order;
}

// Stays open: closing a file frees kernel memory only later.
class OpenFile {
 public:
  explicit OpenFile(const std::string& path, int flags = O_RDONLY) : path_(path) {
    fd_ = open(path.c_str(), flags | O_CLOEXEC);
    if (fd_ < 0) throw_errno(path);
  }
  OpenFile(OpenFile&& other) : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }

  std::string text() const {
    std::string all;
    char part[4096];
    ssize_t got;
    while ((got = pread(fd_, part, sizeof(part), static_cast<off_t>(all.size()))) > 0)
      all.append(part, static_cast<std::size_t>(got));
    if (got < 0) throw_errno(path_);
    return all;
  }

  void put(const std::string& text) const {
    if (pwrite(fd_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
      throw_errno(path_);
  }

 private:
  std::string path_;
  int fd_ = -1;
};

std::vector<OpenFile> slab_shrinkers() {
  std::vector<OpenFile> files;
  for (const auto& cache : std::filesystem::directory_iterator("/sys/kernel/slab"))
    files.emplace_back(cache.path() / "shrink", O_WRONLY);
  return files;
}

std::uint64_t meminfo(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\n" + name + ":");
  if (at == text.npos) throw std::runtime_error("/proc/meminfo has no " + name);
  return std::strtoull(text.c_str() + at + name.size() + 2, nullptr, 10) * 1024;
}

}  // namespace

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  if (!in) throw std::runtime_error("cannot read " + path);
  return out.str();
}

void write_file(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) throw_errno(path);
  const ssize_t written = write(fd, text.data(), text.size());
  const int error = errno;
  close(fd);
  if (written != static_cast<ssize_t>(text.size())) {
    errno = error;
    throw_errno("writing " + path);
  }
}

std::uint64_t kernel_bytes() {
  static const OpenFile meminfo_file("/proc/meminfo"), slabinfo_file("/proc/slabinfo"),
      refresh("/proc/sys/vm/stat_refresh", O_WRONLY);
  static const std::vector<OpenFile> shrinkers = slab_shrinkers();

  // What is to be freed after a grace period of RCU is, after some of them.
  usleep(200000);
  // Each cache gives up what is free at a CPU, else that would count as used.
  for (const OpenFile& shrinker : shrinkers) shrinker.put("1");
  // The counters of each CPU are added up only now and then, but at once when asked.
  refresh.put("1");

  const std::string sums = meminfo_file.text();
  std::uint64_t objects = 0, slabs = 0;
  std::istringstream in(slabinfo_file.text());
  for (std::string line; std::getline(in, line);) {
    unsigned long long active, all, size, each, pages, used, nslabs;
    if (std::sscanf(line.c_str(),
                    "%*s %llu %llu %llu %llu %llu : tunables %*u %*u %*u : slabdata %llu %llu",
                    &active, &all, &size, &each, &pages, &used, &nslabs) != 7)
      continue;
    objects += active * size;
    slabs += nslabs * pages * kPage;
  }
  if (objects == 0) throw std::runtime_error("/proc/slabinfo is not as expected");
  // Large kmallocs are in the slab total of meminfo, but in no cache.
  return objects + meminfo(sums, "Slab") - slabs + meminfo(sums, "VmallocUsed");
}

std::uint64_t pages_outside_tables() {
  static const OpenFile meminfo_file("/proc/meminfo"), zones("/proc/zoneinfo"),
      refresh("/proc/sys/vm/stat_refresh", O_WRONLY);
  refresh.put("1");
  const std::string sums = meminfo_file.text();
  std::uint64_t pages = (meminfo(sums, "Slab") + meminfo(sums, "VmallocUsed")) / kPage;
  std::istringstream in(zones.text());
  for (std::string line; std::getline(in, line);) {
    unsigned long long count;
    // The second are those that a CPU keeps for itself.
    if (std::sscanf(line.c_str(), " nr_free_pages %llu", &count) == 1 ||
        std::sscanf(line.c_str(), " count: %llu", &count) == 1)
      pages += count;
  }
  return pages;
}

Memory::Memory(Layout layout, std::size_t size) : layout_(layout), size_(size) {
  constexpr int kProt = PROT_READ | PROT_WRITE;
  if (layout == Layout::kHugetlb)
    write_file("/proc/sys/vm/nr_hugepages", std::to_string(size / kHugePage));
  // Room to align the start; hugetlbfs does so itself.
  reserved_ = layout == Layout::kHugetlb ? size : size + kHugePage;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* mapped = mmap(nullptr, reserved_, kProt,
                      flags | (layout == Layout::kHugetlb ? MAP_HUGETLB : 0), -1, 0);
  if (mapped == MAP_FAILED) throw_errno("mmap");
  reservation_ = static_cast<char*>(mapped);
  start_ = reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(mapped) + kHugePage - 1) &
                                   ~(kHugePage - 1));

  const bool thp = layout == Layout::kThp || layout == Layout::kContiguous;
  if (layout != Layout::kHugetlb && madvise(start_, size, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
    throw_errno("madvise");
  if (layout == Layout::kScattered) {
    // The allocator hands out neighbours one after the other; ask for them in another order.
    for (std::size_t page : shuffled(size / kPage)) start_[page * kPage] = 1;
  } else {
    for (std::size_t at = 0; at < size; at += layout == Layout::kThp ? kHugePage : kPage)
      start_[at] = 1;
  }
  if (layout == Layout::kContiguous) {
    // Real 4K pages where huge ones were, so surely adjacent.
    char request[96];
    std::snprintf(request, sizeof(request), "%d,0x%llx,0x%llx,0", getpid(),
                  static_cast<unsigned long long>(address()),
                  static_cast<unsigned long long>(address()) + size);
    write_file("/sys/kernel/debug/split_huge_pages", request);
    if (madvise(start_, size, MADV_NOHUGEPAGE)) throw_errno("madvise");
  }

  runs_ = count_runs();
  const std::size_t npages = size / kPage;
  const std::size_t huge = huge_bytes();
  // Some pages are neighbours by chance; in small memories these are up to four.
  const bool as_wanted = layout == Layout::kScattered    ? huge == 0 && runs_ + 4 > npages * 49 / 50
                         : layout == Layout::kContiguous ? huge == 0 && runs_ <= size / kHugePage
                         : layout == Layout::kThp        ? huge == size
                                                         : runs_ <= size / kHugePage;
  if (!as_wanted)
    throw std::runtime_error("memory is not laid out as wanted: " + std::to_string(huge) +
                             " bytes in huge pages, " + std::to_string(runs_) + " runs of " +
                             std::to_string(npages) + " pages");
}

Memory::~Memory() {
  munmap(reservation_, reserved_);
  if (layout_ == Layout::kHugetlb) write_file("/proc/sys/vm/nr_hugepages", "0");
}

std::size_t Memory::count_runs() const {
  const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw_errno("/proc/self/pagemap");
  std::vector<std::uint64_t> entries(size_ / kPage);
  const auto wanted = static_cast<ssize_t>(entries.size() * sizeof(entries[0]));
  const ssize_t got = pread(fd, entries.data(), static_cast<std::size_t>(wanted),
                            static_cast<off_t>(address() / kPage * sizeof(entries[0])));
  close(fd);
  if (got != wanted) throw std::runtime_error("/proc/self/pagemap is short");
  std::size_t runs = 0;
  std::uint64_t previous = 0;
  for (std::uint64_t entry : entries) {
    if (!(entry >> 63)) throw std::runtime_error("a page of the benchmark is not there");
    const std::uint64_t pfn = entry & ((std::uint64_t{1} << 55) - 1);
    runs += pfn != previous + 1;
    previous = pfn;
  }
  return runs;
}

// Of the mapping that holds start_: how much of it is in transparent huge pages.
std::size_t Memory::huge_bytes() const {
  std::ifstream in("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(in, line);) {
    unsigned long long first, end, kib;
    if (std::sscanf(line.c_str(), "%llx-%llx ", &first, &end) == 2)
      here = first <= address() && address() < end;
    else if (here && std::sscanf(line.c_str(), "AnonHugePages: %llu", &kib) == 1)
      return kib * 1024;
  }
  throw std::runtime_error("/proc/self/smaps does not show our memory");
}

SparseMemory::SparseMemory(std::size_t npages, const std::vector<std::size_t>& touched)
    : size_(npages * kPage) {
  void* mapped = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) throw_errno("mmap");
  start_ = static_cast<char*>(mapped);
  if (madvise(start_, size_, MADV_NOHUGEPAGE)) throw_errno("madvise");
  for (std::size_t page : touched) start_[page * kPage] = 1;
}

SparseMemory::~SparseMemory() { munmap(start_, size_); }

}  // namespace bench
