// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"
#include "launcher/supervisor/event_loop.hpp"

#include <functional>
#include <map>

namespace vmi::supervisor {

/// Tells of files that are written to (inotify(7)), in the loop. One inotify instance for all: users have
/// only 128.
class FileWatch {
 public:
  explicit FileWatch(EventLoop& loop);

  class Handle {
   public:
    Handle() = default;
    Handle(Handle&& other) noexcept : watch_(std::exchange(other.watch_, nullptr)), id_(other.id_) {}
    Handle& operator=(Handle&& other) noexcept;
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() { drop(); }
    void drop();

   private:
    friend class FileWatch;
    Handle(FileWatch* watch, int id) : watch_(watch), id_(id) {}
    FileWatch* watch_ = nullptr;
    int id_ = 0;
  };

  /// Calls after each change of `file`, which must exist, and once at first. One watch per file.
  [[nodiscard]] Handle watch(const fs::path& file, std::function<void()> on_change);

 private:
  void read_changes();
  void call(int id);

  EventLoop& loop_;
  Fd inotify_;
  EventLoop::Handle readable_;
  std::map<int, std::shared_ptr<std::function<void()>>> callbacks_;
};

}  // namespace vmi::supervisor
