// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/socket.hpp"

#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace vmi {

/// A Unix socket server with one conversation, for tests of what talks to QEMU.
class FakePeer {
 public:
  class Connection {
   public:
    explicit Connection(Fd fd) : fd_(std::move(fd)) {}
    void say(const std::string& text) { write_all(fd_, text, soon(), "the test"); }
    /// The next line without its end; empty when the other side closed.
    std::string hear() {
      std::string line;
      char c = 0;
      while (wait_fd(fd_.get(), POLLIN, soon()) && recv(fd_.get(), &c, 1, 0) == 1 && c != '\n') line += c;
      return line;
    }

   private:
    static Deadline soon() { return Deadline::after(std::chrono::seconds(30)); }
    Fd fd_;
  };

  explicit FakePeer(std::function<void(Connection&)> conversation) {
    listener_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().string().copy(address.sun_path, sizeof address.sun_path - 1);
    if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener_.get(), 1) != 0) {
      throw_errno(ExitStatus::environment, "fake peer");
    }
    thread_ = std::thread([this, conversation = std::move(conversation)] {
      Connection connection(Fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
      conversation(connection);
    });
  }
  ~FakePeer() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  fs::path path() const { return folder_.path() / "socket"; }

 private:
  TempFolder folder_{temp_root(), "peer-"};
  Fd listener_;
  std::thread thread_;
};

}  // namespace vmi
