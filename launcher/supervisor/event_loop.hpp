// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/fd.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace vmi::supervisor {

/// For what may take long: a file system or a process is waited for. Throws std::logic_error that names it
/// when the calling thread is in an EventLoop's run(): it would keep everybody waiting who is served there.
void assert_may_block(const char* what);

/// One thread's loop over descriptors (epoll(7)), points in time and what other threads post. Callbacks run
/// on that thread and may add and drop anything, themselves included. Only post() may be called from other
/// threads.
class EventLoop {
 public:
  using Callback = std::function<void()>;

  EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  /// What was asked of the loop; dropping it takes the request back. It must not outlive the loop.
  class Handle {
   public:
    Handle() = default;
    Handle(Handle&& other) noexcept : loop_(other.loop_), id_(other.id_) { other.loop_ = nullptr; }
    Handle& operator=(Handle&& other) noexcept;
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() { drop(); }
    void drop();
    explicit operator bool() const { return loop_ != nullptr; }

   private:
    friend class EventLoop;
    Handle(EventLoop* loop, std::uint64_t id) : loop_(loop), id_(id) {}
    EventLoop* loop_ = nullptr;
    std::uint64_t id_ = 0;
  };

  /// Calls whenever `fd` has one of `events` (EPOLLIN, ...). Drop the handle before the descriptor is closed.
  [[nodiscard]] Handle watch(int fd, std::uint32_t events, Callback callback);
  /// Calls once, at the deadline.
  [[nodiscard]] Handle at(Deadline deadline, Callback callback);
  /// Calls soon. From any thread.
  void post(Callback callback);

  /// Until quit(), from a callback.
  void run();
  void quit() { running_ = false; }
  /// Runs until `done` holds; false: the deadline passed first.
  bool run_until(const std::function<bool()>& done, Deadline deadline);

 private:
  struct Entry {
    std::shared_ptr<Callback> callback;
    int fd = -1;                        ///< of a watch
    Deadline::Clock::time_point due{};  ///< of a timer
  };
  void step(Deadline deadline);
  void run_due_timers();
  void run_posted();

  Fd epoll_;
  Fd wakeup_;  ///< eventfd, written by post()
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Entry> entries_;
  std::multimap<Deadline::Clock::time_point, std::uint64_t> timers_;
  bool running_ = false;
  std::mutex posted_mutex_;
  std::vector<Callback> posted_;  ///< guarded by posted_mutex_
};

}  // namespace vmi::supervisor
