// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/qmp.hpp"

#include "cachegen/support/socket.hpp"

#include <array>

#include <poll.h>
#include <sys/socket.h>

namespace vmi {

using nlohmann::json;

namespace {

constexpr auto kCheckEvery = std::chrono::milliseconds(100);

}  // namespace

Qmp::Qmp(Fd monitor, Deadline deadline, Check check) : check_(std::move(check)), fd_(std::move(monitor)) {
  wait_until([this] { return greeted_; }, "its greeting", deadline);
  execute("qmp_capabilities", deadline);
}

json Qmp::execute(const std::string& command, const json& arguments, Deadline deadline) {
  return receive(send(command, arguments, deadline), deadline);
}

std::string Qmp::human_monitor(const std::string& command_line, Deadline deadline) {
  return execute("human-monitor-command", {{"command-line", command_line}}, deadline).get<std::string>();
}

std::uint64_t Qmp::send(const std::string& command, const json& arguments, Deadline deadline) {
  const std::uint64_t id = ++last_id_;
  json message = {{"execute", command}, {"id", id}};
  if (!arguments.is_null()) message["arguments"] = arguments;
  write_all(fd_, message.dump() + "\n", deadline, "QEMU's monitor");
  waiting_.emplace(id, command);
  return id;
}

json Qmp::receive(std::uint64_t id, Deadline deadline) {
  const std::string command = waiting_.at(id);
  wait_until([&] { return replies_.contains(id); }, "the reply to '" + command + "'", deadline);
  waiting_.erase(id);
  json reply = std::move(replies_.extract(id).mapped());
  if (const auto error = reply.find("error"); error != reply.end()) {
    throw Error(ExitStatus::environment,
                "QEMU refused '" + command + "': " + error->value("desc", error->dump()));
  }
  return reply["return"];
}

std::optional<json> Qmp::poll_event() {
  read_available();
  if (events_.empty()) return std::nullopt;
  json event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Qmp::wait_until(const std::function<bool()>& arrived, const std::string& what, Deadline deadline) {
  while (true) {
    read_available();
    if (arrived()) return;
    if (closed_) throw Error(ExitStatus::environment, "QEMU closed its monitor instead of sending " + what);
    if (wait_fd(fd_.get(), POLLIN, deadline.sooner_of(Deadline::after(kCheckEvery)))) continue;
    if (deadline.passed())
      throw Error(ExitStatus::timed_out, "QEMU's monitor did not send " + what + " in time");
    if (check_) check_();
  }
}

void Qmp::read_available() {
  std::array<char, 16384> chunk;
  while (!closed_) {
    const ssize_t n = recv(fd_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) {
      closed_ = true;
      break;
    }
    unfinished_.append(chunk.data(), static_cast<std::size_t>(n));
  }
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = unfinished_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    accept_line(unfinished_.substr(begin, end - begin));
  }
  unfinished_.erase(0, begin);
}

void Qmp::accept_line(const std::string& line) {
  json message;
  try {
    message = json::parse(line);
  } catch (const json::exception&) {
    throw Error(ExitStatus::environment,
                "QEMU's monitor sent what is no JSON: '" + line.substr(0, 200) + "'");
  }
  if (message.contains("event")) {
    events_.push_back(std::move(message));
  } else if (message.contains("QMP")) {
    greeted_ = true;
  } else if (const auto id = message.find("id"); id != message.end() && id->is_number_unsigned()) {
    const std::uint64_t number = *id;
    if (waiting_.contains(number)) replies_[number] = std::move(message);
  }
}

}  // namespace vmi
