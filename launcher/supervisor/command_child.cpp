// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/command_child.hpp"

#include <csignal>

#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vmi::supervisor {

void CommandChild::start(const RunCommand& request, std::function<void(int)> on_exit) {
  if (request.argv.empty()) throw Error(ExitStatus::usage, "there is no command behind '--'");
  if (running()) throw Error(ExitStatus::environment, "a command runs already");
  SpawnOptions options{.stdin_fd = STDIN_FILENO,
                       .stdout_fd = STDOUT_FILENO,
                       .environment = request.environment,
                       .new_session = true,
                       .death_signal = SIGKILL};
  for (const auto& [name, value] : original_) {
    if (value) {
      options.environment.emplace(name, *value);
    } else {
      options.unset.insert(name);
    }
  }
  child_ = spawn(request.argv, options);
  exit_watch_ =
      loop_.watch(child_.pidfd().get(), EPOLLIN, [this, on_exit = std::move(on_exit)] { ended(on_exit); });
}

void CommandChild::signal(int number) const {
  if (running()) kill(-child_.pid(), number);  // the pid is not reaped yet, so the group is still this one
}

void CommandChild::ended(const std::function<void(int)>& on_exit) {
  exit_watch_.drop();
  const int status = child_.wait(Deadline::after(std::chrono::seconds(1))).value_or(0);
  on_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

}  // namespace vmi::supervisor
