// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/vm/ready_watch.hpp"

#include <poll.h>
#include <sys/epoll.h>

namespace vmi::supervisor {

static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT, "Probe::events() are handed to epoll as they are");

ReadyWatch::ReadyWatch(EventLoop& loop, FileWatch& files, const ReadySpec& spec, const Channels& channels,
                       std::function<void()> on_ready)
    : loop_(loop), on_ready_(std::move(on_ready)) {
  switch (spec.kind) {
    case ReadySpec::Kind::serial:
      serial_ = std::make_unique<SerialWatch>(channels.serial_log, spec.pattern);
      serial_changes_ = files.watch(channels.serial_log, [this] { look(); });
      break;
    case ReadySpec::Kind::agent:
      probe_ = std::make_unique<AgentProbe>(channels.agent_socket);
      break;
    case ReadySpec::Kind::ssh:
      probe_ = std::make_unique<SshProbe>(channels.ssh_port);
      break;
    case ReadySpec::Kind::exit:
    case ReadySpec::Kind::none:
      break;
  }
  if (probe_) probe_timer_ = loop_.at(probe_->wake_at(), [this] { step_probe(); });
}

void ReadyWatch::look() {
  if (serial_ && serial_->matched_after_read()) fire();
}

void ReadyWatch::step_probe() {
  // The probe may close its descriptor and open another one, so the loop must not hold it meanwhile.
  probe_fd_.drop();
  probe_timer_.drop();
  if (probe_->step()) return fire();
  if (probe_->fd() >= 0 && probe_->events() != 0) {
    probe_fd_ =
        loop_.watch(probe_->fd(), static_cast<std::uint32_t>(probe_->events()), [this] { step_probe(); });
  }
  probe_timer_ = loop_.at(probe_->wake_at(), [this] { step_probe(); });
}

void ReadyWatch::fire() {
  serial_changes_.drop();
  if (on_ready_) std::exchange(on_ready_, {})();  // may destroy this
}

}  // namespace vmi::supervisor
