// SPDX-License-Identifier: GPL-2.0
//
// Mediated devices that go while somebody uses them: removed while open,
// their driver unloaded, and creation, removal, opening and unloading from
// several threads at once.
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "mdev.hpp"

namespace stack {
namespace {

using std::chrono::milliseconds;

const std::string kUuid = test_uuid(1);

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// True once `condition` holds, false after five seconds.
bool eventually(const std::function<bool()>& condition) {
  for (double end = now() + 5; now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return condition();
}

// A removal in a thread of its own.
class Remover {
 public:
  explicit Remover(const std::string& uuid)
      : thread_([this, uuid] {
          result_ = mdev_remove(uuid);
          done_ = true;
        }) {}
  ~Remover() {
    if (thread_.joinable()) thread_.join();
  }

  bool done() const { return done_; }
  long wait() {
    thread_.join();
    return result_;
  }
  void signal(int number) { pthread_kill(thread_.native_handle(), number); }

 private:
  std::atomic<bool> done_ = false;
  long result_ = -1;
  std::thread thread_;
};

bool answers(int device) {
  vfio_device_info info{};
  info.argsz = sizeof info;
  return call(device, VFIO_DEVICE_GET_INFO, &info) == 0;
}

TEST(MdevOpen, RemovalWaitsUntilItIsClosed) {
  SampleDriver mtty("mtty");
  ASSERT_TRUE(mtty.ok());
  ASSERT_OK(mtty.create("1", kUuid));
  MdevSession session(kUuid);
  ASSERT_TRUE(session.ok()) << errno_name(session.result());
  const std::string file = mdev_path(kUuid) + "/remove";
  Fd second = open_path(file, O_WRONLY);
  ASSERT_OK(second.get());

  Remover remover(kUuid);
  ASSERT_TRUE(eventually([&] { return !exists(file); }));
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_FALSE(remover.done());
  EXPECT_TRUE(answers(session.device())) << "it serves until it is closed";
  EXPECT_FALSE(mdev_exists(kUuid)) << "it has left the bus";
  EXPECT_TRUE(exists(mtty.parent() + "/" + kUuid)) << "but not its parent";
  errno = 0;
  EXPECT_EQ(write(second, "1", 1), -1) << "one removal is at work";
  EXPECT_EQ(errno, ENODEV);
  EXPECT_ERR(EEXIST, mtty.create("1", kUuid));
  EXPECT_EQ(mtty.available("1"), 23u);
  EXPECT_ERR(EWOULDBLOCK, mtty.unload()) << "it is open";
  EXPECT_OK(mtty.create("1", test_uuid(2))) << "others come and go";
  EXPECT_OK(mdev_remove(test_uuid(2)));

  session.close();
  EXPECT_OK(remover.wait());
  EXPECT_FALSE(exists(mtty.parent() + "/" + kUuid));
  EXPECT_EQ(mtty.available("1"), 24u);
  EXPECT_OK(mtty.create("1", kUuid));
  EXPECT_OK(mdev_remove(kUuid));
}

TEST(MdevOpen, ASignalDoesNotEndARemoval) {
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) {};
  sigaction(SIGUSR1, &action, &before);
  SampleDriver mdpy("mdpy");
  ASSERT_TRUE(mdpy.ok());
  ASSERT_OK(mdpy.create("vga", kUuid));
  MdevSession session(kUuid);
  ASSERT_TRUE(session.ok());
  Remover remover(kUuid);
  ASSERT_TRUE(
      eventually([&] { return !exists(mdev_path(kUuid) + "/remove"); }));
  for (int i = 0; i < 3; i++) {
    remover.signal(SIGUSR1);
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_FALSE(remover.done()) << "there is no way back";
  EXPECT_TRUE(answers(session.device()));
  session.close();
  EXPECT_OK(remover.wait());
  EXPECT_FALSE(exists(mdpy.parent() + "/" + kUuid));
  sigaction(SIGUSR1, &before, nullptr);
}

TEST(MdevOpen, EachRemovalWaitsForItsOwnDevice) {
  SampleDriver mdpy("mdpy");
  ASSERT_TRUE(mdpy.ok());
  std::vector<std::unique_ptr<MdevSession>> sessions;
  std::vector<std::unique_ptr<Remover>> removers;
  for (unsigned i = 0; i < 4; i++) {
    ASSERT_OK(mdpy.create("vga", test_uuid(i)));
    sessions.push_back(std::make_unique<MdevSession>(test_uuid(i)));
    ASSERT_TRUE(sessions[i]->ok());
  }
  for (unsigned i = 0; i < 4; i++)
    removers.push_back(std::make_unique<Remover>(test_uuid(i)));
  for (unsigned i : {2u, 0u, 3u, 1u}) {
    EXPECT_TRUE(exists(mdpy.parent() + "/" + test_uuid(i)));
    sessions[i]->close();
    EXPECT_OK(removers[i]->wait());
    EXPECT_FALSE(exists(mdpy.parent() + "/" + test_uuid(i)));
  }
  EXPECT_EQ(mdpy.available("vga"), 4u);
}

TEST(MdevOpen, TheProcessDies) {
  SampleDriver mtty("mtty");
  ASSERT_TRUE(mtty.ok());
  ASSERT_OK(mtty.create("1", kUuid));
  Child child([&](Child& self) {
    MdevSession session(kUuid);
    EXPECT_TRUE(session.ok());
    self.notify();
    pause();
  });
  ASSERT_TRUE(child.await());
  Remover remover(kUuid);
  ASSERT_TRUE(
      eventually([&] { return !exists(mdev_path(kUuid) + "/remove"); }));
  EXPECT_FALSE(remover.done());
  child.kill();
  child.wait(SIGKILL);
  EXPECT_OK(remover.wait());
}

// --- the driver goes -------------------------------------------------------

TEST(MdevUnload, TakesItsDevicesAlong) {
  SampleDriver mtty("mtty"), mdpy("mdpy");
  ASSERT_TRUE(mtty.ok() && mdpy.ok());
  for (unsigned i = 0; i < 3; i++) ASSERT_OK(mtty.create("1", test_uuid(i)));
  ASSERT_OK(mdpy.create("vga", test_uuid(3)));
  Fd file = open_path(mdev_path(test_uuid(0)) + "/remove", O_WRONLY);
  Fd create = open_path(mtty.type("1") + "/create", O_WRONLY);
  Fd available = open_path(mtty.type("1") + "/available_instances", O_RDONLY);
  ASSERT_OK(mtty.unload());
  EXPECT_EQ(mdevs(), std::vector<std::string>{test_uuid(3)});
  EXPECT_FALSE(exists(mtty.parent()));
  errno = 0;
  EXPECT_EQ(write(file, "1", 1), -1);
  EXPECT_EQ(errno, ENODEV);
  errno = 0;
  EXPECT_EQ(write(create, kUuid.data(), kUuid.size()), -1);
  EXPECT_EQ(errno, ENODEV);
  char text[16];
  errno = 0;
  EXPECT_EQ(read(available, text, sizeof text), -1);
  EXPECT_EQ(errno, ENODEV);
  ASSERT_EQ(mtty.load(), 0);
  EXPECT_EQ(mtty.available("1"), 24u);
  EXPECT_OK(mtty.create("2", test_uuid(0))) << "its UUID is free";
}

TEST(MdevUnload, NotWhileADeviceIsOpen) {
  SampleDriver mbochs("mbochs");
  ASSERT_TRUE(mbochs.ok());
  ASSERT_OK(mbochs.create("small", kUuid));
  ASSERT_OK(mbochs.create("small", test_uuid(2)));
  {
    MdevSession session(kUuid);
    ASSERT_TRUE(session.ok());
    EXPECT_ERR(EWOULDBLOCK, mbochs.unload());
    EXPECT_ERR(EWOULDBLOCK, unload_module("mdev"));
    EXPECT_TRUE(answers(session.device())) << "nothing has happened";
    EXPECT_EQ(mdevs().size(), 2u);
  }
  EXPECT_ERR(EWOULDBLOCK, unload_module("mdev")) << "mbochs uses it";
  EXPECT_OK(mbochs.unload());
  EXPECT_EQ(mdevs().size(), 0u);
}

// --- races, two seconds each -----------------------------------------------

constexpr double kSeconds = 2;

class MdevRace : public testing::Test {
 protected:
  // Runs each function again and again for kSeconds, each in its thread.
  void race(const std::vector<std::function<void()>>& functions) {
    std::vector<std::thread> threads;
    std::atomic<bool> stop = false;
    for (const auto& function : functions)
      threads.emplace_back([&stop, function] {
        while (!stop) function();
      });
    std::this_thread::sleep_for(
        milliseconds(static_cast<int>(kSeconds * 1000)));
    stop = true;
    for (std::thread& thread : threads) thread.join();
  }

  // Counts a result; one that is not allowed is a failure.
  void result(const char* what, long got, const std::vector<int>& allowed) {
    std::lock_guard lock(mutex_);
    counts_[std::string(what) + " " + errno_name(got)]++;
    if (got == 0) return;
    for (int error : allowed)
      if (got == -error) return;
    ADD_FAILURE() << what << ": " << errno_name(got);
  }

  uint64_t count(const std::string& what) { return counts_[what]; }

  void TearDown() override {
    std::string all;
    for (const auto& [what, count] : counts_)
      all += (all.empty() ? "" : ", ") + what + " " + std::to_string(count);
    note(all);
  }

  std::mutex mutex_;
  std::map<std::string, uint64_t> counts_;
};

TEST_F(MdevRace, ThreadsWithDevicesOfTheirOwn) {
  SampleDriver mdpy("mdpy"), mtty("mtty");
  ASSERT_TRUE(mdpy.ok() && mtty.ok());
  auto own = [&](SampleDriver& driver, const char* type, unsigned number) {
    return [this, &driver, type, uuid = test_uuid(number)] {
      result("create", driver.create(type, uuid), {});
      result("remove", mdev_remove(uuid), {});
    };
  };
  race({own(mdpy, "vga", 0), own(mdpy, "xga", 1), own(mtty, "1", 2),
        own(mtty, "2", 3)});
  EXPECT_GT(count("create 0"), 0u);
  EXPECT_EQ(count("create 0"), count("remove 0"));
  EXPECT_EQ(mdevs().size(), 0u);
  EXPECT_EQ(mdpy.available("vga"), 4u);
  EXPECT_EQ(mtty.available("1"), 24u);
}

TEST_F(MdevRace, OneInstanceForAll) {
  SampleDriver mdpy("mdpy", "count=1");
  ASSERT_TRUE(mdpy.ok());
  std::atomic<int> alive = 0;
  auto contend = [&](unsigned number) {
    return [this, &mdpy, &alive, uuid = test_uuid(number)] {
      long made = mdpy.create("vga", uuid);
      result("create", made, {EUSERS});
      if (made < 0) return;
      EXPECT_EQ(++alive, 1);
      --alive;
      result("remove", mdev_remove(uuid), {});
    };
  };
  race({contend(0), contend(1), contend(2)});
  EXPECT_GT(count("create 0"), 0u);
  EXPECT_EQ(count("create 0"), count("remove 0"));
  EXPECT_EQ(mdpy.available("vga"), 1u);
}

TEST_F(MdevRace, OneUuidForAll) {
  SampleDriver mdpy("mdpy");
  ASSERT_TRUE(mdpy.ok());
  auto create = [&] { result("create", mdpy.create("hd", kUuid), {EEXIST}); };
  auto remove = [&] {
    result("remove", mdev_remove(kUuid), {ENOENT, ENODEV, EAGAIN});
  };
  race({create, create, remove, remove});
  EXPECT_GT(count("create 0"), 0u);
  if (mdev_exists(kUuid)) {
    EXPECT_OK(mdev_remove(kUuid));
  }
  EXPECT_EQ(mdpy.available("vga"), 4u);
}

TEST_F(MdevRace, OpensAgainstRemoval) {
  SampleDriver mtty("mtty");
  ASSERT_TRUE(mtty.ok());
  auto opener = [&] {
    MdevSession session(kUuid);
    result("open", session.ok() ? 0 : session.result(),
           {ENOENT, ENXIO, ENODEV, EBUSY, EINVAL});
    if (session.ok()) {
      EXPECT_TRUE(answers(session.device()));
    }
  };
  auto remover = [&] {
    result("create", mtty.create("1", kUuid), {});
    std::this_thread::sleep_for(milliseconds(3));
    result("remove", mdev_remove(kUuid), {});
  };
  race({opener, opener, remover});
  EXPECT_GT(count("open 0"), 0u);
  EXPECT_GT(count("remove 0"), 0u);
  EXPECT_EQ(mtty.available("1"), 24u);
}

TEST_F(MdevRace, CreationAgainstUnloading) {
  {
    SampleDriver mtty("mtty");
    ASSERT_TRUE(mtty.ok());
    std::atomic<unsigned> number = 0;
    auto creator = [&] {
      result("create", mtty.create("1", test_uuid(++number % 16)),
             {ENOENT, ENODEV, EEXIST});
      result("remove", mdev_remove(test_uuid(number % 16)),
             {ENOENT, ENODEV, EAGAIN});
    };
    auto reloader = [&] {
      result("unload", mtty.unload(), {EWOULDBLOCK});
      if (!exists("/sys/module/mtty")) {
        EXPECT_EQ(mtty.load(), 0);
      }
      std::this_thread::sleep_for(milliseconds(10));
    };
    race({creator, creator, reloader});
    EXPECT_GT(count("create 0"), 0u);
    EXPECT_GT(count("unload 0"), 0u);
    ASSERT_OK(mtty.unload());
    EXPECT_EQ(mdevs().size(), 0u);
    ASSERT_EQ(mtty.load(), 0);
    EXPECT_EQ(mtty.available("1"), 24u) << "every port came back";
  }
}

}  // namespace
}  // namespace stack
