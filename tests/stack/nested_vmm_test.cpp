// SPDX-License-Identifier: GPL-2.0
//
// examples/nested_vmm: a guest of KVM, whose I/O page tables vfio_zpci follows,
// and beside it the same guest page by page on type1. The guest checks what its
// device reaches.
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "mdev.hpp"

namespace stack {
namespace {

class NestedVmmProgram : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_DEVICES(1);
    edu_ = lone_devices()[0];
    // The kernel's own vfio.ko does not load it when it is asked for.
    if (on_stock()) {
      ASSERT_EQ(system("modprobe vfio_zpci"), 0);
    }
    if (!exists("/dev/kvm")) {
      ASSERT_EQ(system("modprobe kvm-amd"), 0) << "kvm-amd is needed";
    }
  }

  void TearDown() override {
    if (on_stock()) {
      EXPECT_OK(unload_module("vfio_zpci"));
    }
  }

  // The program's exit status.
  int run(const std::string& arguments) {
    output_.clear();
    FILE* pipe = popen(("/nested_vmm " + arguments + " 2>&1").c_str(), "r");
    if (!pipe) return -1;
    char text[256];
    while (fgets(text, sizeof text, pipe)) {
      output_ += text;
      const std::string line(text, strcspn(text, "\n"));
      if (!line.starts_with("  ok ") && !line.starts_with("  cost "))
        note(line);
    }
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int count(std::string_view text) const {
    int found = 0;
    for (size_t at = output_.find(text); at != std::string::npos;
         at = output_.find(text, at + 1))
      found++;
    return found;
  }

  static constexpr int kThings = 13, kBlocked = 3;
  PciDevice edu_;
  std::string output_;
};

class NestedVmm : public NestedVmmProgram,
                  public testing::WithParamInterface<std::string> {};

INSTANTIATE_TEST_SUITE_P(Formats, NestedVmm,
                         testing::Values("s390", "s390-5", "vtd", "vtd-5"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(NestedVmm, FollowsTheGuestsTable) {
  EXPECT_EQ(run(edu_.bdf + " " + GetParam()), 0);
  EXPECT_EQ(count("\n  ok "), kThings);
  EXPECT_EQ(count(" is blocked (IOVA "), kBlocked);
  EXPECT_EQ(count(": ioctls 1, "), 6) << "each refresh is one";
}

// KVM signals the eventfd: the VMM makes no ioctl.
class NestedVmmDoorbell : public NestedVmm {};

INSTANTIATE_TEST_SUITE_P(Formats, NestedVmmDoorbell,
                         testing::Values("s390", "vtd"),
                         [](const auto& info) { return info.param; });

TEST_P(NestedVmmDoorbell, FollowsTheGuestsTableWithoutTheVmm) {
  EXPECT_EQ(run("--doorbell " + edu_.bdf + " " + GetParam()), 0);
  EXPECT_EQ(count("\n  ok "), kThings);
  EXPECT_EQ(count(" is blocked (IOVA "), kBlocked);
  EXPECT_EQ(count(": ioctls 0, "), 6);
}

class NestedVmmPerPage : public NestedVmm {};

INSTANTIATE_TEST_SUITE_P(Formats, NestedVmmPerPage,
                         testing::Values("s390", "vtd"),
                         [](const auto& info) { return info.param; });

TEST_P(NestedVmmPerPage, TheGuestSeesNoDifference) {
  EXPECT_EQ(run("--per-page " + edu_.bdf + " " + GetParam()), 0);
  EXPECT_EQ(count("\n  ok "), kThings);
  EXPECT_EQ(count(" is blocked (IOVA "), kBlocked);
  EXPECT_EQ(count("256 pages invalidated: ioctls 256, "), 1);
}

TEST_F(NestedVmmProgram, SaysWhatIsWrong) {
  EXPECT_EQ(run(""), 2);
  EXPECT_EQ(run(edu_.bdf + " vtd-9"), 2);
  EXPECT_EQ(run("0000:ff:1f.7 vtd"), 1);
  EXPECT_EQ(count("looking for the IOMMU group of 0000:ff:1f.7"), 1);
  Fd group = open_group(edu_);
  ASSERT_OK(group.get());
  EXPECT_EQ(run(edu_.bdf + " vtd"), 1);
  EXPECT_EQ(count("Device or resource busy"), 1) << "another has the group";
}

}  // namespace
}  // namespace stack
