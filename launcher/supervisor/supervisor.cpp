// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/supervisor.hpp"

#include <poll.h>

#include "cachegen/support/socket.hpp"
#include "launcher/supervisor/protocol.hpp"

namespace vmi {

int supervisor_main(Channel rank, LogLevel, const std::string&) {
  while (true) {
    std::string text;
    wait_fd(rank.fd(), POLLIN, Deadline::after(std::chrono::hours(1)));
    const Channel::Status status = rank.receive(text);
    if (status == Channel::Status::closed) return 0;
    if (status == Channel::Status::nothing) continue;
    const RequestMessage message = parse_request(text);
    rank.send(to_text(Reply{.id = message.id, .ok = false, .status = ExitStatus::environment, .message = "not there yet"}));
  }
}

}  // namespace vmi
