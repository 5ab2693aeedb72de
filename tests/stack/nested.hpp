// SPDX-License-Identifier: GPL-2.0
//
// The ioctls of a container of vfio_zpci in one line each.
#pragma once

#include "guest_tables.hpp"
#include "harness.hpp"
#include "uapi/vfio_zpci.h"

namespace stack {

// Fills in argsz. Each returns the ioctl's result.
long zpci_register(int container, uint32_t fh, int group_fd,
                   const GuestTables& tables, uint64_t pba = 0,
                   uint64_t pal = (1ull << 38) - 1);
long zpci_register_direct(int container, uint32_t fh, int group_fd,
                          uint64_t pba, uint64_t pal);
long zpci_deregister(int container, uint32_t fh, uint32_t flags = 0);
long zpci_set_state(int container, uint32_t fh, uint32_t state);
struct ZpciRefreshed {
  long result;
  uint32_t cc, status;
  bool operator==(const ZpciRefreshed&) const = default;
};
ZpciRefreshed zpci_refresh(int container, uint32_t fh, uint64_t start,
                           uint64_t length);
std::ostream& operator<<(std::ostream& out, const ZpciRefreshed& refreshed);
constexpr ZpciRefreshed kRefreshed{0, VFIO_ZPCI_CC_OK, 0};
vfio_zpci_event zpci_event(int container, uint32_t fh, uint32_t flags = 0);
vfio_zpci_statistics zpci_statistics(int container, uint32_t fh);

// vfio_zpci, loaded. The kernel's own vfio.ko does not load it when it is asked
// for, nor can it be unloaded before; so on stock this unloads it again.
class ZpciModule {
 public:
  ZpciModule();
  ~ZpciModule();
};

}  // namespace stack
