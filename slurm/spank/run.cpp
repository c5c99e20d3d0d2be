// SPDX-License-Identifier: Apache-2.0
// slurmd, slurmstepd and srun have threads: between fork and exec there are only system calls.
#include "slurm/spank/run.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vmi::spank {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kGrace = 2s;
constexpr std::size_t kMostSaid = 16384;
constexpr int kCannotExec = 127;
constexpr int kLate = 124;

struct Pipe {
  std::array<int, 2> ends = {-1, -1};
  Pipe() {
    if (pipe2(ends.data(), O_CLOEXEC) != 0) ends = {-1, -1};
  }
  ~Pipe() {
    for (const int end : ends) {
      if (end >= 0) close(end);
    }
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_writer() {
    close(ends[1]);
    ends[1] = -1;
  }
};

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> result;
  // execve(2) changes nothing of them.
  for (const std::string& word : words) result.push_back(const_cast<char*>(word.c_str()));  // NOLINT
  result.push_back(nullptr);
  return result;
}

/// For good: neither the real nor the saved user stays root.
bool become(const Program& program) {
  if (geteuid() == 0 && program.uid != 0 && setgroups(program.groups.size(), program.groups.data()) != 0)
    return false;
  if (setresgid(program.gid, program.gid, program.gid) != 0) return false;
  if (setresuid(program.uid, program.uid, program.uid) != 0) return false;
  return program.uid == 0 || setuid(0) != 0;
}

[[noreturn]] void child(const Program& program, char* const* argv, char* const* environment, int err) {
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  const int null = open("/dev/null", O_RDWR);
  if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(err, 2) < 0) _exit(kCannotExec);
  close_range(3, ~0U, 0);
  if (!become(program)) {
    constexpr std::string_view text = "cannot become the job's user\n";
    [[maybe_unused]] const ssize_t written = write(2, text.data(), text.size());
    _exit(kCannotExec);
  }
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  execve(argv[0], argv, environment);
  const char* const reason = strerrordesc_np(errno);
  [[maybe_unused]] const ssize_t written = write(2, reason, strlen(reason)) + write(2, "\n", 1);
  _exit(kCannotExec);
}

/// Takes what there is to read; returns false when nothing will come any more.
bool take(int fd, std::string& said) {
  std::array<char, 4096> buffer{};
  const ssize_t count = read(fd, buffer.data(), buffer.size());
  if (count <= 0) return count < 0 && (errno == EINTR || errno == EAGAIN);
  said.append(buffer.data(), static_cast<std::size_t>(count));
  if (said.size() > kMostSaid) said.erase(0, said.size() - kMostSaid);
  return true;
}

/// Until the process has ended (true) or the time has come. What it says is read all the while: a full pipe
/// would stop it.
bool listen(int pidfd, int pipe, Clock::time_point until, std::string& said) {
  bool more = true;
  while (true) {
    std::array<pollfd, 2> fds = {{{pidfd, POLLIN, 0}, {more ? pipe : -1, POLLIN, 0}}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) return false;
    if (poll(fds.data(), fds.size(), static_cast<int>(left)) < 0 && errno != EINTR) return false;
    if (fds[1].revents != 0) more = take(pipe, said);
    if (fds[0].revents != 0 && fds[1].revents == 0) return true;
  }
}

std::string described(const Program& program, int status) {
  const std::string name = program.argv.front();
  if (WIFSIGNALED(status)) return name + ": killed by signal " + std::to_string(WTERMSIG(status));
  return name + ": exit status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

Outcome run(const Program& program) {
  const std::vector<char*> argv = pointers(program.argv);
  const std::vector<char*> environment = pointers(program.environment);
  Pipe err;
  if (err.ends[0] < 0) return {.why = std::string("cannot make a pipe: ") + strerror(errno)};
  fcntl(err.ends[0], F_SETFL, O_NONBLOCK);
  const Clock::time_point deadline = Clock::now() + program.timeout;

  const pid_t pid = fork();
  if (pid < 0) return {.why = std::string("cannot start a process: ") + strerror(errno)};
  if (pid == 0) child(program, argv.data(), environment.data(), err.ends[1]);
  err.close_writer();

  Outcome outcome;
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  const bool late = !listen(pidfd, err.ends[0], deadline, outcome.said);
  if (late) {
    kill(-pid, SIGTERM);
    listen(pidfd, err.ends[0], Clock::now() + kGrace, outcome.said);
  }
  // Whatever of its group is left.
  kill(-pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (pidfd >= 0) close(pidfd);
  outcome.ok = !late && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) outcome.status = WEXITSTATUS(status);
  if (late) outcome.status = kLate;
  if (late)
    outcome.why =
        program.argv.front() + ": not done within " + std::to_string(program.timeout.count()) + " s";
  else if (!outcome.ok)
    outcome.why = described(program, status);
  return outcome;
}

}  // namespace vmi::spank
