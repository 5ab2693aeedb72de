// SPDX-License-Identifier: GPL-2.0
//
// The VFIO container/group interface in four objects:
//
//   Container   an address space for devices (/dev/vfio/vfio + the type1 IOMMU)
//   Group       what the IOMMU can isolate (/dev/vfio/N); joins one container
//   Device      a PCI function of a group: its registers and interrupts
//   DmaMapping  a piece of our memory that the device may reach, at an IOVA
//
// Nothing here knows about NVMe. Devices reach no memory but what a DmaMapping
// shows them, and only while it lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "system.hpp"

namespace vfio {

// Hands out IOVAs from the ranges that the IOMMU can translate, lowest first.
// An IOVA is never handed out twice: a device that still uses a stale one then
// runs into the IOMMU and not into someone else's buffer.
class IovaAllocator {
 public:
  struct Range {
    std::uint64_t first;
    std::uint64_t last;  // inclusive: a range may end at the last address
  };

  IovaAllocator() = default;
  IovaAllocator(std::vector<Range> ranges, std::uint64_t granule);

  // `size` in bytes is rounded up to the granule. Throws when all are used up.
  std::uint64_t allocate(std::uint64_t size);

 private:
  std::vector<Range> ranges_;  // what is left
  std::uint64_t granule_ = 1;
};

class Group {
 public:
  explicit Group(int number);

  int fd() const { return fd_.get(); }
  int number() const { return number_; }

 private:
  sys::Fd fd_;
  int number_;
};

// What the device may do to a mapping.
enum class Access { kDeviceReads, kDeviceWrites, kBoth };

class Container {
 public:
  Container();

  // Puts the group into the container. The first one also chooses the IOMMU
  // model: only then can memory be mapped.
  void add(Group& group);

  void map_dma(std::span<std::byte> memory, std::uint64_t iova, Access access);
  void unmap_dma(std::uint64_t iova, std::uint64_t size);

  // An IOVA that nothing else uses. Nothing is mapped there by this.
  std::uint64_t allocate_iova(std::uint64_t size) { return iovas_.allocate(size); }

 private:
  void read_iommu_info();

  sys::Fd fd_;
  bool iommu_set_ = false;
  IovaAllocator iovas_;
  std::uint64_t mapped_bytes_ = 0;
};

// Memory of the caller's, visible to the container's devices while this lives.
class DmaMapping {
 public:
  DmaMapping(Container& container, std::span<std::byte> memory, Access access);
  DmaMapping(DmaMapping&& other) noexcept
      : container_(other.container_), iova_(other.iova_), size_(std::exchange(other.size_, 0)) {}
  DmaMapping& operator=(DmaMapping&&) = delete;
  ~DmaMapping();

  // Takes the memory away from the devices now. iova() still tells where it was.
  void unmap();

  std::uint64_t iova() const { return iova_; }

 private:
  Container& container_;
  std::uint64_t iova_;
  std::uint64_t size_;  // 0: unmapped
};

// Memory of its own together with its mapping. The mapping is the later member,
// so it goes first: when the memory returns to the system no device sees it.
class DmaBuffer {
 public:
  DmaBuffer(Container& container, std::size_t size, Access access)
      : memory_(size), mapping_(container, memory_.bytes(), access) {}

  std::span<std::byte> bytes() const { return memory_.bytes(); }
  std::size_t size() const { return memory_.size(); }
  std::uint64_t iova() const { return mapping_.iova(); }

  template <typename T>
  std::span<T> as() const {
    return {reinterpret_cast<T*>(memory_.data()), memory_.size() / sizeof(T)};
  }

 private:
  sys::Memory memory_;
  DmaMapping mapping_;
};

// Device registers, mapped into this process. A region may be mappable in parts
// only, with holes (older kernels keep the MSI-X table's page to themselves).
class Registers {
 public:
  Registers() = default;
  Registers(Registers&& other) noexcept : windows_(std::exchange(other.windows_, {})) {}
  Registers& operator=(Registers&& other) noexcept {
    std::swap(windows_, other.windows_);
    return *this;
  }
  ~Registers();

  // The register at `offset` of the region; throws if it lies in a hole.
  volatile std::uint32_t* at(std::uint64_t offset) const;

  std::uint32_t read32(std::uint64_t offset) const { return *at(offset); }
  void write32(std::uint64_t offset, std::uint32_t value) { *at(offset) = value; }
  std::uint64_t read64(std::uint64_t offset) const;
  void write64(std::uint64_t offset, std::uint64_t value);

 private:
  friend class Device;
  struct Window {
    std::uint64_t offset;
    std::uint64_t size;
    std::byte* address;
  };
  std::vector<Window> windows_;
};

class Device {
 public:
  Device(Group& group, const std::string& bdf);

  // Maps what the kernel lets us map of BAR `index`.
  Registers map_bar(unsigned index);

  // Lets the device issue DMA and MSI-X; vfio-pci starts with this off.
  void enable_bus_master();

  unsigned msix_vectors();

  // Sends vector i to (*events[i]). Replaces nothing: call it once.
  void enable_msix(std::span<const sys::EventFd* const> events);

 private:
  sys::Fd fd_;
  std::string bdf_;
};

}  // namespace vfio
