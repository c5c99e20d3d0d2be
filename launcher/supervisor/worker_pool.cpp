// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/worker_pool.hpp"

namespace vmi::supervisor {

WorkerPool::WorkerPool(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

WorkerPool::~WorkerPool() {
  close(Deadline::after(std::chrono::seconds(0)));
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::submit(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    queue_.push_back(std::move(work));
  }
  changed_.notify_one();
}

bool WorkerPool::close(Deadline deadline) {
  std::deque<std::function<void()>> forgotten;  // destroyed without the lock
  std::unique_lock lock(mutex_);
  closed_ = true;
  forgotten.swap(queue_);
  changed_.notify_all();
  return changed_.wait_for(lock, deadline.left(), [this] { return busy_ == 0; });
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closed_ || !queue_.empty(); });
    if (closed_) return;
    std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    ++busy_;
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
    --busy_;
    if (busy_ == 0) changed_.notify_all();
  }
}

}  // namespace vmi::supervisor
