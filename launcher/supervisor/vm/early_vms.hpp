// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/deadline.hpp"
#include "cachegen/support/fd.hpp"
#include "launcher/supervisor/hypervisor/hypervisor.hpp"
#include "launcher/supervisor/worker_pool.hpp"

#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace vmi::supervisor {

/// A VM that was created, paused, before its launch said that it wants it.
struct EarlyVm {
  VmPlan plan;
  std::shared_ptr<Hypervisor> hypervisor;
  std::shared_ptr<Domain> domain;
  Fd pidfd;                    ///< empty: it has ended already
  std::string cpus;            ///< of its supervisor when it was created; a plan without CPUs means these
  std::int64_t t_prepare = 0;  ///< CLOCK_MONOTONIC, ns, as VmPrepared has them
  std::int64_t t_spawn = 0;
};

/// The VMs of PrepareAhead until a Prepare takes them. Any thread.
class EarlyVms {
 public:
  using Create = std::function<std::shared_ptr<EarlyVm>()>;

  /// `none_left`: called from a thread of the pool when the last of those that were to be ended is gone.
  EarlyVms(WorkerPool& pool, std::function<void()> none_left)
      : pool_(pool), none_left_(std::move(none_left)) {}

  /// Has the pool create VM `index`. One whose creation throws is not there to be taken.
  void create(int index, Create create);

  /// VM `index`, if `hypervisor` created it exactly as planned, on the CPUs that the supervisor has now;
  /// waits for one that is being created. Any other of that index is ended first. Nothing: it has to be
  /// created.
  std::shared_ptr<EarlyVm> take(int index, const VmPlan& plan, const Hypervisor& hypervisor,
                                const std::string& cpus, Deadline deadline);

  /// Until none is being created, or the deadline.
  void wait(Deadline deadline);

  /// Has the pool end those that nobody took, also one that is still being created.
  void end_all();

  /// No VM that nobody took exists, is being created or is being ended.
  bool none() const;

 private:
  using Coming = std::shared_future<std::shared_ptr<EarlyVm>>;

  void end_later(Coming coming);

  WorkerPool& pool_;
  std::function<void()> none_left_;
  mutable std::mutex mutex_;
  std::map<int, Coming> vms_;  ///< guarded by mutex_
  int ending_ = 0;             ///< guarded by mutex_
};

}  // namespace vmi::supervisor
