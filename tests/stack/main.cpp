// SPDX-License-Identifier: GPL-2.0
//
// Runs the tests and prints TAP 14. A test that hangs beyond kSeconds ends
// the run with "Bail out!", so that the runner learns which one it was.
#include <stdio.h>
#include <string.h>

#include <sstream>

#include "random_calls.hpp"

namespace {

constexpr unsigned kSeconds = 120;
char g_current[256];

void on_alarm(int) {
  static const char kText[] = "\nBail out! timed out in ";
  // Only async-signal-safe calls here.
  (void)!write(STDOUT_FILENO, kText, sizeof kText - 1);
  (void)!write(STDOUT_FILENO, g_current, strlen(g_current));
  (void)!write(STDOUT_FILENO, "\n", 1);
  _exit(124);
}

std::string tap_comment(const std::string& text) {
  std::istringstream in(text);
  std::string line, out;
  while (std::getline(in, line)) out += "# " + line + "\n";
  return out;
}

class TapListener : public testing::EmptyTestEventListener {
 public:
  void OnTestProgramStart(const testing::UnitTest& unit) override {
    printf("TAP version 14\n1..%d\n", unit.test_to_run_count());
    fflush(stdout);
  }

  void OnTestStart(const testing::TestInfo& test) override {
    snprintf(g_current, sizeof g_current, "%s.%s", test.test_suite_name(),
             test.name());
    alarm(kSeconds);
  }

  void OnTestEnd(const testing::TestInfo& test) override {
    alarm(0);
    const testing::TestResult& result = *test.result();
    std::string skip, details;
    for (int i = 0; i < result.total_part_count(); i++) {
      const testing::TestPartResult& part = result.GetTestPartResult(i);
      if (part.skipped()) skip = part.message();
      if (part.failed()) {
        const char* file = part.file_name() ? part.file_name() : "?";
        const char* slash = strrchr(file, '/');
        details += tap_comment(std::string(slash ? slash + 1 : file) + ":" +
                               std::to_string(part.line_number()) + ": " +
                               part.message());
      }
    }
    for (char& c : skip)
      if (c == '\n') c = ' ';
    printf("%sok %d - %s.%s", result.Failed() ? "not " : "", ++number_,
           test.test_suite_name(), test.name());
    if (!result.Failed() && result.Skipped())
      printf(" # SKIP %s", skip.c_str());
    printf("\n%s", details.c_str());
    fflush(stdout);
  }

  void OnTestProgramEnd(const testing::UnitTest& unit) override {
    printf("# passed %d, failed %d, skipped %d\n", unit.successful_test_count(),
           unit.failed_test_count(), unit.skipped_test_count());
    fflush(stdout);
  }

 private:
  int number_ = 0;
};

// Nothing may stay pinned or accounted when a test has closed its files.
class BalanceListener : public testing::EmptyTestEventListener {
 public:
  void OnTestStart(const testing::TestInfo&) override {
    pins_ = stack::outstanding_pins();
    locked_ = stack::locked_pages();
  }
  void OnTestEnd(const testing::TestInfo&) override {
    EXPECT_EQ(stack::outstanding_pins(), pins_) << "pins left behind";
    EXPECT_EQ(stack::locked_pages(), locked_) << "VmLck left behind";
  }

 private:
  int64_t pins_ = 0;
  uint64_t locked_ = 0;
};

}  // namespace

// The second half of the exec tests: see type1_vaddr_test.cpp. A program that
// is run again with --exec-helper does that part and nothing else.
namespace stack {
int exec_helper(int argc, char** argv);
}

int main(int argc, char** argv) {
  if (argc > 1 && !strcmp(argv[1], "--exec-helper"))
    return stack::exec_helper(argc - 2, argv + 2);

  stack::read_random_options(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new TapListener);
  // Ends of tests go through the listeners backwards, so the balance is
  // checked before the result is printed.
  listeners.Append(new BalanceListener);
  signal(SIGALRM, on_alarm);
  signal(SIGPIPE, SIG_IGN);
  return RUN_ALL_TESTS();
}
