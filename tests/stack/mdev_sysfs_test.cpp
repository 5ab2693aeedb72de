// SPDX-License-Identifier: GPL-2.0
//
// What mdev.ko shows in sysfs and what it says to what is written there:
// types, creation by UUID, removal, events.
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "mdev.hpp"

namespace stack {
namespace {

const std::string kUuid = test_uuid(0xa);

std::string entries(const std::string& path) {
  std::vector<std::string> names;
  if (DIR* dir = opendir(path.c_str())) {
    while (dirent* entry = readdir(dir))
      if (entry->d_name[0] != '.') names.push_back(entry->d_name);
    closedir(dir);
  }
  std::sort(names.begin(), names.end());
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : " ") + name;
  return all;
}

std::string target_of(const std::string& link) {
  char target[PATH_MAX] = "";
  return realpath(link.c_str(), target) ? target : "";
}

unsigned mode_of(const std::string& path) {
  struct stat s {};
  return stat(path.c_str(), &s) == 0 ? s.st_mode & 07777 : 0;
}

TEST(MdevSysfs, Parent) {
  SampleDriver mtty("mtty");
  ASSERT_TRUE(mtty.ok());
  EXPECT_EQ(target_of(mtty.parent()), "/sys/devices/virtual/mtty/mtty");
  EXPECT_EQ(entries(mtty.parent() + "/mdev_supported_types"), "mtty-1 mtty-2");
  EXPECT_EQ(mdevs().size(), 0u);
  EXPECT_TRUE(exists("/sys/bus/mdev/drivers/mtty"));
  observe("parent", entries(mtty.parent()));
  ASSERT_OK(mtty.unload());
  EXPECT_FALSE(exists("/sys/devices/virtual/mtty"));
  EXPECT_FALSE(exists("/sys/bus/mdev/drivers/mtty"));
  EXPECT_OK(unload_module("mdev")) << "nobody uses it any more";
  EXPECT_FALSE(exists("/sys/class/mdev_bus"));
  EXPECT_FALSE(exists("/sys/bus/mdev"));
}

// What the files of a type say.
struct Type {
  const SampleDriver& driver;
  const char *type, *name, *description;
  uint64_t available;
};

void expect_types(std::initializer_list<Type> types) {
  for (const Type& t : types) {
    SCOPED_TRACE(t.name);
    EXPECT_EQ(t.driver.file(t.type, "name"), t.name);
    EXPECT_EQ(t.driver.file(t.type, "description"), t.description);
    EXPECT_EQ(t.driver.file(t.type, "device_api"), "vfio-pci");
    EXPECT_EQ(t.driver.available(t.type), t.available);
  }
}

TEST(MdevSysfs, Types) {
  SampleDriver mtty("mtty"), mdpy("mdpy");
  ASSERT_TRUE(mtty.ok() && mdpy.ok());
  EXPECT_EQ(entries("/sys/class/mdev_bus"), "mdpy mtty");
  EXPECT_EQ(entries(mtty.type("1")),
            "available_instances create device_api devices name")
      << "no description: the driver has none";
  EXPECT_EQ(entries(mdpy.type("vga")),
            "available_instances create description device_api devices name");
  expect_types(
      {{mtty, "1", "Single port serial", "", 24},
       {mtty, "2", "Dual port serial", "", 12},
       {mdpy, "vga", "mdpy-vga", "virtual display, 640x480 framebuffer", 4},
       {mdpy, "hd", "mdpy-hd", "virtual display, 1920x1080 framebuffer", 4}});
  for (const char* file : {"name", "device_api", "available_instances",
                           "description", "create", "devices"})
    observe(std::string("mode_") + file, mode_of(mdpy.type("vga/") + file));
  in_child(
      [&] {
        EXPECT_ERR(EACCES, mdpy.create("vga", kUuid)) << "not for everybody";
      },
      {.drop_user = true, .memlock = std::nullopt});
}

TEST(MdevSysfs, TypesOfMbochs) {
  SampleDriver mbochs("mbochs");
  ASSERT_TRUE(mbochs.ok());
  expect_types({{mbochs, "small", "mbochs-small",
                 "virtual display, 4 MB video memory", 64},
                {mbochs, "large", "mbochs-large",
                 "virtual display, 64 MB video memory", 4}});
}

TEST(MdevSysfs, Device) {
  SampleDriver mdpy("mdpy");
  ASSERT_TRUE(mdpy.ok());
  ASSERT_OK(mdpy.create("vga", kUuid + "\n"));
  EXPECT_EQ(mdevs(), std::vector<std::string>{kUuid});
  const std::string path = mdev_path(kUuid);
  EXPECT_EQ(target_of(path), target_of(mdpy.parent()) + "/" + kUuid);
  EXPECT_EQ(target_of(path + "/mdev_type"), target_of(mdpy.type("vga")));
  EXPECT_EQ(target_of(mdpy.type("vga") + "/devices/" + kUuid), target_of(path));
  EXPECT_EQ(entries(mdpy.type("vga") + "/devices"), kUuid);
  EXPECT_EQ(entries(mdpy.type("xga") + "/devices"), "");
  EXPECT_EQ(target_of(path + "/driver"),
            target_of("/sys/bus/mdev/drivers/mdpy"));
  EXPECT_EQ(read_text(path + "/vendor/resolution"), "640x480");
  EXPECT_TRUE(exists(path + "/iommu_group"));
  observe("device", entries(path));
  observe("mode_remove", mode_of(path + "/remove"));
  ASSERT_OK(mdev_remove(kUuid));
  EXPECT_FALSE(mdev_exists(kUuid));
  EXPECT_EQ(entries(mdpy.type("vga") + "/devices"), "");
  EXPECT_ERR(ENOENT, mdev_remove(kUuid)) << "a second time";
}

TEST(MdevSysfs, Uppercase) {
  SampleDriver mdpy("mdpy");
  ASSERT_TRUE(mdpy.ok());
  ASSERT_OK(mdpy.create("vga", "ABCDEF01-2345-6789-ABCD-EF0123456789"));
  EXPECT_TRUE(mdev_exists("abcdef01-2345-6789-abcd-ef0123456789"));
  EXPECT_ERR(EEXIST, mdpy.create("vga", "abcdEF01-2345-6789-abcd-ef0123456789"))
      << "the same in another case";
  EXPECT_OK(mdev_remove("abcdef01-2345-6789-abcd-ef0123456789"));
}

// --- UUIDs -----------------------------------------------------------------

struct UuidCase {
  const char* name;
  std::string text;
  int error;
};

class MdevUuid : public testing::TestWithParam<UuidCase> {};

TEST_P(MdevUuid, Create) {
  SampleDriver mdpy("mdpy");
  ASSERT_TRUE(mdpy.ok());
  const UuidCase& c = GetParam();
  long result = mdpy.create("vga", c.text);
  observe_result("result", result);
  if (c.error) {
    EXPECT_ERR(c.error, result);
    EXPECT_EQ(mdevs().size(), 0u);
    EXPECT_EQ(mdpy.available("vga"), 4u);
    return;
  }
  ASSERT_OK(result);
  EXPECT_TRUE(mdev_exists(kUuid));
  EXPECT_OK(mdev_remove(kUuid));
}

std::string changed(size_t at, char to) {
  std::string text = kUuid;
  text[at] = to;
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    All, MdevUuid,
    testing::Values(UuidCase{"good", kUuid, 0},
                    UuidCase{"newline", kUuid + "\n", 0},
                    UuidCase{"zero_behind", kUuid + std::string(1, '\0'), 0},
                    UuidCase{"letter_behind", kUuid + "x", 0},
                    UuidCase{"two_behind", kUuid + "\n\n", EINVAL},
                    UuidCase{"short", kUuid.substr(1), EINVAL},
                    UuidCase{"short_newline", kUuid.substr(1) + "\n", EINVAL},
                    UuidCase{"one_letter", "a", EINVAL},
                    UuidCase{"only_newline", "\n", EINVAL},
                    UuidCase{"blank_first", " " + kUuid.substr(0, 35), EINVAL},
                    UuidCase{"not_hex", changed(35, 'g'), EINVAL},
                    UuidCase{"sign", changed(0, '+'), EINVAL},
                    UuidCase{"zero_inside", changed(10, '\0'), EINVAL},
                    UuidCase{"no_first_dash", changed(8, '0'), EINVAL},
                    UuidCase{"no_last_dash", changed(23, '0'), EINVAL},
                    UuidCase{"dash_elsewhere", changed(9, '-'), EINVAL},
                    UuidCase{"braces", "{" + kUuid.substr(0, 34) + "}", EINVAL},
                    UuidCase{"long", kUuid + kUuid, EINVAL},
                    UuidCase{"a_page", std::string(4095, 'a'), EINVAL}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(MdevCreate, Duplicates) {
  SampleDriver mtty("mtty"), mdpy("mdpy");
  ASSERT_TRUE(mtty.ok() && mdpy.ok());
  ASSERT_OK(mtty.create("1", kUuid));
  EXPECT_ERR(EEXIST, mtty.create("1", kUuid));
  EXPECT_ERR(EEXIST, mtty.create("2", kUuid)) << "of another type";
  EXPECT_ERR(EEXIST, mdpy.create("vga", kUuid)) << "of another parent";
  EXPECT_EQ(mtty.available("1"), 23u);
  EXPECT_EQ(mdpy.available("vga"), 4u) << "a refused one takes no instance";
  ASSERT_OK(mdev_remove(kUuid));
  EXPECT_OK(mdpy.create("vga", kUuid)) << "it is free again";
  EXPECT_OK(mdev_remove(kUuid));
}

TEST(MdevCreate, MoreThanTheBusCounts) {
  SampleDriver mdpy("mdpy");
  ASSERT_TRUE(mdpy.ok());
  for (unsigned i = 0; i < 4; i++) {
    EXPECT_EQ(mdpy.available("xga"), 4 - i) << "shared by all types";
    ASSERT_OK(mdpy.create(i % 2 ? "vga" : "xga", test_uuid(i)));
  }
  EXPECT_ERR(EUSERS, mdpy.create("vga", test_uuid(4)));
  EXPECT_ERR(EEXIST, mdpy.create("vga", test_uuid(3))) << "that comes first";
  EXPECT_FALSE(mdev_exists(test_uuid(4)));
  EXPECT_OK(mdev_remove(test_uuid(0)));
  EXPECT_EQ(mdpy.available("hd"), 1u);
  EXPECT_OK(mdpy.create("vga", test_uuid(4)));
  EXPECT_ERR(EUSERS, mdpy.create("vga", test_uuid(0)));
}

TEST(MdevCreate, NoneAtAll) {
  SampleDriver mdpy("mdpy", "count=0");
  ASSERT_TRUE(mdpy.ok());
  EXPECT_EQ(mdpy.available("vga"), 0u);
  EXPECT_ERR(EUSERS, mdpy.create("vga", kUuid));
}

TEST(MdevCreate, MoreThanTheDriverCounts) {
  SampleDriver mtty("mtty");
  ASSERT_TRUE(mtty.ok());
  for (unsigned i = 0; i < 12; i++) ASSERT_OK(mtty.create("2", test_uuid(i)));
  EXPECT_EQ(mtty.available("2"), 0u);
  EXPECT_ERR(ENOSPC, mtty.create("1", test_uuid(12))) << "what its probe said";
  EXPECT_FALSE(mdev_exists(test_uuid(12)));
  EXPECT_EQ(mdevs().size(), 12u) << "nothing is left of the one that failed";
  EXPECT_OK(mdev_remove(test_uuid(11)));
  EXPECT_OK(mtty.create("1", test_uuid(12))) << "its UUID is free";
  EXPECT_EQ(mtty.available("1"), 1u);
  EXPECT_EQ(mtty.available("2"), 0u);
}

// --- the file remove -------------------------------------------------------

TEST(MdevRemove, Values) {
  SampleDriver mtty("mtty");
  ASSERT_TRUE(mtty.ok());
  const std::string file = mdev_path(kUuid) + "/remove";
  ASSERT_OK(mtty.create("1", kUuid));
  for (const char* nothing : {"0", "0\n", "00", "0x0"})
    EXPECT_OK(write_text(file, nothing)) << nothing;
  for (const char* bad :
       {"x", "\n", " 1", "1 ", "-1", "1x", "0x", "18446744073709551616"})
    EXPECT_ERR(EINVAL, write_text(file, bad)) << bad;
  EXPECT_TRUE(mdev_exists(kUuid));
  for (const char* good :
       {"1", "1\n", "+1", "0x10\n", "2", "18446744073709551615"}) {
    if (!mdev_exists(kUuid)) {
      ASSERT_OK(mtty.create("1", kUuid));
    }
    EXPECT_OK(write_text(file, good)) << good;
    EXPECT_FALSE(mdev_exists(kUuid)) << good;
  }
}

TEST(MdevRemove, TwiceThroughAnOpenFile) {
  SampleDriver mtty("mtty");
  ASSERT_TRUE(mtty.ok());
  ASSERT_OK(mtty.create("1", kUuid));
  Fd file = open_path(mdev_path(kUuid) + "/remove", O_WRONLY);
  ASSERT_OK(file.get());
  EXPECT_EQ(write(file, "1", 1), 1);
  EXPECT_FALSE(mdev_exists(kUuid));
  errno = 0;
  EXPECT_EQ(pwrite(file, "1", 1, 0), -1);
  EXPECT_EQ(errno, ENODEV);
  ASSERT_OK(mtty.create("1", kUuid));
  errno = 0;
  EXPECT_EQ(pwrite(file, "1", 1, 0), -1) << "it was another device's";
  EXPECT_EQ(errno, ENODEV);
  EXPECT_TRUE(mdev_exists(kUuid));
  EXPECT_OK(mdev_remove(kUuid));
}

TEST(MdevRemove, UnboundByItsDriversFile) {
  SampleDriver mtty("mtty");
  ASSERT_TRUE(mtty.ok());
  ASSERT_OK(mtty.create("1", kUuid));
  const std::string driver = "/sys/bus/mdev/drivers/mtty";
  EXPECT_OK(write_text(driver + "/unbind", kUuid));
  EXPECT_FALSE(exists(mdev_path(kUuid) + "/driver"));
  EXPECT_FALSE(exists(mdev_path(kUuid) + "/iommu_group"));
  EXPECT_EQ(mtty.available("1"), 24u) << "the driver counts what it has";
  EXPECT_ERR(ENODEV, write_text(driver + "/bind", kUuid))
      << "no driver matches by itself";
  EXPECT_ERR(EEXIST, mtty.create("1", kUuid)) << "it is still there";
  EXPECT_OK(mdev_remove(kUuid));
}

// --- events ----------------------------------------------------------------

TEST(MdevUevent, ParentAndDevice) {
  { SampleDriver once("mtty"); }  // so that mdev.ko is loaded
  Uevents uevents;
  ASSERT_TRUE(uevents.ok());
  const std::string parent = "/devices/virtual/mtty/mtty";
  {
    SampleDriver mtty("mtty");
    ASSERT_TRUE(mtty.ok());
    int registered = 0;
    for (const Uevents::Event& e : uevents.take()) {
      if (e.path == parent && e.action == "change") {
        registered++;
        EXPECT_TRUE(e.has("MDEV_STATE=registered"));
        EXPECT_TRUE(e.has("SUBSYSTEM=mtty"));
      }
      EXPECT_FALSE(e.has("MDEV_STATE=unregistered"));
    }
    EXPECT_EQ(registered, 1);

    ASSERT_OK(mtty.create("1", kUuid));
    EXPECT_OK(mdev_remove(kUuid));
    std::string order;
    for (const Uevents::Event& e : uevents.take())
      if (e.path == parent + "/" + kUuid) {
        order += (order.empty() ? "" : " ") + e.action;
        EXPECT_TRUE(e.has("SUBSYSTEM=mdev"));
      }
    EXPECT_EQ(order, "add bind unbind remove");
  }
  std::string order;
  for (const Uevents::Event& e : uevents.take()) {
    if (e.has("MDEV_STATE=unregistered")) {
      EXPECT_EQ(e.path, parent);
      EXPECT_EQ(e.action, "change");
      order += "unregistered ";
    }
    if (e.path == parent && e.action == "remove") order += "remove";
  }
  EXPECT_EQ(order, "unregistered remove");
}

}  // namespace
}  // namespace stack
