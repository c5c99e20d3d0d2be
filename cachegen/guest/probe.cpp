// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/probe.hpp"

#include "cachegen/support/socket.hpp"

#include <array>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace vmi {
namespace {

using namespace std::chrono_literals;

constexpr auto kAskAgain = 5s;
constexpr auto kRetry = 200ms;
constexpr auto kMostPatience = 10s;
constexpr std::size_t kLongestAnswer = 64 * KiB;

/// Appends what has arrived; false when the peer has gone.
bool receive_into(const Fd& fd, std::string& buffer, std::size_t most) {
  std::array<char, 4096> chunk;
  while (buffer.size() < most) {
    const ssize_t n = recv(fd.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    buffer.append(chunk.data(), static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

AgentProbe::AgentProbe(fs::path socket) : socket_(std::move(socket)) {
  check_socket_path(socket_);
}

void AgentProbe::restart() {
  fd_.reset();
  events_ = 0;
  synced_ = false;
  unfinished_.clear();
  wake_at_ = Deadline::after(kRetry);
}

void AgentProbe::ask(const std::string& text) {
  // A channel that is full of questions needs no further one.
  [[maybe_unused]] const ssize_t n = send(fd_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  wake_at_ = Deadline::after(kAskAgain);
}

bool AgentProbe::step() {
  if (answered_) return true;
  if (!fd_) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket_.c_str(), socket_.native().size());
    fd_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd_) throw_errno(ExitStatus::environment, "cannot make a socket");
    if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      restart();
      return false;
    }
    events_ = POLLIN;
    wake_at_ = Deadline::after(0s);
  }
  if (!receive_into(fd_, unfinished_, kLongestAnswer)) {
    restart();
    return false;
  }
  std::size_t begin = 0;
  for (std::size_t end = 0; !answered_ && (end = unfinished_.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    answered_ = accept_line(unfinished_.substr(begin, end - begin));
  }
  unfinished_.erase(0, begin);
  if (unfinished_.size() >= kLongestAnswer) unfinished_.clear();  // no agent talks like that
  if (!answered_ && wake_at_.passed()) {
    synced_ = false;
    ask(R"({"execute":"guest-sync","arguments":{"id":)" + std::to_string(++sync_id_) + "}}\n");
  }
  return answered_;
}

bool AgentProbe::accept_line(const std::string& line) {
  const auto answer = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object() || !answer.contains("return")) return false;
  const nlohmann::json& value = answer["return"];
  if (!synced_) {
    if (!value.is_number_integer() || value.get<long long>() != sync_id_) return false;
    synced_ = true;
    ask(R"({"execute":"guest-ping"})"
        "\n");
    return false;
  }
  return value.is_object();
}

void SshProbe::give_up(Clock::duration pause) {
  fd_.reset();
  events_ = 0;
  received_.clear();
  wake_at_ = Deadline::after(pause);
}

void SshProbe::connect_again() {
  fd_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd_) throw_errno(ExitStatus::environment, "cannot make a socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port_));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS) {
    give_up(kRetry);
    return;
  }
  events_ = POLLIN;
  wake_at_ = Deadline::after(patience_);
  patience_ = std::min<Clock::duration>(patience_ * 3 / 2, kMostPatience);
}

bool SshProbe::step() {
  if (answered_) return true;
  if (!fd_) {
    if (wake_at_.passed()) connect_again();
    return false;
  }
  constexpr std::string_view kBanner = "SSH-";
  // RFC 4253, 4.2: other lines may come before the banner.
  const bool open = receive_into(fd_, received_, kLongestAnswer);
  answered_ =
      received_.starts_with(kBanner) || received_.find("\n" + std::string(kBanner)) != std::string::npos;
  if (!answered_ && (!open || received_.size() >= kLongestAnswer)) give_up(kRetry);
  if (!answered_ && fd_ && wake_at_.passed()) give_up(0s);
  return answered_;
}

}  // namespace vmi
