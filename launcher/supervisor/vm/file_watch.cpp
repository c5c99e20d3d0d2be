// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/vm/file_watch.hpp"

#include <array>
#include <cstring>

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace vmi::supervisor {

FileWatch::FileWatch(EventLoop& loop) : loop_(loop), inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  if (!inotify_) {
    throw_errno(ExitStatus::environment,
                "cannot watch files (inotify); fs.inotify.max_user_instances may be too low");
  }
  readable_ = loop_.watch(inotify_.get(), EPOLLIN, [this] { read_changes(); });
}

FileWatch::Handle& FileWatch::Handle::operator=(Handle&& other) noexcept {
  if (this != &other) {
    drop();
    watch_ = std::exchange(other.watch_, nullptr);
    id_ = other.id_;
  }
  return *this;
}

void FileWatch::Handle::drop() {
  if (watch_ == nullptr) return;
  watch_->callbacks_.erase(id_);
  inotify_rm_watch(watch_->inotify_.get(), id_);
  watch_ = nullptr;
}

FileWatch::Handle FileWatch::watch(const fs::path& file, std::function<void()> on_change) {
  const int id = inotify_add_watch(inotify_.get(), file.c_str(), IN_MODIFY);
  if (id < 0) throw_errno(ExitStatus::environment, "cannot watch '" + file.string() + "' (inotify)");
  callbacks_[id] = std::make_shared<std::function<void()>>(std::move(on_change));
  loop_.post([this, id] { call(id); });  // for what was written before
  return {this, id};
}

void FileWatch::read_changes() {
  alignas(inotify_event) std::array<char, 16384> buffer;
  while (true) {
    const ssize_t n = read(inotify_.get(), buffer.data(), buffer.size());
    if (n <= 0) return;
    for (std::size_t at = 0; at < static_cast<std::size_t>(n);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      at += sizeof event + event.len;
      if ((event.mask & IN_Q_OVERFLOW) == 0) {
        call(event.wd);
        continue;
      }
      // Changes were lost: look at every file.
      std::vector<int> ids;
      for (const auto& [id, callback] : callbacks_) ids.push_back(id);
      for (const int id : ids) call(id);
    }
  }
}

void FileWatch::call(int id) {
  const auto found = callbacks_.find(id);
  if (found == callbacks_.end()) return;
  const std::shared_ptr<std::function<void()>> callback = found->second;  // which may drop its own watch
  (*callback)();
}

}  // namespace vmi::supervisor
