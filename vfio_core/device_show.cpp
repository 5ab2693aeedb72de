// SPDX-License-Identifier: GPL-2.0
//
// What debugfs shows of a registered device: vfio/NAME, where the kernel's own vfio.ko has its
// folder, and its line in the file of the container.
#include "compat/migration.h"
#include "device.hpp"
#include "entry.h"

namespace vfio {

namespace {

// The kernel's own words.
constexpr const char *kStateNames[] = {"ERROR",	   "STOP",	  "RUNNING",  "STOP_COPY",
				       "RESUMING", "RUNNING_P2P", "PRE_COPY", "PRE_COPY_P2P"};
constexpr u32 kStateNameCount = sizeof(kStateNames) / sizeof(kStateNames[0]);

constexpr const char *kGateStates[] = {"open", "trapped", "blocked", "blocking", "gone"};
constexpr u32 kGateStateCount = sizeof(kGateStates) / sizeof(kGateStates[0]);

static_assert(VFIO_GATE_OPEN == 0 && VFIO_GATE_TRAPPED == 1 && VFIO_GATE_BLOCKED == 2 &&
	      VFIO_GATE_BLOCKING == 3 && VFIO_GATE_GONE == 4);

const char *gate_state(const Gate *gate)
{
	if (!gate)
		return "none";

	const u32 state = gate->state();

	return state < kGateStateCount ? kGateStates[state] : "unknown";
}

} // namespace

void Device::show_in_group(seq_file *seq) const
{
	const u32 opens = open_count();
	// A device that has been opened keeps its gate, or the lack of one.
	const Gate *gate = opens ? this->gate() : nullptr;

	shim_seq_printf(seq, "device %s driver %s opens %u gate %s\n", shim_device_name(handle_),
			shim_device_driver_name(handle_), opens, gate_state(gate));
}

// Errors: EINVAL if the driver fails.
Result<void> Device::show_state(seq_file *seq) const
{
	u32 state = 0;

	if (shim_device_migration_get(handle_, &state) < 0)
		return Error(EINVAL);
	shim_seq_printf(seq, "%s\n", state < kStateNameCount ? kStateNames[state] : "Invalid");
	return {};
}

void Device::show_features(seq_file *seq) const
{
	const u32 flags = shim_device_migration_flags(handle_);
	const struct {
		bool can;
		const char *name;
	} features[] = {
		{(flags & VFIO_MIGRATION_STOP_COPY) != 0, "stop-copy"},
		{(flags & VFIO_MIGRATION_P2P) != 0, "p2p"},
		{(flags & COMPAT_MIGRATION_PRE_COPY) != 0, "pre-copy"},
		{has(SHIM_DEVICE_LOGGING), "dirty-tracking"},
	};

	for (const auto &feature : features)
		if (feature.can)
			shim_seq_printf(seq, "%s\n", feature.name);
}

void Device::show_user(seq_file *seq)
{
	Group &group = this->group();
	const RefPtr<Container> container = group.share_container();

	shim_seq_printf(seq, "opens %u\ngroup %d\n", open_count(),
			shim_iommu_group_id(group.kernel_group()));
	if (container)
		shim_seq_printf(seq, "container %llu\n", container->number());
	if (open_count()) {
		const shim_task opener = this->opener();

		shim_seq_printf(seq, "pid %d\ncomm %s\n", opener.pid, opener.name);
	}
}

CORE_ENTRY int vfio_core_device_show(vfio_core_device *handle, u32 file, seq_file *seq)
{
	Device &device = Device::of(handle);

	switch (file) {
	case SHIM_DEVICE_STATE:
		return device.show_state(seq).negative();
	case SHIM_DEVICE_FEATURES:
		device.show_features(seq);
		return 0;
	default:
		device.show_user(seq);
		return 0;
	}
}

} // namespace vfio
