// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/process.hpp"

#include "cachegen/support/log.hpp"
#include "cachegen/support/socket.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace vmi {
namespace {

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added,
                                            const std::set<std::string>& unset) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    if (!added.contains(name) && !unset.contains(name)) result.push_back(text);
  }
  for (const auto& [name, value] : added) result.push_back(name + "=" + value);
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (std::string& text : strings) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

/// Everything the child needs between fork and exec, made before the fork: there, only async-signal-safe
/// calls are allowed.
struct ChildPlan {
  const char* path;
  char** argv;
  char** envp;
  int stdio[3];
  const std::vector<int>* keep;  ///< sorted
  int error_pipe;
  int parent_pid;
  bool new_session;
  int death_signal;
  const std::vector<unsigned long>* cpus;  ///< a mask; empty: as they are
};

void close_all_but(const std::vector<int>& sorted_keep) {
  unsigned next = 3;
  for (const int fd : sorted_keep) {
    const auto kept = static_cast<unsigned>(fd);
    if (kept > next) syscall(SYS_close_range, next, kept - 1, 0);
    next = kept + 1;
  }
  syscall(SYS_close_range, next, ~0U, 0);
}

[[noreturn]] void give_up(const ChildPlan& plan) {
  const int error_number = errno;
  [[maybe_unused]] const ssize_t n = write(plan.error_pipe, &error_number, sizeof error_number);
  _exit(127);
}

[[noreturn]] void become(const ChildPlan& plan) {
  sigset_t none;
  sigemptyset(&none);
  for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGCHLD, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM})
    signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (plan.new_session) setsid();
  if (plan.death_signal != 0) {
    prctl(PR_SET_PDEATHSIG, plan.death_signal);
    if (getppid() != plan.parent_pid) _exit(127);  // the parent ended before the request was in force
  }
  for (int target = 0; target < 3; ++target) {
    if (plan.stdio[target] == target) {
      fcntl(target, F_SETFD, 0);
    } else {
      dup2(plan.stdio[target], target);
    }
  }
  for (const int fd : *plan.keep) {
    if (fd != plan.error_pipe) fcntl(fd, F_SETFD, 0);
  }
  close_all_but(*plan.keep);
  const std::vector<unsigned long>& cpus = *plan.cpus;
  if (!cpus.empty() && sched_setaffinity(0, cpus.size() * sizeof cpus[0],
                                         reinterpret_cast<const cpu_set_t*>(cpus.data())) != 0)
    give_up(plan);
  execve(plan.path, plan.argv, plan.envp);
  give_up(plan);
}

/// Forks twice. The process between the two ends only when it is told to, so that the other's pid is still
/// its own when the descriptor is taken.
Fd fork_detached(const ChildPlan& plan, int& pid) {
  pid = -1;
  int told[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, told) != 0) return {};
  const Fd ours(told[0]);
  Fd theirs(told[1]);
  const int between = fork();
  if (between < 0) return {};
  if (between == 0) {
    int grandchild = fork();
    if (grandchild == 0) become(plan);
    char go = 0;
    [[maybe_unused]] const ssize_t sent = write(theirs.get(), &grandchild, sizeof grandchild);
    [[maybe_unused]] const ssize_t seen = read(theirs.get(), &go, 1);
    _exit(0);
  }
  theirs.reset();
  Fd pidfd;
  if (read(ours.get(), &pid, sizeof pid) == sizeof pid && pid > 0) pidfd = open_pidfd(pid);
  [[maybe_unused]] const ssize_t sent = write(ours.get(), "", 1);
  while (waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
  }
  return pidfd;
}

}  // namespace

std::string shell_quoted(const Argv& argv) {
  std::string result;
  for (const std::string& word : argv) {
    if (!result.empty()) result += ' ';
    const bool plain = !word.empty() && word.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                            "_-+=:,./@%") == std::string::npos;
    if (plain) {
      result += word;
      continue;
    }
    result += '\'';
    for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
    result += '\'';
  }
  return result;
}

std::optional<fs::path> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return access(name.c_str(), X_OK) == 0 ? std::optional<fs::path>(name) : std::nullopt;
  }
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
  while (true) {
    const std::size_t colon = rest.find(':');
    const fs::path candidate = fs::path(rest.substr(0, colon)) / name;
    if (access(candidate.c_str(), X_OK) == 0 && !fs::is_directory(candidate)) return candidate;
    if (colon == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(colon + 1);
  }
}

Child spawn(const Argv& argv, const SpawnOptions& options) {
  const std::optional<fs::path> program = find_program(argv.at(0));
  if (!program)
    throw Error(ExitStatus::environment,
                "cannot run '" + argv[0] + "': no such program; is its package installed and PATH right?");
  log_debug("run: " + shell_quoted(argv));

  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) throw_errno(ExitStatus::environment, "cannot make a pipe");
  const Fd error_read(pipe_fds[0]);
  Fd error_write(pipe_fds[1]);
  const Fd null = open_file("/dev/null", O_RDWR);

  Argv words = argv;
  std::vector<char*> argv_pointers = pointers(words);
  std::vector<std::string> environment = merged_environment(options.environment, options.unset);
  std::vector<char*> environment_pointers = pointers(environment);
  std::vector<int> keep = options.keep_fds;
  keep.push_back(error_write.get());
  std::ranges::sort(keep);
  const std::vector<unsigned long> cpus = to_cpu_mask(options.cpus);
  const ChildPlan plan{
      .path = program->c_str(),
      .argv = argv_pointers.data(),
      .envp = environment_pointers.data(),
      .stdio = {options.stdin_fd >= 0 ? options.stdin_fd : null.get(),
                options.stdout_fd >= 0 ? options.stdout_fd : null.get(),
                options.stderr_fd >= 0 ? options.stderr_fd : STDERR_FILENO},
      .keep = &keep,
      .error_pipe = error_write.get(),
      .parent_pid = getpid(),
      .new_session = options.new_session,
      .death_signal = options.death_signal,
      .cpus = &cpus,
  };

  Child child;
  child.detached_ = options.detached;
  if (options.detached) {
    child.pidfd_ = fork_detached(plan, child.pid_);
  } else {
    child.pid_ = fork();
    if (child.pid_ == 0) become(plan);
    if (child.pid_ > 0) child.pidfd_ = open_pidfd(child.pid_);
  }
  if (child.pid_ < 0) throw_errno(ExitStatus::environment, "cannot start '" + argv[0] + "'");

  error_write.reset();
  int error_number = 0;
  ssize_t n = 0;
  do {
    n = read(error_read.get(), &error_number, sizeof error_number);
  } while (n < 0 && errno == EINTR);
  if (n > 0) throw_errno(ExitStatus::environment, "cannot run '" + program->string() + "'", error_number);
  return child;
}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    kill_and_reap();
    pid_ = std::exchange(other.pid_, 0);
    pidfd_ = std::move(other.pidfd_);
    detached_ = other.detached_;
  }
  return *this;
}

void Child::signal(int number) const {
  pidfd_kill(pidfd_, number);
}

std::optional<int> Child::wait(Deadline deadline) {
  if (!pidfd_) throw Error(ExitStatus::environment, "waiting for a process that was waited for already");
  if (!wait_fd(pidfd_.get(), POLLIN, deadline)) return std::nullopt;
  return reap();
}

int Child::reap() {
  int status = 0;
  while (!detached_ && waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR)
      throw_errno(ExitStatus::environment, "cannot wait for process " + std::to_string(pid_));
  }
  pidfd_.reset();
  return status;
}

void Child::kill_and_reap() noexcept {
  if (!pidfd_) return;
  syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  if (detached_) {
    pollfd end{pidfd_.get(), POLLIN, 0};
    while (poll(&end, 1, -1) < 0 && errno == EINTR) {
    }
  } else {
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  pidfd_.reset();
}

int Child::release() {
  pidfd_.reset();
  return std::exchange(pid_, 0);
}

std::string describe_wait_status(int status) {
  if (WIFEXITED(status)) return "exit status " + std::to_string(WEXITSTATUS(status));
  const int number = WTERMSIG(status);
  const char* name = sigdescr_np(number);
  return "killed by signal " + std::to_string(number) + " (" + (name != nullptr ? name : "unknown") + ")";
}

RunResult run(const Argv& argv, Deadline deadline, const std::map<std::string, std::string>& environment) {
  int out_fds[2];
  int err_fds[2];
  if (pipe2(out_fds, O_CLOEXEC) != 0) throw_errno(ExitStatus::environment, "cannot make a pipe");
  const Fd out_read(out_fds[0]);
  Fd out_write(out_fds[1]);
  if (pipe2(err_fds, O_CLOEXEC) != 0) throw_errno(ExitStatus::environment, "cannot make a pipe");
  const Fd err_read(err_fds[0]);
  Fd err_write(err_fds[1]);

  Child child =
      spawn(argv, {.stdout_fd = out_write.get(), .stderr_fd = err_write.get(), .environment = environment});
  out_write.reset();
  err_write.reset();

  RunResult result;
  pollfd items[2] = {{out_read.get(), POLLIN, 0}, {err_read.get(), POLLIN, 0}};
  std::string* texts[2] = {&result.out, &result.err};
  const auto too_late = [&] {
    return Error(ExitStatus::timed_out, shell_quoted(argv) + ": did not end in time" +
                                            (result.err.empty() ? "" : "; it printed: " + result.err));
  };
  while (items[0].fd >= 0 || items[1].fd >= 0) {
    if (poll(items, 2, deadline.poll_ms()) == 0 && deadline.passed()) throw too_late();
    for (int i = 0; i < 2; ++i) {
      if (items[i].fd < 0 || items[i].revents == 0) continue;
      char buffer[16384];
      const ssize_t n = read(items[i].fd, buffer, sizeof buffer);
      if (n > 0) texts[i]->append(buffer, static_cast<std::size_t>(n));
      if (n == 0) items[i].fd = -1;
    }
  }
  const std::optional<int> status = child.wait(deadline);
  if (!status) throw too_late();
  result.wait_status = *status;
  return result;
}

std::string run_checked(const Argv& argv, Deadline deadline, ExitStatus status) {
  RunResult result = run(argv, deadline);
  if (result.ok()) return std::move(result.out);
  while (!result.err.empty() && result.err.back() == '\n') result.err.pop_back();
  throw Error(status, shell_quoted(argv) + ": " +
                          (result.err.empty() ? describe_wait_status(result.wait_status) : result.err));
}

}  // namespace vmi
