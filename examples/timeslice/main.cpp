// SPDX-License-Identifier: GPL-2.0
//
// timeslice run SECONDS FILE BDF KIND...: uses one of QEMU's edu devices all the time, in one or
// more of the ways mmap, calls, dma and guest (workers.hpp), and writes to the file when each use
// of it was. It neither knows nor asks whether the device is blocked at times: it waits then.
//
// timeslice check TRACE FILE...: says whether each device was used in its own slices alone.
//
// Exit status: 0 if all was as it should be, 1 if not, 2 for a bad command line.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "workers.hpp"

namespace {

struct Worker {
  std::string kind;
  Outcome outcome;
  std::string failure;
  std::thread thread;
};

void write_records(const std::string& path, const std::string& bdf,
                   const std::vector<Worker>& workers) {
  std::ofstream out(path);
  for (const Worker& worker : workers)
    for (const Access& access : worker.outcome.record.accesses())
      out << bdf << ' ' << worker.kind << ' ' << access.begin << ' ' << access.end << '\n';
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

bool say(const std::string& bdf, const Worker& worker) {
  const auto& accesses = worker.outcome.record.accesses();
  std::uint64_t longest = 0;
  for (const Access& access : accesses) longest = std::max(longest, access.end - access.begin);
  const bool holds = worker.failure.empty() && !accesses.empty();
  std::string what = bdf + " " + worker.kind + ": " + std::to_string(accesses.size()) + " done";
  if (worker.kind == "dma")
    what += ", " + std::to_string(worker.outcome.dropped) + " dropped and made again";
  else
    what += ", the longest took " + std::to_string(longest / 1'000'000) + " ms";
  std::printf(
      "  %s %s\n", holds ? "ok    " : "FAILED",
      (worker.failure.empty() ? what : bdf + " " + worker.kind + ": " + worker.failure).c_str());
  return holds;
}

bool run(double seconds, const std::string& path, const std::string& bdf,
         const std::vector<std::string>& kinds) {
  Device device(bdf);
  std::atomic<bool> stop{false};
  std::vector<Worker> workers(kinds.size());
  for (std::size_t i = 0; i < kinds.size(); i++) {
    Worker& worker = workers[i];
    worker.kind = kinds[i];
    worker.thread = std::thread([&] {
      try {
        work(worker.kind, device, stop, worker.outcome);
      } catch (const std::exception& error) {
        worker.failure = error.what();
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (Worker& worker : workers) worker.thread.join();
  write_records(path, bdf, workers);
  bool holds = true;
  for (const Worker& worker : workers) holds = say(bdf, worker) && holds;
  return holds;
}

int usage() {
  std::fprintf(stderr,
               "usage: timeslice run SECONDS FILE BDF mmap|calls|dma|guest...\n"
               "       timeslice check TRACE FILE...\n");
  return 2;
}

int dispatch(const std::vector<std::string>& words) {
  if (words.size() >= 3 && words[0] == "check")
    return check_records(words[1], {words.begin() + 2, words.end()}) ? 0 : 1;
  if (words.size() < 5 || words[0] != "run") return usage();
  const double seconds = std::atof(words[1].c_str());
  const std::vector<std::string> kinds(words.begin() + 4, words.end());
  if (!(seconds > 0) || !std::all_of(kinds.begin(), kinds.end(), is_work)) return usage();
  return run(seconds, words[2], words[3], kinds) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return dispatch({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::printf("  FAILED %s\n", error.what());
    return 1;
  }
}
