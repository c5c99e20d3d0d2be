// SPDX-License-Identifier: Apache-2.0
#include "experiments/bench/distribution/link_rate.hpp"

#include "cachegen/support/socket.hpp"
#include "cachegen/support/units.hpp"
#include "launcher/mpi/collective.hpp"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace vmi {
namespace {

constexpr int kTrials = 3;

in_addr address_of(const std::string& interface) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) throw_errno(ExitStatus::environment, "cannot list the network interfaces");
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, freeifaddrs);
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr != nullptr && each->ifa_addr->sa_family == AF_INET && interface == each->ifa_name) {
      return reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr;
    }
  }
  throw Error(ExitStatus::usage, "no network interface '" + interface + "' with an IPv4 address");
}

void check(int code, std::string_view what) {
  if (code < 0) throw_errno(ExitStatus::environment, what);
}

/// Rank 1: where rank 0 is to connect.
struct Listener {
  Fd socket;
  sockaddr_in address{};
};

Listener listen_on(const std::string& interface) {
  Listener listener{Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), {}};
  listener.address.sin_family = AF_INET;
  listener.address.sin_addr = address_of(interface);
  socklen_t length = sizeof listener.address;
  auto* address = reinterpret_cast<sockaddr*>(&listener.address);
  check(bind(listener.socket.get(), address, length), "cannot bind a socket");
  check(listen(listener.socket.get(), 1), "cannot listen");
  check(getsockname(listener.socket.get(), address, &length), "cannot ask for a socket's address");
  return listener;
}

void send_bytes(const sockaddr_in& address, Bytes bytes) {
  const Fd peer(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  check(connect(peer.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
        "cannot connect to rank 1");
  const std::vector<char> block(256 * KiB);
  while (bytes > 0) {
    const ssize_t n = write(peer.get(), block.data(), std::min(block.size(), bytes));
    check(static_cast<int>(n), "cannot send to rank 1");
    bytes -= static_cast<Bytes>(n);
  }
}

double receive_bytes(const Fd& socket, Bytes bytes, Deadline deadline) {
  if (!wait_fd(socket.get(), POLLIN, deadline))
    throw Error(ExitStatus::timed_out, "timed out waiting for rank 0 to connect");
  const Fd peer(accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  check(peer.get(), "cannot accept rank 0");
  std::vector<char> block(256 * KiB);
  const std::int64_t begin = monotonic_ns();
  Bytes received = 0;
  while (true) {
    const ssize_t n = read(peer.get(), block.data(), block.size());
    check(static_cast<int>(n), "cannot receive from rank 0");
    if (n == 0) break;
    received += static_cast<Bytes>(n);
  }
  if (received != bytes) throw Error(ExitStatus::environment, "rank 0 sent less than it should");
  return static_cast<double>(bytes) * 1e9 / static_cast<double>(monotonic_ns() - begin);
}

}  // namespace

double measure_link_rate(const Comm& comm, const std::string& interface, Bytes bytes, const Waiter& waiter) {
  if (comm.size() == 1) return 0;
  double best = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    Listener listener;
    std::string address;
    if (comm.rank() == 1) {
      listener = listen_on(interface);
      address.assign(reinterpret_cast<const char*>(&listener.address), sizeof listener.address);
    }
    broadcast(comm, address, 1, waiter, "rank 1 to listen");
    if (comm.rank() == 0) {
      sockaddr_in to{};
      std::memcpy(&to, address.data(), sizeof to);
      send_bytes(to, bytes);
    }
    if (comm.rank() == 1) best = std::max(best, receive_bytes(listener.socket, bytes, waiter.deadline));
    barrier(comm, waiter, "the link's rate");
  }
  std::string text(reinterpret_cast<const char*>(&best), sizeof best);
  broadcast(comm, text, 1, waiter, "the link's rate");
  std::memcpy(&best, text.data(), sizeof best);
  return best;
}

}  // namespace vmi
