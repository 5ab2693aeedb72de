// SPDX-License-Identifier: GPL-2.0
#include "system.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <system_error>

namespace sys {

void throw_errno(const std::string& doing) {
  throw std::system_error(errno, std::generic_category(), doing);
}

std::string format(const char* pattern, ...) {
  va_list args;
  va_start(args, pattern);
  char text[512];
  std::vsnprintf(text, sizeof(text), pattern, args);
  va_end(args);
  return text;
}

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

EventFd::EventFd() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_.get() < 0) throw_errno("creating an eventfd");
}

std::uint64_t EventFd::wait(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    std::uint64_t count = 0;
    if (read(fd_.get(), &count, sizeof(count)) == sizeof(count)) return count;
    if (errno != EAGAIN && errno != EINTR) throw_errno("reading an eventfd");

    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return 0;
    pollfd waiting{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, static_cast<int>(left.count())) < 0 && errno != EINTR)
      throw_errno("waiting for an interrupt");
  }
}

Memory::Memory(std::size_t size) : size_(round_up_to_page(size)) {
  // Populated, so that each page is one of our own before it is mapped for DMA. A
  // page not yet written is the kernel's shared page of zeros: a mapping that the
  // device only reads may pin that one, and our first write would go elsewhere.
  void* address = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (address == MAP_FAILED) throw_errno(format("allocating %zu bytes of memory", size_));
  data_ = static_cast<std::byte*>(address);
}

Memory::~Memory() {
  if (data_) munmap(data_, size_);
}

std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

std::size_t round_up_to_page(std::size_t size) {
  return (size + page_size() - 1) / page_size() * page_size();
}

}  // namespace sys
