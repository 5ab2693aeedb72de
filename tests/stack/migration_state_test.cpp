// SPDX-License-Identifier: GPL-2.0
//
// VFIO_DEVICE_FEATURE: its header's checks, and migration through it: what the
// device offers, its state, the data fds, and faults on the way out.
#include <dirent.h>
#include <string.h>

#include "testdev.hpp"

using namespace stack;

namespace {

constexpr uint32_t kGet = VFIO_DEVICE_FEATURE_GET;
constexpr uint32_t kSet = VFIO_DEVICE_FEATURE_SET;
constexpr uint32_t kProbe = VFIO_DEVICE_FEATURE_PROBE;
constexpr uint32_t kMigration = VFIO_DEVICE_FEATURE_MIGRATION;
constexpr uint32_t kState = VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
constexpr uint32_t kHead = sizeof(vfio_device_feature);

int open_fds() {
  int count = 0;
  DIR* dir = opendir("/proc/self/fd");
  while (dir && readdir(dir)) count++;
  if (dir) closedir(dir);
  return count;
}

class MigrationState : public OneTestdev {
 protected:
  TestdevOptions options() const override {
    return {.mig_flags = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P};
  }
  // Result; the new data fd (or -1) in `fd`.
  long set_state(uint32_t state, Fd* fd = nullptr) {
    vfio_device_feature_mig_state mig{state, -77};
    long result = feature(s->device(), kState | kSet, &mig, sizeof mig);
    if (result == 0 && mig.data_fd >= 0) {
      Fd got(mig.data_fd);
      if (fd) *fd = std::move(got);
    } else {
      EXPECT_EQ(mig.data_fd, -1) << "no fd came with state " << state;
      if (fd) fd->reset();
    }
    return result;
  }
  uint32_t state() {
    vfio_device_feature_mig_state mig{99, 99};
    EXPECT_OK(feature(s->device(), kState | kGet, &mig, sizeof mig));
    EXPECT_EQ(mig.data_fd, -1);
    return mig.device_state;
  }
  void fail(int set_errno, int get_errno = 0) {
    vfio_testdev_mig_fail f{-set_errno, -get_errno};
    EXPECT_OK(call(s->device(), VFIO_TESTDEV_MIG_FAIL, &f));
  }
};

TEST_F(MigrationState, FlagsAreReported) {
  vfio_device_feature_migration mig{};
  ASSERT_OK(feature(s->device(), kMigration | kGet, &mig, sizeof mig));
  EXPECT_EQ(mig.flags, VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P);
}

TEST_F(MigrationState, HeaderChecks) {
  const uint32_t m = sizeof(vfio_device_feature_migration);
  const uint32_t st = sizeof(vfio_device_feature_mig_state);
  const struct {
    const char* name;
    uint32_t flags, argsz;
    long want;
  } cases[] = {
      {"argsz 0", kMigration | kGet, 0, -EINVAL},
      {"argsz one short of the header", kMigration | kGet, kHead - 1, -EINVAL},
      {"no room for the data", kMigration | kGet, kHead, -EINVAL},
      {"data one short", kMigration | kGet, kHead + m - 1, -EINVAL},
      {"exact", kMigration | kGet, kHead + m, 0},
      {"larger than known", kMigration | kGet, kHead + m + 64, 0},
      {"probe get, header only", kMigration | kProbe | kGet, kHead, 0},
      {"probe alone", kMigration | kProbe, kHead, 0},
      {"probe set", kMigration | kProbe | kSet, kHead, -EINVAL},
      {"probe get and set", kMigration | kProbe | kGet | kSet, kHead, -EINVAL},
      {"set", kMigration | kSet, kHead + m, -EINVAL},
      {"get and set", kMigration | kGet | kSet, kHead + m, -EINVAL},
      {"neither", kMigration, kHead + m, -EINVAL},
      {"unknown flag", kMigration | kGet | 1u << 19, kHead + m, -EINVAL},
      {"unknown flag at the top", kMigration | kGet | 1u << 31, kHead + m,
       -EINVAL},
      {"state: probe get and set", kState | kProbe | kGet | kSet, kHead, 0},
      {"state: neither", kState, kHead + st, -EINVAL},
      {"state: get and set", kState | kGet | kSet, kHead + st, -EINVAL},
      {"state: data one short", kState | kGet, kHead + st - 1, -EINVAL},
      {"state: get", kState | kGet, kHead + st, 0},
      {"feature that nobody has", 0x7fff | kGet, kHead + 64, -ENOTTY},
      {"probe of it", 0x7fff | kProbe | kGet, kHead, -ENOTTY},
  };
  for (const auto& c : cases) {
    uint64_t data[16] = {};
    EXPECT_EQ(
        errno_name(feature(s->device(), c.flags, data, sizeof data, c.argsz)),
        errno_name(c.want))
        << c.name;
  }
  EXPECT_ERR(EFAULT, call(s->device(), VFIO_DEVICE_FEATURE, 8ul));
  EXPECT_EQ(state(), uint32_t{VFIO_DEVICE_STATE_RUNNING})
      << "nothing of it moved the device";
}

TEST_F(MigrationState, ProbeWritesNothing) {
  uint64_t data[2] = {0x1111, 0x2222};
  ASSERT_OK(
      feature(s->device(), kMigration | kProbe | kGet, data, sizeof data));
  ASSERT_OK(feature(s->device(), kState | kProbe | kSet, data, sizeof data));
  EXPECT_EQ(data[0], 0x1111u);
  EXPECT_EQ(data[1], 0x2222u);
  EXPECT_EQ(state(), uint32_t{VFIO_DEVICE_STATE_RUNNING});
}

TEST_F(MigrationState, SavesAndResumes) {
  std::vector<uint8_t> saved(VFIO_TESTDEV_REGION_SIZE), out(saved.size());
  for (size_t i = 0; i < saved.size(); i++)
    saved[i] = static_cast<uint8_t>(i * 13);
  ASSERT_EQ(pwrite(s->device(), saved.data(), saved.size(), 0),
            static_cast<ssize_t>(saved.size()));

  Fd data;
  ASSERT_OK(set_state(VFIO_DEVICE_STATE_STOP_COPY, &data));
  ASSERT_TRUE(data.valid()) << "STOP_COPY comes with a data fd";
  EXPECT_EQ(fcntl(data, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(state(), uint32_t{VFIO_DEVICE_STATE_STOP_COPY});
  size_t got = 0;
  ssize_t n;
  while ((n = read(data, out.data() + got, out.size() - got)) > 0)
    got += static_cast<size_t>(n);
  EXPECT_EQ(got, saved.size());
  EXPECT_EQ(out, saved);
  ASSERT_OK(set_state(VFIO_DEVICE_STATE_STOP));
  EXPECT_EQ(read(data, out.data(), 1), -1) << "the stream ends with the state";
  EXPECT_EQ(errno, ENODEV);
  data.reset();

  std::vector<uint8_t> zero(saved.size());
  ASSERT_EQ(pwrite(s->device(), zero.data(), zero.size(), 0),
            static_cast<ssize_t>(zero.size()));
  ASSERT_OK(set_state(VFIO_DEVICE_STATE_RESUMING, &data));
  ASSERT_TRUE(data.valid()) << "RESUMING comes with a data fd";
  ASSERT_EQ(write(data, saved.data(), saved.size()),
            static_cast<ssize_t>(saved.size()));
  ASSERT_OK(set_state(VFIO_DEVICE_STATE_RUNNING));
  ASSERT_EQ(pread(s->device(), out.data(), out.size(), 0),
            static_cast<ssize_t>(out.size()));
  EXPECT_EQ(out, saved) << "the device has the saved state again";
}

TEST_F(MigrationState, EveryTransition) {
  const uint32_t states[] = {VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_RUNNING,
                             VFIO_DEVICE_STATE_STOP_COPY,
                             VFIO_DEVICE_STATE_RESUMING,
                             VFIO_DEVICE_STATE_RUNNING_P2P};
  for (uint32_t from : states) {
    for (uint32_t to : states) {
      ASSERT_OK(set_state(VFIO_DEVICE_STATE_STOP));
      ASSERT_OK(set_state(from)) << from;
      Fd fd;
      ASSERT_OK(set_state(to, &fd)) << from << " to " << to;
      EXPECT_EQ(state(), to);
      bool transfers =
          to == VFIO_DEVICE_STATE_STOP_COPY || to == VFIO_DEVICE_STATE_RESUMING;
      EXPECT_EQ(fd.valid(), transfers && from != to) << from << " to " << to;
    }
  }
}

TEST_F(MigrationState, StatesThatCannotBeSet) {
  for (uint32_t bad : {uint32_t{VFIO_DEVICE_STATE_ERROR}, 6u, 7u, ~0u}) {
    EXPECT_ERR(EINVAL, set_state(bad)) << "state " << bad;
    EXPECT_EQ(state(), uint32_t{VFIO_DEVICE_STATE_RUNNING});
  }
}

TEST_F(MigrationState, DriverErrorsComeThrough) {
  fail(ENOSPC);
  EXPECT_ERR(ENOSPC, set_state(VFIO_DEVICE_STATE_STOP));
  fail(0, EIO);
  vfio_device_feature_mig_state mig{99, 99};
  EXPECT_ERR(EIO, feature(s->device(), kState | kGet, &mig, sizeof mig));
  EXPECT_EQ(mig.device_state, 99u) << "a failed get writes nothing";
  fail(0);
  EXPECT_EQ(state(), uint32_t{VFIO_DEVICE_STATE_RUNNING});
}

// The result cannot be written: the ioctl says so, and no fd stays behind.
TEST_F(MigrationState, FaultOnTheWayOut) {
  Memory page(kPage);
  auto* head = reinterpret_cast<vfio_device_feature*>(page.data());
  auto* mig = reinterpret_cast<vfio_device_feature_mig_state*>(head->data);
  auto attempt = [&](uint32_t flags, uint32_t to) {
    mprotect(page.data(), kPage, PROT_READ | PROT_WRITE);
    head->argsz = kHead + sizeof *mig;
    head->flags = flags;
    mig->device_state = to;
    mig->data_fd = -1;
    mprotect(page.data(), kPage, PROT_READ);
    return call(s->device(), VFIO_DEVICE_FEATURE, head);
  };
  int before = open_fds();
  EXPECT_ERR(EFAULT, attempt(kState | kSet, VFIO_DEVICE_STATE_STOP_COPY));
  EXPECT_EQ(open_fds(), before) << "an fd without a number leaked";
  EXPECT_ERR(EFAULT, attempt(kState | kGet, 0));
  EXPECT_ERR(EFAULT, attempt(kState | kSet, VFIO_DEVICE_STATE_STOP));
  EXPECT_ERR(EFAULT, attempt(kMigration | kGet, 0));
  EXPECT_EQ(open_fds(), before);
  EXPECT_EQ(state(), uint32_t{VFIO_DEVICE_STATE_STOP})
      << "the transition itself took place";
  // The number that was taken back is the next one given out.
  Fd expected = make_eventfd();
  int number = expected.get();
  expected.reset();
  Fd data;
  ASSERT_OK(set_state(VFIO_DEVICE_STATE_STOP_COPY, &data));
  EXPECT_EQ(data.get(), number);
}

TEST_F(MigrationState, NoFreeDescriptor) {
  in_child([&] {
    std::vector<Fd> fill;
    // Leave the table full: dup until it fails.
    for (;;) {
      int fd = dup(0);
      if (fd < 0) break;
      fill.emplace_back(fd);
    }
    vfio_device_feature_mig_state mig{VFIO_DEVICE_STATE_STOP_COPY, -1};
    EXPECT_ERR(EMFILE, feature(s->device(), kState | kSet, &mig, sizeof mig));
  });
}

// The request runs over the end of readable memory.
TEST_F(MigrationState, FaultOnTheWayIn) {
  Memory page(2 * kPage);
  ASSERT_EQ(mprotect(page.at(kPage), kPage, PROT_NONE), 0);
  auto* head = reinterpret_cast<vfio_device_feature*>(page.at(kPage - kHead));
  head->argsz = kHead + sizeof(vfio_device_feature_mig_state);
  head->flags = kState | kSet;
  EXPECT_ERR(EFAULT, call(s->device(), VFIO_DEVICE_FEATURE, head));
  EXPECT_ERR(EFAULT, call(s->device(), VFIO_DEVICE_FEATURE,
                          page.at(kPage - kHead + 4)));
  EXPECT_EQ(state(), uint32_t{VFIO_DEVICE_STATE_RUNNING});
}

TEST_F(MigrationState, DataFdOutlivesTheDeviceFd) {
  Fd data;
  ASSERT_OK(set_state(VFIO_DEVICE_STATE_STOP_COPY, &data));
  s->device_fd().reset();
  char byte;
  EXPECT_EQ(read(data, &byte, 1), -1);
  EXPECT_EQ(errno, ENODEV);
  s->device_fd() = get_device(s->group(), dev->name());
  ASSERT_OK(s->device());
  EXPECT_EQ(state(), uint32_t{VFIO_DEVICE_STATE_RUNNING});
}

TEST(MigrationNone, DeviceWithoutMigration) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  uint64_t data[2] = {};
  for (uint32_t number : {kMigration, kState})
    for (uint32_t flags : {kGet, kSet, kProbe, kProbe | kGet})
      EXPECT_ERR(ENOTTY, feature(s.device(), number | flags, data, sizeof data))
          << "feature " << number << " flags " << flags;
}

// Numbers of features that this machine's headers may be too old for.
constexpr uint32_t kDataSize = 9, kPrecopyInfo = 12;
constexpr uint32_t kPreCopy = 1 << 2;

class PreCopy : public MigrationState {
 protected:
  TestdevOptions options() const override {
    return {.mig_flags = VFIO_MIGRATION_STOP_COPY | kPreCopy};
  }
};

TEST_F(PreCopy, TheDriverSaysHowMuchStopCopyTakes) {
  uint64_t size = 0;
  ASSERT_OK(feature(s->device(), kDataSize | kGet, &size, sizeof size));
  EXPECT_EQ(size, uint64_t{VFIO_TESTDEV_REGION_SIZE});
  EXPECT_OK(feature(s->device(), kDataSize | kGet | kProbe, nullptr, 0));
  EXPECT_ERR(EINVAL, feature(s->device(), kDataSize | kGet, &size, 7));
  EXPECT_ERR(EINVAL,
             feature(s->device(), kDataSize | kSet, &size, sizeof size));
}

TEST_F(PreCopy, TheStateExists) {
  EXPECT_OK(set_state(6));
  EXPECT_OK(set_state(VFIO_DEVICE_STATE_RUNNING));
  EXPECT_ERR(EINVAL, set_state(7)) << "without P2P";
}

class PreCopyInfo : public PreCopy {};

TEST_F(PreCopyInfo, TheSecondVersionIsASwitch) {
  EXPECT_OK(feature(s->device(), kPrecopyInfo | kSet | kProbe, nullptr, 0));
  EXPECT_OK(feature(s->device(), kPrecopyInfo | kSet, nullptr, 0));
  EXPECT_ERR(EINVAL, feature(s->device(), kPrecopyInfo | kGet, nullptr, 0));
}

class PreCopyInfoNone : public MigrationState {};

TEST_F(PreCopyInfoNone, IsEINVALWithoutPreCopy) {
  EXPECT_ERR(EINVAL, feature(s->device(), kPrecopyInfo | kSet, nullptr, 0));
}

}  // namespace
