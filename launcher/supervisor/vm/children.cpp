// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/vm/children.hpp"

#include "cachegen/support/fd.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vmi::supervisor {
namespace {

/// More than this many ended strangers are not remembered: a user's command may leave any number of orphans.
constexpr std::size_t kMostRemembered = 4096;

std::optional<ChildProcess> child_from_stat(int pid, int parent) {
  const Fd file(open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 512> text{};
  if (!file || read(file.get(), text.data(), text.size() - 1) <= 0) return std::nullopt;
  // "pid (name) state ppid pgrp session ...", where the name may hold anything, brackets included: proc(5).
  const char* bracket = std::strrchr(text.data(), ')');
  char state = 0;
  int ppid = 0, group = 0, session = 0;
  if (bracket == nullptr || std::sscanf(bracket + 1, " %c %d %d %d", &state, &ppid, &group, &session) != 4)
    return std::nullopt;
  if (ppid != parent) return std::nullopt;
  return ChildProcess{.pid = pid, .session = session, .zombie = state == 'Z' || state == 'X'};
}

std::optional<Ended> reap(int pid) {
  int status = 0;
  rusage usage{};
  if (wait4(pid, &status, WNOHANG, &usage) != pid) return std::nullopt;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return Ended{.wait_status = status,
               .cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime),
               .rss_bytes = std::int64_t{usage.ru_maxrss} * 1024};
}

}  // namespace

std::vector<ChildProcess> list_children() {
  std::vector<ChildProcess> children;
  const int self = getpid();
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    int pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc{}) continue;
    if (const std::optional<ChildProcess> child = child_from_stat(pid, self)) children.push_back(*child);
  }
  return children;
}

void Reaper::reap_orphans() {
  // Most children are waited for by who started them before anybody looks; a walk through /proc costs
  // milliseconds.
  siginfo_t some{};
  if (waitid(P_ALL, 0, &some, WEXITED | WNOHANG | WNOWAIT) != 0 || some.si_pid == 0) return;
  const int our_session = getsid(0);
  for (const ChildProcess& child : list_children()) {
    if (!child.zombie || child.session == our_session || child.session == child.pid) continue;
    const std::optional<Ended> ended = reap(child.pid);
    if (ended && ended_.size() < kMostRemembered) ended_[child.pid] = *ended;
  }
}

std::optional<Ended> Reaper::collect(int pid) {
  if (const std::optional<Ended> ended = reap(pid)) return ended;
  if (auto node = ended_.extract(pid)) return node.mapped();
  return std::nullopt;
}

bool kill_children(Deadline deadline) {
  while (true) {
    const std::vector<ChildProcess> children = list_children();
    if (std::ranges::all_of(children, &ChildProcess::zombie)) return true;
    if (deadline.passed()) return false;
    for (const ChildProcess& child : children) {
      if (!child.zombie)
        kill(child.pid,
             SIGKILL);  // ours and not reaped by anyone else meanwhile, or else a zombie's: harmless
    }
    usleep(2000);  // nothing announces the last of several deaths
  }
}

}  // namespace vmi::supervisor
