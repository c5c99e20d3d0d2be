// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/event_loop.hpp"

#include "cachegen/support/error.hpp"

#include <array>
#include <stdexcept>
#include <string>
#include <utility>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace vmi::supervisor {
namespace {

thread_local int t_loops = 0;  // that this thread is in

/// This thread serves a loop while it lives.
struct Serving {
  Serving() { ++t_loops; }
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;
  ~Serving() { --t_loops; }
};

}  // namespace

void assert_may_block(const char* what) {
  if (t_loops > 0)
    throw std::logic_error(std::string(what) + " would block the supervisor's loop; please report it");
}
namespace {

constexpr std::uint64_t kWakeup = 0;  // no entry has this id

}  // namespace

EventLoop::EventLoop()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)), wakeup_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!epoll_ || !wakeup_) throw_errno(ExitStatus::environment, "cannot make an event loop");
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kWakeup}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.get(), &event) != 0)
    throw_errno(ExitStatus::environment, "epoll_ctl");
}

EventLoop::~EventLoop() {
  // Callbacks may own what holds handles of this loop: they go while it can still be asked to drop those.
  timers_.clear();
  const auto entries = std::exchange(entries_, {});
  const auto posted = std::exchange(posted_, {});
}

EventLoop::Handle& EventLoop::Handle::operator=(Handle&& other) noexcept {
  if (this != &other) {
    drop();
    loop_ = other.loop_;
    id_ = other.id_;
    other.loop_ = nullptr;
  }
  return *this;
}

void EventLoop::Handle::drop() {
  if (loop_ == nullptr) return;
  if (auto node = loop_->entries_.extract(id_)) {
    const Entry& entry = node.mapped();
    if (entry.fd >= 0) {
      epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_DEL, entry.fd, nullptr);
    } else {
      const auto [first, last] = loop_->timers_.equal_range(entry.due);
      for (auto timer = first; timer != last; ++timer) {
        if (timer->second == id_) {
          loop_->timers_.erase(timer);
          break;
        }
      }
    }
  }
  loop_ = nullptr;
}

EventLoop::Handle EventLoop::watch(int fd, std::uint32_t events, Callback callback) {
  const std::uint64_t id = next_id_++;
  epoll_event event{.events = events, .data = {.u64 = id}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    throw_errno(ExitStatus::environment, "epoll_ctl");
  entries_[id] = {.callback = std::make_shared<Callback>(std::move(callback)), .fd = fd};
  return {this, id};
}

EventLoop::Handle EventLoop::at(Deadline deadline, Callback callback) {
  const std::uint64_t id = next_id_++;
  const auto due = Deadline::Clock::now() + deadline.left();
  entries_[id] = {.callback = std::make_shared<Callback>(std::move(callback)), .due = due};
  timers_.emplace(due, id);
  return {this, id};
}

void EventLoop::post(Callback callback) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(callback));
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(wakeup_.get(), &one, sizeof one);  // fails only when awake already
}

void EventLoop::run() {
  const Serving serving;
  running_ = true;
  while (running_) step(Deadline::after(std::chrono::hours(1)));
}

bool EventLoop::run_until(const std::function<bool()>& done, Deadline deadline) {
  while (!done()) {
    if (deadline.passed()) return false;
    step(deadline);
  }
  return true;
}

void EventLoop::step(Deadline deadline) {
  if (!timers_.empty()) deadline = deadline.sooner_of(Deadline(timers_.begin()->first));
  std::array<epoll_event, 64> events{};
  const int n = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), deadline.poll_ms());
  if (n < 0 && errno != EINTR) throw_errno(ExitStatus::environment, "epoll_wait");
  for (int i = 0; i < n; ++i) {
    const std::uint64_t id = events[static_cast<std::size_t>(i)].data.u64;
    if (id == kWakeup) {
      run_posted();
    } else if (const auto entry = entries_.find(id);
               entry != entries_.end()) {  // else: dropped by an earlier callback
      const std::shared_ptr<Callback> callback = entry->second.callback;  // which may drop its own handle
      (*callback)();
    }
  }
  run_due_timers();
}

void EventLoop::run_due_timers() {
  const auto now = Deadline::Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const std::uint64_t id = timers_.begin()->second;
    timers_.erase(timers_.begin());
    const std::shared_ptr<Callback> callback = entries_.extract(id).mapped().callback;
    (*callback)();
  }
}

void EventLoop::run_posted() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = read(wakeup_.get(), &count, sizeof count);
  std::vector<Callback> callbacks;
  {
    const std::lock_guard lock(posted_mutex_);
    callbacks.swap(posted_);
  }
  for (const Callback& callback : callbacks) callback();
}

}  // namespace vmi::supervisor
