// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/lifeline.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/mpi/collective.hpp"

#include <algorithm>
#include <random>
#include <sstream>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace vmi {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kTokenSize = 16;
constexpr char kWelcome = 'W';
constexpr char kGoodbye = 'G';
constexpr auto kLookEvery = 100ms;
constexpr auto kTryFor = 2s;  ///< for each address

std::string random_token() {
  std::random_device random;
  char text[kTokenSize + 1];
  std::snprintf(text, sizeof text, "%08x%08x", random(), random());
  return text;
}

void set_option(const Fd& socket, int level, int option, int value) {
  setsockopt(socket.get(), level, option, &value, sizeof value);
}

/// A node that is silent this long is gone: 5 s, then four probes 3 s apart.
void probe_when_silent(const Fd& socket) {
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 5);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 3);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

/// IPv4 addresses by which other processes may reach this one, the loopback's last.
std::string own_addresses() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return "127.0.0.1";
  std::string text;
  for (const ifaddrs* each = all; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET) continue;
    if ((each->ifa_flags & IFF_UP) == 0 || (each->ifa_flags & IFF_LOOPBACK) != 0) continue;
    char address[INET_ADDRSTRLEN];
    const auto* inet = reinterpret_cast<const sockaddr_in*>(each->ifa_addr);
    text += inet_ntop(AF_INET, &inet->sin_addr, address, sizeof address) + std::string(" ");
  }
  freeifaddrs(all);
  return text + "127.0.0.1";
}

sockaddr_in address_of(const std::string& text, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, text.c_str(), &address.sin_addr);
  return address;
}

/// Nothing when it cannot be had; the ring then has a gap.
Fd listen_anywhere(int& port) {
  Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address = address_of("0.0.0.0", 0);
  socklen_t size = sizeof address;
  if (!listener || bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener.get(), 4) != 0 ||
      getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return {};
  }
  port = ntohs(address.sin_port);
  return listener;
}

}  // namespace

Lifeline::Lifeline(const Comm& world, std::string_view node_key, const Waiter& waiter)
    : token_(random_token()), try_end_(Deadline::after(0s)), next_look_(try_end_) {
  const int ranks = world.size();
  int port = 0;
  if (ranks > 1) listener_ = listen_anywhere(port);
  const std::string mine =
      std::string(node_key) + "\n" + token_ + " " + std::to_string(port) + " " + own_addresses();
  const Neighbours said =
      exchange_in_ring(world, mine, waiter, "the neighbouring ranks to tell their addresses");
  lines_[0].rank = (world.rank() + ranks - 1) % ranks;
  lines_[1].rank = (world.rank() + 1) % ranks;
  lines_[0].node = said.before.substr(0, said.before.find('\n'));
  lines_[1].node = said.after.substr(0, said.after.find('\n'));
  std::istringstream next(said.after.substr(lines_[1].node.size()));
  next >> its_token_ >> its_port_;
  for (std::string address; next >> address;) addresses_.push_back(address);
  std::ranges::reverse(addresses_);  // taken from the back
  if (its_port_ == 0) addresses_.clear();
  lines_[0].ended = !listener_;
  lines_[1].ended = ranks == 1;
}

/// Takes the next address when there is no connection yet and the last one did not answer.
void Lifeline::connect_next() {
  Line& line = lines_[1];
  if (line.greeted || line.ended || (line.socket && !try_end_.passed())) return;
  if (addresses_.empty()) {
    if (its_port_ != 0) log_debug("rank " + std::to_string(line.rank) + " cannot be reached over TCP");
    line.socket = Fd();
    line.ended = true;
    return;
  }
  const sockaddr_in address = address_of(addresses_.back(), its_port_);
  addresses_.pop_back();
  try_end_ = Deadline::after(kTryFor);
  line.socket = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  token_sent_ = false;
  if (!line.socket) return;
  probe_when_silent(line.socket);
  if (connect(line.socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS) {
    line.socket = Fd();
  }
}

void Lifeline::take_visitor() {
  if (!listener_ || lines_[0].greeted) return;
  Fd visitor(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (visitor && visitors_.size() < 8) visitors_.push_back(std::move(visitor));
}

void Lifeline::greet_visitors() {
  std::erase_if(visitors_, [&](Fd& visitor) {
    char token[kTokenSize];
    const ssize_t size = recv(visitor.get(), token, sizeof token, 0);
    if (size < 0) return errno != EAGAIN && errno != EINTR;
    if (std::string_view(token, static_cast<std::size_t>(size)) != token_) return true;
    if (send(visitor.get(), &kWelcome, 1, MSG_NOSIGNAL) != 1) return true;
    probe_when_silent(visitor);
    lines_[0].socket = std::move(visitor);
    lines_[0].greeted = true;
    return true;
  });
  if (lines_[0].greeted) listener_ = Fd();
}

/// Whether the rank at the other end is gone.
bool Lifeline::watch(Line& line) {
  if (!line.socket || line.ended) return false;
  char letter = 0;
  const ssize_t size = recv(line.socket.get(), &letter, 1, 0);
  if (size == 1) {
    if (letter == kWelcome) line.greeted = true;
    if (letter == kGoodbye) line.ended = true;
    return false;
  }
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  const bool was_there = line.greeted;
  line.socket = Fd();
  return was_there;
}

std::optional<Lifeline::Lost> Lifeline::lost() {
  if (gone_ || !next_look_.passed()) return gone_;
  next_look_ = Deadline::after(kLookEvery);
  connect_next();
  take_visitor();
  greet_visitors();
  for (Line& line : lines_) {
    if (watch(line)) gone_ = Lost{line.rank, line.node};
  }
  // It goes out once the connection stands; an early send fails with EAGAIN.
  if (lines_[1].socket && !token_sent_) {
    const auto size = static_cast<ssize_t>(its_token_.size());
    token_sent_ = send(lines_[1].socket.get(), its_token_.data(), its_token_.size(), MSG_NOSIGNAL) == size;
  }
  return gone_;
}

void Lifeline::close() {
  for (Line& line : lines_) {
    // Also where the welcome is still under way: for the other side the connection stands.
    if (line.socket && !line.ended && (line.greeted || token_sent_))
      send(line.socket.get(), &kGoodbye, 1, MSG_NOSIGNAL);
    line.ended = true;
  }
  listener_ = Fd();
}

}  // namespace vmi
