// SPDX-License-Identifier: GPL-2.0
//
// Opening files, and what system calls say when they fail.
#pragma once

#include <fcntl.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace bench {

[[noreturn]] inline void throw_errno(const std::string& doing) {
  throw std::system_error(errno, std::generic_category(), doing);
}

// Opens a file to read and write it.
inline int open_or_throw(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) throw_errno("open " + path);
  return fd;
}

}  // namespace bench
