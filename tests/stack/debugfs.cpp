// SPDX-License-Identifier: GPL-2.0
#include "debugfs.hpp"

#include <dirent.h>
#include <sys/mount.h>

#include <algorithm>
#include <sstream>

#include "harness.hpp"

namespace stack {

void mount_debugfs() {
  if (!exists("/sys/kernel/debug/tracing"))
    mount("debugfs", "/sys/kernel/debug", "debugfs", 0, nullptr);
}

std::string read_all(const std::string& path, size_t chunk) {
  Fd file = open_path(path, O_RDONLY);
  std::string text, buffer(chunk, 0);
  ssize_t got = 0;
  // EBUSY: a group is being attached or detached.
  while (file.valid() && ((got = read(file, buffer.data(), chunk)) > 0 ||
                          (got < 0 && errno == EBUSY)))
    text.append(buffer, 0, got > 0 ? got : 0);
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool has_line(const std::string& path, const std::string& line) {
  const std::vector<std::string> lines = lines_of(read_all(path));
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

std::vector<std::string> my_containers() {
  const std::string top = std::string(kVfioDebugfs) + "/containers/";
  const std::string mine = "pid " + std::to_string(getpid());
  std::vector<std::string> found;
  DIR* dir = opendir(top.c_str());
  while (const dirent* entry = dir ? readdir(dir) : nullptr)
    if (has_line(top + entry->d_name + "/owner", mine))
      found.push_back(top + entry->d_name + "/");
  if (dir) closedir(dir);
  std::sort(found.begin(), found.end(),
            [](const std::string& a, const std::string& b) {
              return a.size() != b.size() ? a.size() < b.size() : a < b;
            });
  return found;
}

}  // namespace stack
