// SPDX-License-Identifier: GPL-2.0
//
// The migration of a device: its states, how to get from one to another, and the
// features by which userspace asks for them.
//
// Userspace may ask for any state; drivers implement single steps between some of
// them. For a state that is further away the driver takes several steps, and asks
// vfio_mig_get_next_state() for each. Which states exist depends on what the driver
// can do; steps over a state that does not exist are joined into one.
#include "compat/migration.h"
#include "device_feature.hpp"
#include "entry.h"
#include "vocab/uaccess.hpp"

namespace vfio {

namespace {

constexpr u8 kError = VFIO_DEVICE_STATE_ERROR;
constexpr u8 kStop = VFIO_DEVICE_STATE_STOP;
constexpr u8 kRunning = VFIO_DEVICE_STATE_RUNNING;
constexpr u8 kStopCopy = VFIO_DEVICE_STATE_STOP_COPY;
constexpr u8 kResuming = VFIO_DEVICE_STATE_RESUMING;
constexpr u8 kRunningP2p = VFIO_DEVICE_STATE_RUNNING_P2P;
constexpr u8 kPreCopy = COMPAT_STATE_PRE_COPY;
constexpr u8 kPreCopyP2p = COMPAT_STATE_PRE_COPY_P2P;
constexpr u32 kStates = 8;

// What a driver must be able to do for a state to exist. No driver has all flags, so
// that nobody can ask for the error state; only a reset leaves it.
constexpr u32 kNeeds[kStates] = {
	~0u,			  // error
	VFIO_MIGRATION_STOP_COPY, // stop
	VFIO_MIGRATION_STOP_COPY, // running
	VFIO_MIGRATION_STOP_COPY, // stop-copy
	VFIO_MIGRATION_STOP_COPY, // resuming
	// running, but without P2P
	VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P,
	// pre-copy, and pre-copy without P2P
	VFIO_MIGRATION_STOP_COPY | COMPAT_MIGRATION_PRE_COPY,
	VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P | COMPAT_MIGRATION_PRE_COPY,
};

// kSteps[from][to] is the next state on the way, for a driver that can do everything.
// Rows are in the order of the columns.
constexpr u8 kSteps[kStates][kStates] = {
	// error, stop, running, stop-copy, resuming, P2P, pre-copy, pre-copy P2P
	{kError, kError, kError, kError, kError, kError, kError, kError},
	{kError, kStop, kRunningP2p, kStopCopy, kResuming, kRunningP2p, kRunningP2p, kRunningP2p},
	{kError, kRunningP2p, kRunning, kRunningP2p, kRunningP2p, kRunningP2p, kPreCopy,
	 kRunningP2p},
	{kError, kStop, kStop, kStopCopy, kStop, kStop, kError, kError},
	{kError, kStop, kStop, kStop, kResuming, kStop, kStop, kStop},
	{kError, kStop, kRunning, kStop, kStop, kRunningP2p, kRunning, kPreCopyP2p},
	{kError, kRunning, kRunning, kPreCopyP2p, kRunning, kRunning, kPreCopy, kPreCopyP2p},
	{kError, kRunningP2p, kRunningP2p, kStopCopy, kRunningP2p, kRunningP2p, kPreCopy,
	 kPreCopyP2p},
};

// The states that exist for a driver with these flags, among the first known states.
struct States {
	u32 flags;
	u32 known = COMPAT_STATES;

	constexpr bool has(u32 state) const
	{
		return state < known && (kNeeds[state] & flags) == kNeeds[state];
	}

	// Returns the next state on the way, or kError if there is no way. Requires
	// has(from) and has(to).
	constexpr u8 next(u32 from, u32 to) const
	{
		u8 step = kSteps[from][to];

		while (step != kError && !has(step))
			step = kSteps[step][to];
		return step;
	}

	// Whether at most kStates steps lead from one state to the other. There must
	// be no way back from stop-copy to pre-copy.
	constexpr bool arrives(u32 from, u32 to) const
	{
		if (next(from, to) == kError)
			return from == kStopCopy && (to == kPreCopy || to == kPreCopyP2p);
		for (u32 i = 0; i < kStates && from != to; ++i)
			from = next(from, to);
		return from == to;
	}
};

// For every set of flags, every state is reached from every other as arrives() says.
constexpr bool all_arrive()
{
	for (u32 optional = 0; optional < 4; ++optional) {
		States states{VFIO_MIGRATION_STOP_COPY, kStates};

		states.flags |= optional & 1 ? VFIO_MIGRATION_P2P : 0;
		states.flags |= optional & 2 ? COMPAT_MIGRATION_PRE_COPY : 0;
		for (u32 from = 0; from < kStates; ++from)
			for (u32 to = 0; to < kStates; ++to)
				if (states.has(from) && states.has(to) && !states.arrives(from, to))
					return false;
	}
	return true;
}

static_assert(all_arrive());
static_assert(kError == 0 && kStop == 1 && kRunning == 2 && kStopCopy == 3 && kResuming == 4 &&
	      kRunningP2p == 5 && kPreCopy == 6 && kPreCopyP2p == 7);

} // namespace

CORE_ENTRY int vfio_core_migration_next(vfio_core_device *device, u32 from, u32 to, u32 *next)
{
	const States states{shim_device_migration_flags(Device::of(device).handle())};

	if (WARN_ONCE_IF(!states.has(from), "migration from a state that the driver does not have"))
		return -EINVAL;
	if (!states.has(to))
		return -EINVAL;

	const u8 step = states.next(from, to);

	if (step == kError)
		return -EINVAL;
	*next = step;
	return 0;
}

Result<void> feature_migration(Device &device, const FeatureRequest &request)
{
	if (!device.has(SHIM_DEVICE_MIGRATION))
		return Error(ENOTTY);

	vfio_device_feature_migration migration = {};

	if (!TRY(request.wanted(VFIO_DEVICE_FEATURE_GET, sizeof(migration))))
		return {};
	migration.flags = shim_device_migration_flags(device.handle());
	return copy_out(request.data, &migration, sizeof(migration));
}

static Result<void> get_state(Device &device, UserVa arg)
{
	vfio_device_feature_mig_state answer = {};

	TRY(Result<void>::from_negative(
		shim_device_migration_get(device.handle(), &answer.device_state)));
	answer.data_fd = -1;
	return copy_out(arg, &answer, sizeof(answer));
}

// The answer is copied out even if the driver fails, but then has no file.
static Result<void> set_state(Device &device, UserVa arg, u32 state)
{
	vfio_device_feature_mig_state answer = {.device_state = state, .data_fd = -1};
	file *made = nullptr;
	const int set = shim_device_migration_set(device.handle(), state, &made);
	FileRef data(made);

	if (!data) {
		TRY(copy_out(arg, &answer, sizeof(answer)));
		return Result<void>::from_negative(set);
	}

	FdReservation fd = TRY(reserve_fd());

	answer.data_fd = fd.get();
	TRY(copy_out(arg, &answer, sizeof(answer)));
	install(move(fd), move(data));
	return {};
}

Result<void> feature_migration_state(Device &device, const FeatureRequest &request)
{
	if (!device.has(SHIM_DEVICE_MIGRATION))
		return Error(ENOTTY);

	vfio_device_feature_mig_state state = {};

	if (!TRY(request.wanted(VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET, sizeof(state))))
		return {};
	TRY(copy_in(&state, request.data, sizeof(state)));
	if (request.flags & VFIO_DEVICE_FEATURE_GET)
		return get_state(device, request.data);
	return set_state(device, request.data, state.device_state);
}

Result<void> feature_migration_size(Device &device, const FeatureRequest &request)
{
	vfio_device_feature_mig_data_size answer = {};
	u64 size = 0;

	if (!TRY(request.wanted(VFIO_DEVICE_FEATURE_GET, sizeof(answer))))
		return {};
	TRY(Result<void>::from_negative(shim_device_migration_size(device.handle(), &size)));
	answer.stop_copy_length = size;
	return copy_out(request.data, &answer, sizeof(answer));
}

// The driver answers VFIO_MIG_GET_PRECOPY_INFO, on the file of a migration's data. The
// wish lasts until the device is closed.
Result<void> feature_precopy_info_v2(Device &device, const FeatureRequest &request)
{
	if (!(shim_device_migration_flags(device.handle()) & COMPAT_MIGRATION_PRE_COPY))
		return Error(EINVAL);
	if (TRY(request.wanted(VFIO_DEVICE_FEATURE_SET, 0)))
		shim_device_set_precopy_info_v2(device.handle(), true);
	return {};
}

} // namespace vfio
