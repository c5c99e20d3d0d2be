// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace vmi {

/// A thread without signals: they stay with the thread that handles them.
std::thread start_worker(std::function<void()> work);

/// A queue between a worker thread, which waits, and the thread that calls MPI, which never does.
template <typename Item>
class HandOver {
 public:
  explicit HandOver(std::size_t capacity) : capacity_(capacity) {}

  /// Waits for room; false when the queue was closed.
  bool push(Item item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || items_.size() < capacity_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    changed_.notify_all();
    return true;
  }

  /// Waits for an item; nothing once the queue is closed and empty.
  std::optional<Item> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !items_.empty(); });
    return take();
  }

  /// An item if there is one.
  std::optional<Item> try_pop() {
    const std::lock_guard lock(mutex_);
    return take();
  }

  bool has_room() const {
    const std::lock_guard lock(mutex_);
    return items_.size() < capacity_;
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }

  /// Nothing more is pushed; what is there can still be popped.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  /// As close(), and forgets what is there.
  void abandon() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    items_.clear();
    changed_.notify_all();
  }

 private:
  std::optional<Item> take() {
    if (items_.empty()) return std::nullopt;
    Item item = std::move(items_.front());
    items_.pop_front();
    changed_.notify_all();
    return item;
  }

  std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;  // guarded by mutex_
  bool closed_ = false;     // guarded by mutex_
};

}  // namespace vmi
