// SPDX-License-Identifier: GPL-2.0
#include "pin_device.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "../tests/kmod/vfio_testdev.h"

namespace bench {
namespace {

[[noreturn]] void throw_error(int error, const std::string& doing) {
  throw std::system_error(error, std::generic_category(), doing);
}

}  // namespace

PinDevice::PinDevice() {
  control_ = open("/dev/" VFIO_TESTDEV_NAME, O_RDWR | O_CLOEXEC);
  if (control_ < 0) throw_error(errno, "open /dev/" VFIO_TESTDEV_NAME);
  vfio_testdev_create config{};
  config.kind = VFIO_TESTDEV_FULL;
  if (ioctl(control_, VFIO_TESTDEV_CREATE, &config) < 0) throw_error(errno, "making a device");
  id_ = config.id;
  container_ = std::make_unique<Container>(std::to_string(config.group));
  device_ = container_->open_device(config.name);
}

PinDevice::~PinDevice() {
  close(device_);
  container_.reset();
  ioctl(control_, VFIO_TESTDEV_DESTROY, &id_);
  close(control_);
}

void PinDevice::sweep(std::uint64_t iova, std::uint64_t npages, std::uint32_t per_call, bool unpin,
                      From from) {
  vfio_testdev_sweep request{};
  request.iova = iova;
  request.npages = npages;
  request.per_call = per_call;
  request.prot = VFIO_TESTDEV_PROT_READ | VFIO_TESTDEV_PROT_WRITE;
  request.unpin = unpin;
  request.flags = from == kFromWorker ? VFIO_TESTDEV_KTHREAD : 0;
  if (ioctl(device_, VFIO_TESTDEV_SWEEP, &request) < 0) throw_error(errno, "pins of the device");
  if (request.ret < 0) throw_error(-request.ret, "vfio_pin_pages");
}

void PinDevice::pin(std::uint64_t iova, std::uint64_t npages, std::uint32_t per_call, From from) {
  sweep(iova, npages, per_call, false, from);
}

void PinDevice::unpin(std::uint64_t iova, std::uint64_t npages, std::uint32_t per_call) {
  sweep(iova, npages, per_call, true, kFromCaller);
}

}  // namespace bench
