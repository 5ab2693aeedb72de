// SPDX-License-Identifier: GPL-2.0
#include "isolation.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace nvme {
namespace {

// One page, or block if that is larger, so that a read that goes astray is one
// fault: the kernel logs only a few of them in five seconds, and each shall show.
constexpr std::size_t kProbeBytes = kPage;
// The least that has a PRP list.
constexpr std::size_t kListProbeBytes = 3 * kPage;
constexpr std::size_t kGuardBytes = 4 * kPage;
constexpr std::chrono::seconds kReadTimeout{5};

}  // namespace

// Memory for an attempt: a target as large as the probe between two guards. Its
// pattern differs in every byte from what the drive would put there, repeated all
// over, so that not one byte can arrive unseen.
class IsolationDemo::GuardedMemory {
 public:
  explicit GuardedMemory(std::span<const std::byte> reference)
      : reference_(reference),
        memory_(kGuardBytes + sys::round_up_to_page(reference.size()) + kGuardBytes) {}

  std::span<std::byte> target() const {
    return memory_.bytes().subspan(kGuardBytes, sys::round_up_to_page(reference_.size()));
  }
  std::size_t size() const { return memory_.size(); }

  void fill() {
    for (std::size_t i = 0; i < size(); i++) memory_.data()[i] = pattern(i);
  }
  std::size_t changed_bytes() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < size(); i++) count += memory_.data()[i] != pattern(i);
    return count;
  }

 private:
  // Aligned to the target: there, byte i of the pattern is byte i's complement.
  std::byte pattern(std::size_t i) const {
    const std::size_t n = reference_.size();
    return ~reference_[(i + n - kGuardBytes % n) % n];
  }

  std::span<const std::byte> reference_;
  sys::Memory memory_;
};

IsolationDemo::IsolationDemo(vfio::Container& container, Controller& controller, std::ostream& out)
    : container_(container),
      controller_(controller),
      out_(out),
      probe_bytes_(whole_blocks(kProbeBytes)),
      normal_bytes_(whole_blocks(kListProbeBytes)),
      normal_(container, normal_bytes_),
      reference_(read_normally()) {}

std::uint64_t IsolationDemo::dma_bytes() {
  return 2 * sys::round_up_to_page(kMaxBlockBytes) + sys::round_up_to_page(kPage);
}

std::size_t IsolationDemo::whole_blocks(std::size_t size) const {
  const std::size_t block_size = controller_.namespace_info().block_size;
  return (size + block_size - 1) / block_size * block_size;
}

std::span<const std::byte> IsolationDemo::probe_reference() const {
  return std::span(reference_).first(probe_bytes_);
}

bool IsolationDemo::run() {
  // All four, even if one fails: each tells something.
  bool held = never_mapped();
  let_fault_be_logged();
  held &= unmapped();
  let_kernel_log_more();
  held &= read_only();
  held &= recovered();
  return held;
}

// An IOMMU may have one place for a fault, as QEMU's VT-d has: one that comes before the kernel has
// read the last is blocked like any other, but is missing in the kernel's log.
void IsolationDemo::let_fault_be_logged() {
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
}

// Linux counts ten lines about faults in five seconds, three a fault, and drops the others. Three
// attempts are nine lines, but QEMU's NVMe tries twice to reach memory that it cannot: if the
// kernel is quick enough to read the first fault by then, an attempt is two faults.
void IsolationDemo::let_kernel_log_more() {
  std::this_thread::sleep_for(std::chrono::milliseconds(5100));
}

IsolationDemo::Outcome IsolationDemo::read(std::size_t size, Prps prps) {
  const auto nblocks = static_cast<std::uint32_t>(size / controller_.namespace_info().block_size);
  const auto completion =
      controller_.io().execute(controller_.read_command(0, nblocks, prps), kReadTimeout);
  if (completion) return {completion->status.ok(), "status " + completion->status.text()};
  // A device may also hang on an access that gets no answer.
  controller_.restart();
  return {false, "no answer, controller restarted"};
}

std::vector<std::byte> IsolationDemo::read_normally() {
  const auto bytes = normal_.bytes().first(normal_bytes_);
  std::ranges::fill(bytes, std::byte{0});
  if (normal_bytes_ > controller_.identity().max_transfer ||
      normal_bytes_ > controller_.namespace_info().bytes())
    throw std::runtime_error(sys::format(
        "the isolation demo needs a drive, and a largest transfer, of %zu bytes", normal_bytes_));
  const Outcome outcome = read(normal_bytes_, normal_.prps(normal_bytes_));
  if (!outcome.success) throw CommandError("a normal read: " + outcome.text);
  return {bytes.begin(), bytes.end()};
}

// The probe, into memory that `mapping` is or was for.
IsolationDemo::Outcome IsolationDemo::read_into(const vfio::DmaMapping& mapping) {
  // Its PRP list, if it needs one, is normal_'s place for that: always mapped.
  return read(probe_bytes_, normal_.prps_to(mapping.iova(), probe_bytes_));
}

// There never was memory at these IOVAs that one could look at. But reading is not
// posted: the device must notice that it cannot fetch its PRP list there.
bool IsolationDemo::never_mapped() {
  const std::uint64_t data_iova = container_.allocate_iova(normal_bytes_);
  const std::uint64_t list_iova = container_.allocate_iova(kPage);
  const Outcome outcome = read(normal_bytes_, {data_iova, list_iova});
  out_ << "isolation never-mapped: " << (outcome.success ? "NOT BLOCKED" : "blocked") << " ("
       << outcome.text << sys::format(", IOVA %#llx", static_cast<unsigned long long>(list_iova))
       << ")" << std::endl;
  return !outcome.success;
}

bool IsolationDemo::unmapped() {
  GuardedMemory memory(probe_reference());
  vfio::DmaMapping mapping(container_, memory.target(), vfio::Access::kDeviceWrites);

  // While it is mapped the same command does reach it.
  memory.fill();
  const Outcome before = read_into(mapping);
  if (!before.success || memory.changed_bytes() != probe_bytes_)
    throw CommandError("a read into the buffer while it was mapped: " + before.text);

  memory.fill();
  mapping.unmap();
  const Outcome after = read_into(mapping);
  return report("unmapped", mapping, memory, after);
}

bool IsolationDemo::read_only() {
  GuardedMemory memory(probe_reference());
  const vfio::DmaMapping mapping(container_, memory.target(), vfio::Access::kDeviceReads);
  memory.fill();
  const Outcome outcome = read_into(mapping);
  return report("read-only", mapping, memory, outcome);
}

bool IsolationDemo::report(const char* name, const vfio::DmaMapping& mapping,
                           const GuardedMemory& memory, const Outcome& outcome) {
  const std::size_t changed = memory.changed_bytes();
  out_ << "isolation " << name << ": ";
  if (changed == 0)
    out_ << "blocked, " << memory.size() << " bytes unchanged";
  else
    out_ << "NOT BLOCKED, " << changed << " of " << memory.size() << " bytes changed";
  out_ << " (" << outcome.text << (outcome.success && changed == 0 ? ", as writes are posted" : "")
       << sys::format(", IOVA %#llx", static_cast<unsigned long long>(mapping.iova())) << ")"
       << std::endl;
  return changed == 0;
}

// The same bytes as before, also when the controller has started afresh.
bool IsolationDemo::recovered() {
  bool same = read_normally() == reference_;
  controller_.restart();
  same &= read_normally() == reference_;
  out_ << "isolation recovered: " << (same ? "yes" : "NO") << std::endl;
  return same;
}

}  // namespace nvme
