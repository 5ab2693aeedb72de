// SPDX-License-Identifier: GPL-2.0
#include "stopping_memory.hpp"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/syscall.h>

namespace stack {

StoppingMemory::StoppingMemory(size_t pages) : memory_(pages * kPage) {
  // A huge page would be filled whole by the first touch.
  madvise(memory_.data(), memory_.size(), MADV_NOHUGEPAGE);

  Fd fd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
  uffdio_api api = {};
  api.api = UFFD_API;
  uffdio_register missing = {};
  missing.range = {reinterpret_cast<uint64_t>(memory_.data()), memory_.size()};
  missing.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (!fd.valid() || call(fd, UFFDIO_API, &api) < 0 ||
      call(fd, UFFDIO_REGISTER, &missing) < 0) {
    ADD_FAILURE() << "userfaultfd: " << errno_name(-errno);
    return;
  }
  fault_fd_ = std::move(fd);
}

std::optional<size_t> StoppingMemory::wait_touched(int timeout_ms) {
  pollfd wanted = {fault_fd_, POLLIN, 0};
  uffd_msg message;

  if (poll(&wanted, 1, timeout_ms) != 1 ||
      read(fault_fd_, &message, sizeof(message)) != sizeof(message) ||
      message.event != UFFD_EVENT_PAGEFAULT)
    return std::nullopt;
  uint64_t offset = message.arg.pagefault.address -
                    reinterpret_cast<uint64_t>(memory_.data());
  return offset / kPage * kPage;
}

long StoppingMemory::let_go(size_t offset, const void* content) {
  uint64_t page = reinterpret_cast<uint64_t>(memory_.at(offset));

  if (!content) {
    uffdio_zeropage zero = {};
    zero.range = {page, kPage};
    return call(fault_fd_, UFFDIO_ZEROPAGE, &zero);
  }
  uffdio_copy copy = {};
  copy.dst = page;
  copy.src = reinterpret_cast<uint64_t>(content);
  copy.len = kPage;
  return call(fault_fd_, UFFDIO_COPY, &copy);
}

}  // namespace stack
