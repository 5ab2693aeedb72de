// SPDX-License-Identifier: GPL-2.0
#include "iommu.hpp"
#include "uapi/vfio_zpci.h"

namespace {

// The guest has one function, and this is its handle.
constexpr std::uint32_t kHandle = 1;

}  // namespace

NestedIommu::NestedIommu(int container, int group, const Machine& machine, int doorbell)
    : container_(container), group_(group), doorbell_(doorbell) {
  // Guest addresses are what the IOVAs of other IOMMU drivers are. The memory is pinned here,
  // and nothing is by a refresh.
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof(map);
  map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  map.vaddr = reinterpret_cast<std::uintptr_t>(machine.memory());
  map.iova = 0;
  map.size = machine.memory_size();
  check(ioctl(container_, VFIO_IOMMU_MAP_DMA, &map), "handing over the guest's memory");
}

void NestedIommu::register_table(const protocol::Boot& format,
                                 const protocol::Registration& registration) {
  const bool vtd = format.format == protocol::Format::kVtd;
  vfio_zpci_register request{};
  request.argsz = sizeof(request);
  request.fh = kHandle;
  request.fid = kHandle;
  request.group_fd = group_;
  request.format = vtd ? VFIO_ZPCI_FORMAT_VTD : VFIO_ZPCI_FORMAT_S390;
  request.levels = vtd ? format.levels : 0;
  request.anchor = registration.anchor;
  request.pba = registration.pba;
  request.pal = registration.pal;
  check(ioctl(container_, VFIO_ZPCI_REGISTER, &request), "registering the guest's table");
  if (doorbell_ < 0) return;

  // From now on the kernel does what the guest asks for in the page.
  vfio_zpci_doorbell bind{};
  bind.argsz = sizeof(bind);
  bind.fh = kHandle;
  bind.eventfd = doorbell_;
  bind.page = protocol::kRefreshPage;
  check(ioctl(container_, VFIO_ZPCI_SET_DOORBELL, &bind), "binding the doorbell");
}

Iommu::Outcome NestedIommu::refresh(std::uint64_t start, std::uint64_t length) {
  vfio_zpci_refresh request{};
  request.argsz = sizeof(request);
  request.fh = kHandle;
  request.start = start;
  request.length = length;
  meter_.reset();
  check(meter_.call(container_, VFIO_ZPCI_REFRESH, request), "refreshing");
  return {request.cc, request.status};
}

protocol::Event NestedIommu::recover() {
  vfio_zpci_event event{};
  event.argsz = sizeof(event);
  event.flags = VFIO_ZPCI_EVENT_CLEAR;
  event.fh = kHandle;
  check(ioctl(container_, VFIO_ZPCI_GET_EVENT, &event), "asking for the function's event");
  vfio_zpci_state state{};
  state.argsz = sizeof(state);
  state.fh = kHandle;
  state.state = VFIO_ZPCI_STATE_ENABLED;
  check(ioctl(container_, VFIO_ZPCI_SET_STATE, &state), "enabling the function again");
  return {event.address, event.code};
}
