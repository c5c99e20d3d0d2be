// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/ipc/client.hpp"

#include "cachegen/support/socket.hpp"
#include "launcher/supervisor/runtime_dir.hpp"
#include "launcher/supervisor/supervisor.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>

#include <poll.h>
#include <unistd.h>

namespace vmi {
namespace {

constexpr const char* kHiddenArgument = "--vmi-supervisor";
constexpr auto kPumpInterval = std::chrono::milliseconds(20);
constexpr auto kDestructorPatience = std::chrono::seconds(10);

int number_of(const char* text) {
  int value = -1;
  std::from_chars(text, text + std::char_traits<char>::length(text), value);
  return value;
}

/// Logs a LogLine; true when `event` was one.
bool was_logged(const Event& event) {
  const auto* line = std::get_if<LogLine>(&event);
  if (line == nullptr) return false;
  log(static_cast<LogLevel>(std::clamp(line->level, 0, static_cast<int>(LogLevel::debug))), line->text);
  return true;
}

}  // namespace

Supervisor Supervisor::start(const SupervisorOptions& options) {
  const std::string root =
      options.runtime_root.empty() ? default_runtime_root().string() : options.runtime_root;
  auto [ours, theirs] = Channel::pair();
  // To kill a step, Slurm kills the descendants of its tasks (proctrack/linuxproc); the supervisor has to
  // live on and clean up.
  const bool in_slurm = std::getenv("SLURM_JOB_ID") != nullptr;
  Child child = spawn({"/proc/self/exe", kHiddenArgument, std::to_string(theirs.fd()),
                       std::to_string(static_cast<int>(options.log_threshold)), root},
                      {.stdin_fd = STDIN_FILENO,
                       .stdout_fd = STDOUT_FILENO,
                       .keep_fds = {theirs.fd()},
                       .new_session = true,
                       .detached = in_slurm});
  return {std::move(ours), std::move(child), root};
}

Supervisor::Supervisor(Channel channel, Child child, std::string runtime_root)
    : channel_(std::move(channel)), child_(std::move(child)), runtime_root_(std::move(runtime_root)) {
}

Supervisor::~Supervisor() {
  shutdown(Deadline::after(kDestructorPatience));
}

std::uint64_t Supervisor::send(SupervisorRequest request) {
  const std::uint64_t id = next_id_++;
  if (!channel_.send(to_text(RequestMessage{id, std::move(request)}))) lost();
  return id;
}

std::optional<SupervisorPort::Heard> Supervisor::receive() {
  if (!channel_.send_queued()) lost();
  std::string text;
  while (true) {
    switch (channel_.receive(text)) {
      case Channel::Status::nothing:
        return std::nullopt;
      case Channel::Status::closed:
        lost();
      case Channel::Status::message:
        break;
    }
    Event event = parse_event(text);
    if (!was_logged(event)) return Heard{std::move(event), std::move(text)};
  }
}

std::optional<Event> Supervisor::wait(Deadline deadline) {
  while (true) {
    if (std::optional<Heard> heard = receive()) return std::move(heard->event);
    if (deadline.passed()) return std::nullopt;
    const short also = channel_.has_queued() ? POLLOUT : 0;
    wait_fd(fd(), static_cast<short>(POLLIN | also), deadline);
  }
}

Reply Supervisor::call(SupervisorRequest request, Deadline deadline,
                       const std::function<void(const Event&)>& on_event, const std::function<void()>& pump) {
  const std::string what = std::visit([](const auto& body) { return std::string(body.kType); }, request);
  const std::uint64_t id = send(std::move(request));
  while (!deadline.passed()) {
    const std::optional<Event> event =
        wait(pump ? deadline.sooner_of(Deadline::after(kPumpInterval)) : deadline);
    if (pump) pump();
    if (!event) continue;
    const auto* reply = std::get_if<Reply>(&*event);
    if (reply != nullptr && reply->id == id) return reply->checked();
    if (on_event) on_event(*event);
  }
  throw Error(ExitStatus::timed_out, "the supervisor did not answer '" + what + "' in time");
}

void Supervisor::shutdown(Deadline deadline) {
  if (!child_.running()) return;
  channel_ = Channel();  // the end of our end ends the supervisor
  try {
    if (child_.wait(deadline)) return;
    log_warning("the supervisor did not end in time; it is killed and what it left is swept");
  } catch (const std::exception& error) {
    log_warning(std::string("cannot wait for the supervisor: ") + error.what());
  }
  child_.kill_and_reap();
  sweep_stale(runtime_root_);
}

void Supervisor::lost() {
  std::string how = "it closed its socket";
  if (child_.running()) {
    if (const std::optional<int> status = child_.wait(Deadline::after(std::chrono::seconds(1))))
      how = *status == 0 ? "it ended" : describe_wait_status(*status);
    child_.kill_and_reap();
  }
  channel_ = Channel();
  sweep_stale(runtime_root_);
  throw Error(ExitStatus::environment, "this rank's supervisor has ended (" + how + "), and its VMs with it");
}

std::optional<int> run_as_supervisor(int argc, char** argv) {
  if (argc != 5 || std::string_view(argv[1]) != kHiddenArgument) return std::nullopt;
  return supervisor_main(Channel(Fd(number_of(argv[2]))), static_cast<LogLevel>(number_of(argv[3])), argv[4]);
}

}  // namespace vmi
