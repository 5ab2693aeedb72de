// SPDX-License-Identifier: GPL-2.0
//
// VFIO_UPDATE_VADDR: UNMAP_DMA with VADDR suspends a mapping's user address,
// MAP_DMA with VADDR gives it a new one, in this process, in another, or after
// an exec; the charge moves with it.
#include <stdio.h>
#include <string.h>

#include "harness.hpp"

namespace stack {

int exec_helper(int argc, char** argv);

namespace {

constexpr uint64_t kIova = kFirstIova + 0x500000;
constexpr uint32_t kAll = VFIO_DMA_UNMAP_FLAG_ALL;
constexpr uint32_t kSuspend = VFIO_DMA_UNMAP_FLAG_VADDR;
constexpr uint32_t kResume = VFIO_DMA_MAP_FLAG_VADDR;

class UpdateVaddr : public OneDevice {
 protected:
  void SetUp() override {
    OneDevice::SetUp();
    if (HasFatalFailure()) return;
    file = make_memfd(8 * kPage);
    m = Memory(8 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file);
    before = locked_pages();
    c = s.container();
    ASSERT_OK(map_dma(c, m.data(), kIova, 4 * kPage));
    ASSERT_OK(map_dma(c, m.at(4 * kPage), kIova + kHuge, 4 * kPage));
  }
  Memory second_view() {
    return Memory(8 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file);
  }
  Fd file;
  Memory m;
  int c = -1;
  uint64_t before = 0;
};

TEST_F(UpdateVaddr, SuspendAndResumeOne) {
  Unmapped u = unmap_dma(c, kIova, 4 * kPage, kSuspend);
  EXPECT_OK(u.result);
  EXPECT_EQ(u.size, 4 * kPage) << "the size that was suspended";
  EXPECT_EQ(locked_pages(), before + 8) << "still pinned and charged";
  Memory view = second_view();
  EXPECT_OK(map_dma(c, view.data(), kIova, 4 * kPage, kResume));
  EXPECT_EQ(locked_pages(), before + 8);
  EXPECT_EQ(unmap_dma(c, kIova, 4 * kPage).size, 4 * kPage);
  EXPECT_EQ(locked_pages(), before + 4);
}

TEST_F(UpdateVaddr, SuspendAll) {
  Unmapped u = unmap_dma(c, 0, 0, kSuspend | kAll);
  EXPECT_OK(u.result);
  EXPECT_EQ(u.size, 8 * kPage);
  EXPECT_OK(map_dma(c, m.data(), kIova, 4 * kPage, kResume));
  EXPECT_OK(map_dma(c, m.at(4 * kPage), kIova + kHuge, 4 * kPage, kResume));
}

TEST_F(UpdateVaddr, SuspendRangeOfSeveral) {
  EXPECT_EQ(unmap_dma(c, 0, kFirstIova + kGiB, kSuspend).size, 8 * kPage);
  EXPECT_OK(map_dma(c, m.data(), kIova, 4 * kPage, kResume));
  EXPECT_OK(map_dma(c, m.at(4 * kPage), kIova + kHuge, 4 * kPage, kResume));
}

TEST_F(UpdateVaddr, SuspendNothing) {
  Unmapped u = unmap_dma(c, kGiB, kGiB, kSuspend);
  EXPECT_OK(u.result);
  EXPECT_EQ(u.size, 0u);
}

TEST_F(UpdateVaddr, SuspendBisectingIsEINVAL) {
  EXPECT_ERR(EINVAL, unmap_dma(c, kIova, kPage, kSuspend).result);
  EXPECT_ERR(EINVAL, unmap_dma(c, kIova + kPage, 3 * kPage, kSuspend).result);
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), kIova, 4 * kPage, kResume))
      << "nothing was suspended";
}

TEST_F(UpdateVaddr, SuspendTwiceIsEINVALAndChangesNothing) {
  ASSERT_OK(unmap_dma(c, kIova + kHuge, 4 * kPage, kSuspend).result);
  EXPECT_ERR(EINVAL, unmap_dma(c, kIova + kHuge, 4 * kPage, kSuspend).result);
  // The first of the two is not suspended; the second already is.
  EXPECT_ERR(EINVAL, unmap_dma(c, 0, kFirstIova + kGiB, kSuspend).result);
  EXPECT_ERR(EINVAL, unmap_dma(c, 0, 0, kSuspend | kAll).result);
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), kIova, 4 * kPage, kResume))
      << "the first must not have stayed suspended";
  EXPECT_OK(map_dma(c, m.at(4 * kPage), kIova + kHuge, 4 * kPage, kResume));
}

TEST_F(UpdateVaddr, ResumeNotSuspendedIsEINVAL) {
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), kIova, 4 * kPage, kResume));
}

TEST_F(UpdateVaddr, ResumeTwiceIsEINVAL) {
  unmap_dma(c, kIova, 4 * kPage, kSuspend);
  EXPECT_OK(map_dma(c, m.data(), kIova, 4 * kPage, kResume));
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), kIova, 4 * kPage, kResume));
}

TEST_F(UpdateVaddr, ResumeUnknownRangeIsENOENT) {
  unmap_dma(c, 0, 0, kSuspend | kAll);
  EXPECT_ERR(ENOENT, map_dma(c, m.data(), kGiB, 4 * kPage, kResume));
  EXPECT_ERR(ENOENT, map_dma(c, m.data(), 0, kPage, kResume));
}

TEST_F(UpdateVaddr, ResumeOtherRangeIsEINVAL) {
  unmap_dma(c, 0, 0, kSuspend | kAll);
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), kIova, kPage, kResume));
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), kIova, 5 * kPage, kResume));
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), kIova + kPage, 3 * kPage, kResume));
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), kIova + kPage, 4 * kPage, kResume));
  EXPECT_ERR(EINVAL, map_dma(c, m.data(), kIova - kPage, 5 * kPage, kResume));
  EXPECT_ERR(EINVAL, map_dma(c, m.data() + 1, kIova, 4 * kPage, kResume));
  EXPECT_OK(map_dma(c, m.data(), kIova, 4 * kPage, kResume));
}

TEST_F(UpdateVaddr, ResumeTakesNoProtection) {
  unmap_dma(c, kIova, 4 * kPage, kSuspend);
  for (uint32_t prot : {VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE})
    EXPECT_ERR(EINVAL, map_dma(c, m.data(), kIova, 4 * kPage, kResume | prot));
  EXPECT_OK(map_dma(c, m.data(), kIova, 4 * kPage, kResume));
}

TEST_F(UpdateVaddr, ResumeDoesNotLookAtTheMemory) {
  unmap_dma(c, kIova, 4 * kPage, kSuspend);
  long result = map_dma(c, nullptr, kIova, 4 * kPage, kResume);
  observe_result("null", result);
  EXPECT_OK(result);
  EXPECT_EQ(unmap_dma(c, kIova, 4 * kPage).size, 4 * kPage);
}

TEST_F(UpdateVaddr, OverlapStillFoundWhileSuspended) {
  unmap_dma(c, kIova, 4 * kPage, kSuspend);
  EXPECT_ERR(EEXIST, map_dma(c, m.data(), kIova, kPage));
}

TEST_F(UpdateVaddr, NewMappingWhileSuspended) {
  unmap_dma(c, 0, 0, kSuspend | kAll);
  Memory other(kPage);
  EXPECT_OK(map_dma(c, other.data(), kIova + kGiB, kPage));
  EXPECT_EQ(unmap_dma(c, kIova + kGiB, kPage).size, kPage);
}

TEST_F(UpdateVaddr, UnmapWhileSuspended) {
  unmap_dma(c, 0, 0, kSuspend | kAll);
  EXPECT_EQ(unmap_dma(c, kIova, 4 * kPage).size, 4 * kPage);
  EXPECT_EQ(locked_pages(), before + 4);
  EXPECT_EQ(unmap_dma(c, 0, 0, kAll).size, 4 * kPage);
  EXPECT_EQ(locked_pages(), before);
  EXPECT_OK(map_dma(c, m.data(), kIova, 4 * kPage)) << "a new one, as ever";
}

TEST_F(UpdateVaddr, CloseWhileSuspended) {
  unmap_dma(c, 0, 0, kSuspend | kAll);
  s = Session();
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(UpdateVaddr, ExtensionIsStillReported) {
  EXPECT_EQ(call(c, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 1);
  unmap_dma(c, 0, 0, kSuspend | kAll);
  EXPECT_EQ(call(c, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 1);
}

TEST_F(UpdateVaddr, V1HasItToo) {
  REQUIRE_DEVICES(2);
  Session v1({lone_devices()[1]}, VFIO_TYPE1_IOMMU);
  ASSERT_OK(map_dma(v1.container(), m.data(), kIova, 4 * kPage));
  Unmapped u = unmap_dma(v1.container(), kIova, 4 * kPage, kSuspend);
  observe_result("suspend", u.result);
  observe("size", u.size);
  observe_result("resume",
                 map_dma(v1.container(), m.data(), kIova, 4 * kPage, kResume));
}

TEST_F(UpdateVaddr, GroupMayNotJoinWhileSuspended) {
  REQUIRE_DEVICES(2);
  unmap_dma(c, kIova, 4 * kPage, kSuspend);
  Fd group = open_group(lone_devices()[1]);
  EXPECT_ERR(EBUSY, set_container(group, c));
  EXPECT_EQ(group_flags(group), VFIO_GROUP_FLAGS_VIABLE);
  EXPECT_OK(map_dma(c, m.data(), kIova, 4 * kPage, kResume));
  EXPECT_OK(set_container(group, c));
}

TEST_F(UpdateVaddr, DeviceKeepsWorkingMeanwhile) {
  Edu edu(s.device());
  strcpy(reinterpret_cast<char*>(m.data()), "while suspended");
  unmap_dma(c, 0, 0, kSuspend | kAll);
  munmap(m.data(), m.size());
  m.release();
  EXPECT_TRUE(edu.copy(kIova + kHuge, kIova, 16));
  Memory view = second_view();
  EXPECT_STREQ(reinterpret_cast<char*>(view.at(4 * kPage)), "while suspended");
  EXPECT_OK(map_dma(c, view.data(), kIova, 4 * kPage, kResume));
  EXPECT_TRUE(edu.copy(kIova + 64, kIova, 16));
  EXPECT_STREQ(reinterpret_cast<char*>(view.at(64)), "while suspended");
}

// --- another process ------------------------------------------------------

TEST_F(UpdateVaddr, AnotherProcessTakesOver) {
  unmap_dma(c, 0, 0, kSuspend | kAll);
  in_child([&] {
    Memory view = second_view();
    EXPECT_EQ(locked_pages(), 0u);
    ASSERT_OK(map_dma(c, view.data(), kIova, 4 * kPage, kResume));
    EXPECT_EQ(locked_pages(), 4u) << "the charge comes here";
    EXPECT_EQ(locked_pages(getppid()), before + 4) << "and leaves there";
    ASSERT_OK(
        map_dma(c, view.at(4 * kPage), kIova + kHuge, 4 * kPage, kResume));
    EXPECT_EQ(locked_pages(), 8u);
    EXPECT_EQ(locked_pages(getppid()), before);
    EXPECT_EQ(unmap_dma(c, 0, 0, kAll).size, 8 * kPage);
    EXPECT_EQ(locked_pages(), 0u);
  });
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(UpdateVaddr, AnotherProcessByPassedFd) {
  unmap_dma(c, 0, 0, kSuspend | kAll);
  Child child([&](Child& self) {
    Fd passed = self.receive_fd();
    ASSERT_OK(passed.get());
    ASSERT_OK(map_dma(passed, m.data(), kIova, 4 * kPage, kResume));
    EXPECT_EQ(locked_pages(), 4u);
  });
  child.send_fd(c);
  child.wait();
  EXPECT_EQ(locked_pages(), before + 4) << "its own half stays here";
  EXPECT_EQ(unmap_dma(c, 0, 0, kAll).size, 8 * kPage);
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(UpdateVaddr, TakeOverBeyondTheLimitIsENOMEM) {
  unmap_dma(c, kIova, 4 * kPage, kSuspend);
  in_child(
      [&] {
        EXPECT_ERR(ENOMEM, map_dma(c, m.data(), kIova, 4 * kPage, kResume));
        EXPECT_EQ(locked_pages(), 0u);
      },
      {.drop_user = true, .memlock = 3 * kPage});
  EXPECT_EQ(locked_pages(), before + 8);
  EXPECT_OK(map_dma(c, m.data(), kIova, 4 * kPage, kResume))
      << "it stayed suspended";
}

TEST_F(UpdateVaddr, ResumedByTheFirstAfterTheSecondDied) {
  unmap_dma(c, kIova, 4 * kPage, kSuspend);
  in_child([&] {
    EXPECT_OK(map_dma(c, m.data(), kIova, 4 * kPage, kResume));
    EXPECT_OK(unmap_dma(c, kIova, 4 * kPage, kSuspend).result);
  });
  EXPECT_EQ(locked_pages(), before + 4);
  EXPECT_OK(map_dma(c, m.data(), kIova, 4 * kPage, kResume));
  EXPECT_EQ(locked_pages(), before + 8);
}

// --- after exec -----------------------------------------------------------

// The same process with a new mm: exec_helper() below goes on.
void run_exec(const char* mode, int container, int file) {
  std::string c = std::to_string(container), f = std::to_string(file);
  fcntl(container, F_SETFD, 0);
  fcntl(file, F_SETFD, 0);
  execl("/proc/self/exe", "stack_test", "--exec-helper", mode, c.c_str(),
        f.c_str(), nullptr);
  ADD_FAILURE() << "exec: " << errno_name(-errno);
}

class ExecVaddr : public testing::TestWithParam<const char*> {};

TEST_P(ExecVaddr, Accounting) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]});
  Fd file = make_memfd(8 * kPage);
  uint64_t before = locked_pages();
  in_child([&] {
    Memory m(8 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file);
    ASSERT_OK(map_dma(s.container(), m.data(), kIova, 8 * kPage));
    EXPECT_EQ(locked_pages(), 8u);
    if (std::string_view(GetParam()) != "unmap_only") {
      ASSERT_OK(unmap_dma(s.container(), kIova, 8 * kPage, kSuspend).result);
    }
    run_exec(GetParam(), s.container(), file);
  });
  EXPECT_EQ(locked_pages(), before);
  unmap_dma(s.container(), 0, 0, kAll);
  EXPECT_EQ(locked_pages(), before);
}

INSTANTIATE_TEST_SUITE_P(Mode, ExecVaddr,
                         testing::Values("resume_and_unmap", "resume_only",
                                         "unmap_only", "unmap_suspended"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

int check(const char* what, uint64_t want, uint64_t got) {
  if (want == got) return 0;
  printf("# exec helper: %s: wanted %lu, got %lu\n", what, want, got);
  return 1;
}

}  // namespace

int exec_helper(int argc, char** argv) {
  if (argc != 3) return 2;
  std::string_view mode = argv[0];
  int c = atoi(argv[1]), file = atoi(argv[2]);
  Memory view(8 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file);
  int bad = check("VmLck after exec", 0, locked_pages());
  if (mode.starts_with("resume")) {
    bad +=
        check("resume", 0, map_dma(c, view.data(), kIova, 8 * kPage, kResume));
    bad += check("VmLck after resume", 8, locked_pages());
  }
  if (mode != "resume_only")
    bad += check("unmap", 8 * kPage, unmap_dma(c, kIova, 8 * kPage).size);
  else
    bad += check("still charged", 8, locked_pages());
  if (mode != "resume_only")
    bad += check("VmLck at the end", 0, locked_pages());
  fflush(stdout);
  return bad ? 1 : 0;
}

}  // namespace stack
