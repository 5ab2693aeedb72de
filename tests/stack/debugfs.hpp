// SPDX-License-Identifier: GPL-2.0
//
// What debugfs shows below vfio/, for tests.
#pragma once

#include <string>
#include <vector>

namespace stack {

inline constexpr char kVfioDebugfs[] = "/sys/kernel/debug/vfio";

// Mounts debugfs unless it is.
void mount_debugfs();

// The folders of this process's containers, by number.
std::vector<std::string> my_containers();

// The whole of a file, read by reads of `chunk` bytes; "" if it cannot be
// opened.
std::string read_all(const std::string& path, size_t chunk = 65536);

std::vector<std::string> lines_of(const std::string& text);

// Whether a file has this line.
bool has_line(const std::string& path, const std::string& line);

}  // namespace stack
