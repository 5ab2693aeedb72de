// SPDX-License-Identifier: GPL-2.0
#include "mdev.hpp"

#include <dirent.h>
#include <limits.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <set>

namespace stack {

long unload_module(const std::string& name) {
  long result = syscall(SYS_delete_module, name.c_str(), O_NONBLOCK);
  return result < 0 ? -errno : result;
}

SampleDriver::SampleDriver(std::string name, const std::string& params)
    : name_(std::move(name)), params_(params) {
  EXPECT_FALSE(exists("/sys/module/" + name_)) << "left by another test";
  EXPECT_EQ(load(), 0) << "modprobe " << name_;
  ok_ = exists(parent());
  EXPECT_TRUE(ok_) << "no parent " << parent();
  EXPECT_EQ(read_text("/sys/module/mdev/version"), on_stock() ? "0.1" : "1.0")
      << "another mdev.ko than the one under test";
}

SampleDriver::~SampleDriver() {
  if (exists("/sys/module/" + name_)) {
    EXPECT_OK(unload());
  }
  EXPECT_FALSE(exists(parent()));
}

long SampleDriver::load() {
  return system(("modprobe " + name_ + " " + params_).c_str());
}

long SampleDriver::unload() { return unload_module(name_); }

std::string SampleDriver::type(const std::string& type) const {
  return parent() + "/mdev_supported_types/" + name_ + "-" + type;
}

std::string SampleDriver::file(const std::string& type,
                               const std::string& file) const {
  return read_text(this->type(type) + "/" + file);
}

uint64_t SampleDriver::available(const std::string& type) const {
  return strtoull(file(type, "available_instances").c_str(), nullptr, 10);
}

long SampleDriver::create(const std::string& type,
                          std::string_view uuid) const {
  long result = write_text(this->type(type) + "/create", uuid);
  if (result < 0) return result;
  return result == static_cast<long>(uuid.size()) ? 0 : -EIO;
}

std::string test_uuid(unsigned number) {
  char text[40];
  snprintf(text, sizeof text, "5ca1ab1e-0000-4000-8000-%012x", number);
  return text;
}

std::string mdev_path(const std::string& uuid) {
  return "/sys/bus/mdev/devices/" + uuid;
}

bool mdev_exists(const std::string& uuid) { return exists(mdev_path(uuid)); }

long mdev_remove(const std::string& uuid) {
  long result = write_text(mdev_path(uuid) + "/remove", "1");
  return result == 1 ? 0 : result < 0 ? result : -EIO;
}

std::vector<std::string> mdevs() {
  std::vector<std::string> names;
  if (DIR* dir = opendir("/sys/bus/mdev/devices")) {
    while (dirent* entry = readdir(dir))
      if (entry->d_name[0] != '.') names.push_back(entry->d_name);
    closedir(dir);
  }
  std::sort(names.begin(), names.end());
  return names;
}

MdevSession::MdevSession(const std::string& uuid, int container) {
  char target[PATH_MAX] = "";
  std::string link = mdev_path(uuid) + "/iommu_group";
  if (readlink(link.c_str(), target, sizeof target - 1) < 0) {
    result_ = -errno;
    return;
  }
  container_ = container < 0 ? open_container() : Fd(dup(container));
  group_ = open_path("/dev/vfio/" + std::string(strrchr(target, '/') + 1));
  if ((result_ = group_.get()) < 0) return;
  if ((result_ = set_container(group_, container_)) < 0) return;
  if (container < 0 &&
      (result_ = set_iommu(container_, VFIO_TYPE1v2_IOMMU)) < 0)
    return;
  device_ = get_device(group_, uuid);
  result_ = device_.get();
}

void MdevSession::close() {
  device_.reset();
  group_.reset();
  container_.reset();
}

Uevents::Uevents() {
  socket_ = Fd(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                      NETLINK_KOBJECT_UEVENT));
  int size = 4 << 20;
  setsockopt(socket_, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1;  // the kernel's own
  if (bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
    socket_.reset();
}

bool Uevents::Event::has(std::string_view variable) const {
  return std::find(environment.begin(), environment.end(), variable) !=
         environment.end();
}

std::vector<Uevents::Event> Uevents::take() {
  std::vector<Event> events;
  char buffer[8192];
  for (;;) {
    ssize_t size = recv(socket_, buffer, sizeof buffer, 0);
    if (size <= 0) return events;
    Event event;
    // ACTION@PATH, then the environment, each with a zero behind it.
    std::string_view rest(buffer, static_cast<size_t>(size));
    while (!rest.empty()) {
      size_t end = std::min(rest.find('\0'), rest.size());
      event.environment.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    std::string head = event.environment.front();
    event.environment.erase(event.environment.begin());
    event.action = head.substr(0, head.find('@'));
    event.path = head.substr(head.find('@') + 1);
    events.push_back(std::move(event));
  }
}

}  // namespace stack
