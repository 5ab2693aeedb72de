// SPDX-License-Identifier: GPL-2.0
#include "nested.hpp"

#include <stdlib.h>

#include <ostream>

#include "mdev.hpp"

namespace stack {

long zpci_register(int container, uint32_t fh, int group_fd,
                   const GuestTables& tables, uint64_t pba, uint64_t pal) {
  const vfio_zpci_register request{.argsz = sizeof request,
                                   .flags = 0,
                                   .fh = fh,
                                   .fid = fh + 1000,
                                   .group_fd = group_fd,
                                   .format = tables.format(),
                                   .levels = tables.levels(),
                                   .reserved = 0,
                                   .anchor = tables.anchor(),
                                   .pba = pba,
                                   .pal = pal};
  return call(container, VFIO_ZPCI_REGISTER, &request);
}

long zpci_register_direct(int container, uint32_t fh, int group_fd,
                          uint64_t pba, uint64_t pal) {
  const vfio_zpci_register request{.argsz = sizeof request,
                                   .flags = VFIO_ZPCI_REGISTER_DIRECT,
                                   .fh = fh,
                                   .fid = fh + 1000,
                                   .group_fd = group_fd,
                                   .format = VFIO_ZPCI_FORMAT_S390,
                                   .levels = 0,
                                   .reserved = 0,
                                   .anchor = 0,
                                   .pba = pba,
                                   .pal = pal};
  return call(container, VFIO_ZPCI_REGISTER, &request);
}

long zpci_deregister(int container, uint32_t fh, uint32_t flags) {
  const vfio_zpci_deregister request{sizeof request, flags, fh, 0};
  return call(container, VFIO_ZPCI_DEREGISTER, &request);
}

long zpci_set_state(int container, uint32_t fh, uint32_t state) {
  const vfio_zpci_state request{sizeof request, 0, fh, state};
  return call(container, VFIO_ZPCI_SET_STATE, &request);
}

ZpciRefreshed zpci_refresh(int container, uint32_t fh, uint64_t start,
                           uint64_t length) {
  vfio_zpci_refresh request{sizeof request, 0, fh, 99, 99, 0, start, length};
  const long result = call(container, VFIO_ZPCI_REFRESH, &request);
  return {result, request.cc, request.status};
}

std::ostream& operator<<(std::ostream& out, const ZpciRefreshed& refreshed) {
  return out << "cc " << refreshed.cc << ", status " << refreshed.status
             << ", result " << errno_name(refreshed.result);
}

vfio_zpci_event zpci_event(int container, uint32_t fh, uint32_t flags) {
  vfio_zpci_event event{sizeof event, flags, fh, 0, 0, 0, 0};
  EXPECT_OK(call(container, VFIO_ZPCI_GET_EVENT, &event));
  return event;
}

vfio_zpci_statistics zpci_statistics(int container, uint32_t fh) {
  vfio_zpci_statistics statistics{};
  statistics.argsz = sizeof statistics;
  statistics.fh = fh;
  EXPECT_OK(call(container, VFIO_ZPCI_GET_STATISTICS, &statistics));
  return statistics;
}

ZpciModule::ZpciModule() { EXPECT_EQ(system("modprobe vfio_zpci"), 0); }

ZpciModule::~ZpciModule() {
  if (on_stock()) {
    EXPECT_OK(unload_module("vfio_zpci"));
  }
}

}  // namespace stack
