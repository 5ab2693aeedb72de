// SPDX-License-Identifier: GPL-2.0
#include "merge.hpp"

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

#include "uapi/vfio_group_merge.h"

namespace bench {
namespace {

void check(int result, const std::string& what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
}

std::string group_of_edu(std::size_t which) {
  const std::vector<std::string> edus = Container::find_devices("0x11e8");
  if (which >= edus.size()) throw std::runtime_error("the machine has too few edu devices");
  return Container::group_of(edus[which]);
}

int open_group(std::size_t which) {
  const std::string path = "/dev/vfio/" + group_of_edu(which);
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  check(fd, "open " + path);
  return fd;
}

// Asked once: the answer opens a file.
bool can_merge() {
  static const bool can = Container::knows(VFIO_GROUP_MERGE_EXTENSION);
  return can;
}

void merge(unsigned long request, int group, int other) {
  vfio_group_merge argument{sizeof(argument), 0, other};
  check(ioctl(group, request, &argument), "merging groups");
}

}  // namespace

Groups::Groups(std::size_t count) {
  containers_.push_back(std::make_unique<Container>(group_of_edu(0)));
  for (std::size_t i = 1; i < count; i++) {
    if (can_merge()) {
      members_.push_back(open_group(i));
      merge(VFIO_GROUP_MERGE, containers_[0]->group(), members_.back());
    } else {
      containers_.push_back(std::make_unique<Container>(group_of_edu(i)));
    }
  }
}

Groups::~Groups() {
  for (const int member : members_) close(member);
}

void Groups::map(std::uint64_t iova, std::uint64_t vaddr, std::uint64_t size) {
  for (const auto& container : containers_) container->map(iova, vaddr, size);
}

void Groups::unmap(std::uint64_t iova, std::uint64_t size) {
  for (const auto& container : containers_) container->unmap(iova, size, size);
}

Joiner::Joiner(std::size_t which) : fd_(open_group(which)) {}

Joiner::~Joiner() { close(fd_); }

void Joiner::join(const Container& container) {
  if (can_merge()) return merge(VFIO_GROUP_MERGE, container.group(), fd_);
  const int fd = container.fd();
  check(ioctl(fd_, VFIO_GROUP_SET_CONTAINER, &fd), "SET_CONTAINER");
}

void Joiner::leave(const Container& container) {
  if (can_merge()) return merge(VFIO_GROUP_UNMERGE, container.group(), fd_);
  check(ioctl(fd_, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
}

}  // namespace bench
