// SPDX-License-Identifier: GPL-2.0
//
// Child processes of tests. A child reports its failed assertions over a pipe
// and the parent repeats them as its own.
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "harness.hpp"

namespace stack {

namespace {

void apply(const ChildOptions& options) {
  if (options.memlock) {
    rlimit limit{*options.memlock, *options.memlock};
    if (setrlimit(RLIMIT_MEMLOCK, &limit)) ADD_FAILURE() << "setrlimit";
  }
  if (options.drop_user) {
    if (setgroups(0, nullptr) || setresgid(kUser, kUser, kUser) ||
        setresuid(kUser, kUser, kUser))
      ADD_FAILURE() << "cannot become uid " << kUser;
    // The change of user makes the process undumpable, which hides its own
    // /proc files from it.
    prctl(PR_SET_DUMPABLE, 1);
  }
}

int part_count() {
  return testing::UnitTest::GetInstance()
      ->current_test_info()
      ->result()
      ->total_part_count();
}

std::string failures_from(int first) {
  const testing::TestResult* result =
      testing::UnitTest::GetInstance()->current_test_info()->result();
  std::string text;
  for (int i = first; i < result->total_part_count(); i++) {
    const testing::TestPartResult& part = result->GetTestPartResult(i);
    if (!part.failed()) continue;
    const char* file = part.file_name() ? part.file_name() : "?";
    const char* slash = strrchr(file, '/');
    text += std::string(slash ? slash + 1 : file) + ":" +
            std::to_string(part.line_number()) + ": " + part.message() + "\n";
  }
  return text;
}

}  // namespace

Child::Child(const std::function<void(Child&)>& body, ChildOptions options) {
  int report[2], channel[2];
  if (pipe2(report, O_CLOEXEC) ||
      socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel)) {
    ADD_FAILURE() << "pipe: " << errno_name(-errno);
    return;
  }
  fflush(stdout);
  pid_t parent = getpid();
  pid_ = fork();
  if (pid_ != 0) {
    close(report[1]);
    close(channel[1]);
    report_ = Fd(report[0]);
    channel_ = Fd(channel[0]);
    if (pid_ < 0) ADD_FAILURE() << "fork: " << errno_name(-errno);
    return;
  }

  close(report[0]);
  close(channel[0]);
  report_ = Fd(report[1]);
  channel_ = Fd(channel[1]);
  int first = part_count();
  apply(options);
  // After the change of user, which would clear it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  body(*this);
  std::string failures = failures_from(first);
  if (!failures.empty())
    (void)!write(report_, failures.data(), failures.size());
  fflush(stdout);
  _exit(failures.empty() ? 0 : 1);
}

Child::~Child() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

void Child::wait(int expected_signal) {
  if (pid_ <= 0) return;
  std::string failures;
  char buffer[4096];
  ssize_t n;
  while ((n = read(report_, buffer, sizeof buffer)) > 0)
    failures.append(buffer, static_cast<size_t>(n));
  int status = 0;
  pid_t reaped = waitpid(pid_, &status, 0);
  EXPECT_EQ(reaped, pid_);
  pid_ = -1;
  if (!failures.empty()) ADD_FAILURE() << "in the child:\n" << failures;
  if (WIFSIGNALED(status)) {
    EXPECT_EQ(WTERMSIG(status), expected_signal) << "the child died";
  } else {
    EXPECT_EQ(expected_signal, 0) << "the child was to die by a signal";
    if (failures.empty()) {
      EXPECT_EQ(WEXITSTATUS(status), 0) << "the child's exit status";
    }
  }
}

void Child::notify() { (void)!send(channel_, "!", 1, MSG_NOSIGNAL); }

bool Child::await(int timeout_ms) {
  pollfd p{channel_, POLLIN, 0};
  char byte;
  return poll(&p, 1, timeout_ms) == 1 && recv(channel_, &byte, 1, 0) == 1;
}

void Child::send_fd(int fd) {
  char byte = 'f';
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (sendmsg(channel_, &message, MSG_NOSIGNAL) != 1)
    ADD_FAILURE() << "sendmsg: " << errno_name(-errno);
}

Fd Child::receive_fd() {
  char byte;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(channel_, &message, MSG_CMSG_CLOEXEC) != 1) return Fd(-EIO);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (!header || header->cmsg_type != SCM_RIGHTS) return Fd(-EIO);
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return Fd(fd);
}

void in_child(const std::function<void()>& body, ChildOptions options) {
  Child child([&](Child&) { body(); }, options);
  child.wait();
}

}  // namespace stack
