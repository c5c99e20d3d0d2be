// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/cpu_set.hpp"
#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace vmi {

using Argv = std::vector<std::string>;

/// The command as a person would type it, quoted where a shell needs it; for logs and messages only.
std::string shell_quoted(const Argv& argv);

struct SpawnOptions {
  int stdin_fd = -1;          ///< -1: /dev/null
  int stdout_fd = -1;         ///< -1: /dev/null
  int stderr_fd = -1;         ///< -1: inherited
  std::vector<int> keep_fds;  ///< inherited under the same number; every other descriptor is closed
  std::map<std::string, std::string> environment;  ///< added to the inherited one
  std::set<std::string> unset;                     ///< variables that are not inherited
  bool new_session = false;                        ///< setsid(2)
  int death_signal = 0;                            ///< PR_SET_PDEATHSIG; 0: none
  CpuSet cpus;                                     ///< to run on; empty: on those of this thread
  /// Not among this process's descendants, for job managers that kill those: process 1 reaps it, and how it
  /// ended is not known.
  bool detached = false;
};

/// A child process. Never fork inside an MPI process: the supervisor does that for it.
class Child {
 public:
  Child() = default;
  Child(Child&&) noexcept = default;
  Child& operator=(Child&& other) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// Kills (SIGKILL) and reaps what still runs.
  ~Child() { kill_and_reap(); }

  int pid() const { return pid_; }
  const Fd& pidfd() const { return pidfd_; }
  bool running() const { return static_cast<bool>(pidfd_); }

  void signal(int number) const;
  /// wait(2) status once it ended, 0 for a detached process; nothing when the deadline passed first.
  std::optional<int> wait(Deadline deadline);
  void kill_and_reap() noexcept;
  /// Forgets the child without ending it: somebody else reaps it.
  int release();

 private:
  friend Child spawn(const Argv& argv, const SpawnOptions& options);
  int reap();

  int pid_ = 0;
  Fd pidfd_;
  bool detached_ = false;
};

/// Starts argv[0] (looked up on PATH) without a shell. Throws Error(environment, "cannot run 'x': reason")
/// when exec fails.
Child spawn(const Argv& argv, const SpawnOptions& options = {});

/// "exit status 3", "killed by signal 9 (Killed)".
std::string describe_wait_status(int status);

struct RunResult {
  int wait_status = 0;
  std::string out;
  std::string err;
  bool ok() const { return wait_status == 0; }
};

/// Runs a command to its end and keeps what it printed. Throws Error(timed_out) after killing it at the
/// deadline.
RunResult run(const Argv& argv, Deadline deadline,
              const std::map<std::string, std::string>& environment = {});

/// As run(), and throws Error(status, "qemu-img info x: what it printed") unless it exits 0. Returns its
/// stdout.
std::string run_checked(const Argv& argv, Deadline deadline, ExitStatus status = ExitStatus::environment);

/// The full path of a program: itself when it has a slash and is executable, else the first on PATH.
std::optional<fs::path> find_program(const std::string& name);

}  // namespace vmi
