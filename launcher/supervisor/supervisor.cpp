// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/supervisor.hpp"

#include "cachegen/support/socket.hpp"
#include "launcher/supervisor/hypervisor/libvirt_root.hpp"
#include "launcher/supervisor/server.hpp"

#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>

#include <malloc.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace vmi {
namespace {

using supervisor::EventLoop;
using supervisor::Server;
using supervisor::Variables;

/// The rank ends this process by closing its socket. Signals meant for process groups (Ctrl-C, a job's end)
/// reach it too, and it decides; SIGTERM to us alone stops the VMs. Call before any thread starts: they
/// inherit the mask.
Fd take_signals() {
  for (const int number : {SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2}) signal(number, SIG_IGN);
  sigset_t taken;
  sigemptyset(&taken);
  sigaddset(&taken, SIGTERM);
  sigaddset(&taken, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &taken, nullptr);
  Fd fd(signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw_errno(ExitStatus::environment, "cannot make a signal descriptor");
  return fd;
}

/// libvirt has a thread for every domain; an allocator's arena for each would make every fork of this process
/// dearer.
void bound_memory() {
  mallopt(M_ARENA_MAX, 2);
}

/// A VM costs a handful of descriptors here.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// Returns what the variables were.
Variables change_environment(const std::map<std::string, std::string>& variables) {
  Variables original;
  for (const auto& [name, value] : variables) {
    const char* before = std::getenv(name.c_str());
    original[name] = before != nullptr ? std::optional<std::string>(before) : std::nullopt;
    setenv(name.c_str(), value.c_str(), 1);
  }
  return original;
}

void serve_signals(const Fd& signals, Server& server) {
  signalfd_siginfo info{};
  while (read(signals.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) {
      server.child_ended();
    } else {
      server.terminate(static_cast<int>(info.ssi_signo));
    }
  }
}

/// Without a working supervisor every request gets the reason.
int refuse_everything(Channel& rank, const Error& reason) {
  std::string text;
  while (wait_fd(rank.fd(), POLLIN, Deadline::after(std::chrono::hours(24)))) {
    const Channel::Status status = rank.receive(text);
    if (status == Channel::Status::closed) break;
    if (status == Channel::Status::nothing) continue;
    rank.send(to_text(Reply{
        .id = parse_request(text).id, .ok = false, .status = reason.status(), .message = reason.what()}));
  }
  return static_cast<int>(reason.status());
}

/// `folder`: where it worked, removed by then.
int serve(Channel rank, const fs::path& runtime_root, fs::path& folder) {
  const Fd signals = take_signals();
  sweep_stale(runtime_root);
  std::optional<RuntimeDir> runtime;
  try {
    runtime.emplace(runtime_root);
  } catch (const Error& error) {
    return refuse_everything(rank, error);
  }
  folder = runtime->path();
  // libvirt's log goes there, from its first word on.
  fs::create_directories(Server::libvirt_root(*runtime));
  Variables original = change_environment(supervisor::libvirt_environment(Server::libvirt_root(*runtime)));
  // Not destroyed when threads of it still work.
  auto server = std::make_unique<Server>(std::move(rank), std::move(*runtime), std::move(original));
  log_sink([&server](LogLevel level, std::string_view line) {
    server->emit(LogLine{.level = static_cast<int>(level), .text = std::string(line)});
  });
  EventLoop::Handle watch =
      server->loop().watch(signals.get(), EPOLLIN, [&] { serve_signals(signals, *server); });
  const bool threads_ended = server->serve();
  log_sink({});
  watch.drop();
  if (!threads_ended) static_cast<void>(server.release());
  return 0;
}

/// libvirt's threads may write into its folder once more, making it anew, while it is removed and after.
void remove_again(const fs::path& folder) {
  const Deadline end = Deadline::after(std::chrono::seconds(1));
  std::error_code error;
  while (!folder.empty() && fs::exists(folder, error) && !end.passed()) fs::remove_all(folder, error);
}

}  // namespace

int supervisor_main(Channel rank, LogLevel threshold, const std::string& runtime_root) {
  log_identity("vmilaunch supervisor");
  log_threshold(threshold);
  prctl(PR_SET_NAME, "vmi-supervisor");
  // Daemonizing QEMUs and whatever else loses its parent become children of this process, and end with it.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  bound_memory();
  raise_descriptor_limit();
  int status = 0;
  fs::path folder;
  try {
    status = serve(std::move(rank), runtime_root, folder);
  } catch (const Error& error) {
    log_error(error.what());
    status = static_cast<int>(error.status());
  }
  remove_again(folder);
  // libvirt's threads and stuck calls of ours may still run: no destructors, no atexit handlers.
  _exit(status);
}

}  // namespace vmi
