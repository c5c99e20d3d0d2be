// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/probe.hpp"

#include "tests/guest/fake_peer.hpp"

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <nlohmann/json.hpp>

using namespace vmi;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

/// Drives a probe as an event loop does; false when it gave no answer in time.
bool drive(Probe& probe, Deadline deadline) {
  while (!probe.step()) {
    if (deadline.passed()) return false;
    const Deadline wake = deadline.sooner_of(probe.wake_at());
    if (probe.fd() >= 0) {
      wait_fd(probe.fd(), probe.events(), wake);
    } else {
      poll(nullptr, 0, wake.poll_ms());
    }
  }
  return true;
}

/// A TCP server on 127.0.0.1 that says `greeting` to one connection and closes it.
class TcpGreeter {
 public:
  explicit TcpGreeter(std::vector<std::string> greetings) {
    listener_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        listen(listener_.get(), 8) != 0 ||
        getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw_errno(ExitStatus::environment, "greeter");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, greetings = std::move(greetings)] {
      for (const std::string& greeting : greetings) {
        const Fd peer(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!peer) return;
        write_all(peer, greeting, Deadline::after(30s), "the test");
      }
    });
  }
  ~TcpGreeter() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  int port() const { return port_; }

 private:
  Fd listener_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace

TEST_CASE("an agent that answers the sync and the ping is there") {
  FakePeer peer([](FakePeer::Connection& guest) {
    const json sync = json::parse(guest.hear());
    if (sync["execute"] != "guest-sync") return;
    guest.say(json({{"return", sync["arguments"]["id"]}}).dump() + "\n");
    if (json::parse(guest.hear())["execute"] != "guest-ping") return;
    guest.say("{\"return\": {}}\n");
    guest.hear();
  });
  AgentProbe probe(peer.path());
  CHECK(drive(probe, Deadline::after(30s)));
}

TEST_CASE("what an agent answers to others, and noise, do not count") {
  FakePeer peer([](FakePeer::Connection& guest) {
    const json sync = json::parse(guest.hear());
    guest.say("{\"return\": {}}\nnoise\n{\"return\": 77}\n{\"error\": {\"desc\": \"x\"}}\n");
    guest.hear();
  });
  AgentProbe probe(peer.path());
  CHECK_FALSE(drive(probe, Deadline::after(100ms)));
}

TEST_CASE("an agent's socket that is not there yet is waited for") {
  const TempFolder folder(temp_root(), "probe-test-");
  AgentProbe probe(folder.path() / "missing");
  CHECK_FALSE(probe.step());
  CHECK(probe.fd() == -1);
}

TEST_CASE("the ssh banner is the answer, an accepted connection is not") {
  TcpGreeter greeter({"", "220 not ssh\r\n", "some notice\r\nSSH-2.0-OpenSSH_9.2p1\r\n"});
  SshProbe probe(greeter.port());
  CHECK(drive(probe, Deadline::after(30s)));
}

TEST_CASE("a port where nobody listens is tried again") {
  int port = 0;
  {
    const TcpGreeter gone({});
    port = gone.port();
  }
  SshProbe probe(port);
  CHECK_FALSE(drive(probe, Deadline::after(50ms)));
}
