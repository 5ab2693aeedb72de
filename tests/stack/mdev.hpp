// SPDX-License-Identifier: GPL-2.0
//
// Mediated devices for the whole-stack tests: the kernel's sample drivers,
// loaded by a test and unloaded behind it, their devices, and a session that
// opens one through its group.
#pragma once

#include <vector>

#include "harness.hpp"

namespace stack {

// Removes the module at once if nothing uses it; 0 or -errno.
long unload_module(const std::string& name);

// One of mtty, mdpy, mbochs, loaded for the life of the object. A run without
// them proves nothing, so their absence is a failure.
class SampleDriver {
 public:
  explicit SampleDriver(std::string name, const std::string& params = "");
  ~SampleDriver();
  SampleDriver(const SampleDriver&) = delete;

  bool ok() const { return ok_; }
  const std::string& name() const { return name_; }
  long load();
  long unload();

  // Its parent's directory, by the link that all parents have.
  std::string parent() const { return "/sys/class/mdev_bus/" + name_; }
  std::string type(const std::string& type) const;
  std::string file(const std::string& type, const std::string& file) const;
  uint64_t available(const std::string& type) const;
  // What writing a UUID to `create` gave: 0 or -errno.
  long create(const std::string& type, std::string_view uuid) const;

 private:
  std::string name_, params_;
  bool ok_ = false;
};

// Sequential, all different; the same in each run.
std::string test_uuid(unsigned number);

std::string mdev_path(const std::string& uuid);
bool mdev_exists(const std::string& uuid);
// 0 or -errno.
long mdev_remove(const std::string& uuid);
// All there are, sorted.
std::vector<std::string> mdevs();

// Container with type1 v2, the device's group, and its descriptor.
class MdevSession {
 public:
  // `container`: one that has its IOMMU, to be shared; else one of its own.
  explicit MdevSession(const std::string& uuid, int container = -1);
  ~MdevSession() { close(); }
  MdevSession(const MdevSession&) = delete;

  bool ok() const { return device_.valid(); }
  long result() const { return result_; }  // of the first step that failed
  int container() const { return container_; }
  int device() const { return device_; }
  void close();

 private:
  Fd container_, group_, device_;
  long result_ = 0;
};

// The kernel's events for userspace, from construction on.
class Uevents {
 public:
  struct Event {
    std::string action, path;
    std::vector<std::string> environment;
    bool has(std::string_view variable) const;
  };

  Uevents();
  bool ok() const { return socket_.valid(); }
  // All that have arrived.
  std::vector<Event> take();

 private:
  Fd socket_;
};

}  // namespace stack
