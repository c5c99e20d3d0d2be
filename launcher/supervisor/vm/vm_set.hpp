// SPDX-License-Identifier: Apache-2.0
#pragma once

// The VMs of one supervisor and what becomes of each:
//
//     creating --> paused --> resuming --> running --> ready --+
//        |           |           |            |                +--> ending --> ended
//        +-----------+-----------+------------+----- failed ---+
//
// The loop's thread owns all of it. What blocks (making files, the hypervisor's calls) runs in the pool and
// posts its outcome. A VM ends by SIGKILL to its QEMU, by QMP's quit when it filled a cache that is to be
// kept, or by itself; all are seen at its pidfd, and only there VmStopped is sent.

#include "launcher/supervisor/event_loop.hpp"
#include "launcher/supervisor/hypervisor/hypervisor.hpp"
#include "launcher/supervisor/ipc/protocol.hpp"
#include "launcher/supervisor/vm/children.hpp"
#include "launcher/supervisor/vm/file_watch.hpp"
#include "launcher/supervisor/vm/ready_watch.hpp"
#include "launcher/supervisor/worker_pool.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace vmi::supervisor {

class VmSet {
 public:
  struct Surroundings {
    EventLoop& loop;
    WorkerPool& pool;        ///< calls to the hypervisor
    WorkerPool& background;  ///< everything else that blocks
    Reaper& reaper;
    std::function<void(const Event&)> emit;
    /// Kills the QEMUs that have this folder's path in their command: those still being created, whose pid
    /// only the hypervisor knows.
    std::function<void(const fs::path& folder)> kill_in;
    /// How often VMs that are not ready are asked whether QEMU has stopped them.
    std::chrono::milliseconds look_interval{5'000};
  };
  explicit VmSet(Surroundings surroundings);

  /// Plans one VM; that blocks too, so it is done in the pool.
  struct Made {
    VmPlan plan;
    std::shared_ptr<Hypervisor> hypervisor;
    std::function<void()> make_files;  ///< none: they are there
  };
  using Maker = std::function<Made(const VmSpec&)>;

  /// Creates the VMs, paused. VmPrepared or VmFailed for each, then done(). Several may be under way.
  void prepare(const Prepare& request, const Maker& make, std::function<void()> done);
  /// Resumes what is paused. VmRunning for each, then done().
  void resume_all(std::chrono::milliseconds ready_timeout, std::function<void()> done);
  /// Ends every VM, now and those still being created. VmStopped for each that was spawned, then done().
  /// Orderly: after its statistics were read, and after one that fills a cache and was ready has closed it.
  void stop_all(bool orderly, std::function<void()> done);

  bool all_ended() const;
  /// Whether VM `index` was prepared and has not ended.
  bool has(int index) const;

 private:
  enum class State { creating, paused, resuming, running, ready, ending, ended };
  struct Vm;
  using VmPtr = std::shared_ptr<Vm>;
  struct Created;
  /// One Prepare that is under way.
  struct Batch {
    std::vector<VmPtr> vms;
    std::function<void()> done;
  };

  void create(const VmPtr& vm, const Maker& make, std::chrono::milliseconds timeout);
  void creating_in(const VmPtr& vm, const fs::path& folder, Deadline deadline);
  void created(const VmPtr& vm, Created outcome);
  void resume(const VmPtr& vm);
  void resumed(const VmPtr& vm, std::int64_t t_resumed, const std::string& problem);
  void seen_ready(const VmPtr& vm);
  void announce_ready(const VmPtr& vm);
  void exited(const VmPtr& vm);
  void exited_by_itself(const VmPtr& vm, const Ended& ended, std::int64_t t_exited);
  void fail(const VmPtr& vm, const std::string& reason, bool timed_out = false);
  /// Its VmFailed, once its log was read and kept; and then its VmStopped, if that came meanwhile.
  void tell_failure(const VmPtr& vm, const VmFailed& failure);
  void tell_stopped(const VmPtr& vm);
  void end(const VmPtr& vm, bool orderly);
  void timed_out();
  void look_for_stopped();
  static bool waits_for_ready(const Vm& vm);
  void check_progress();
  /// Nothing is still to be told of any of them.
  static bool is_told(const Vm& vm);
  int count(State state) const;

  Surroundings at_;
  FileWatch files_;
  std::map<int, VmPtr> vms_;  ///< by index
  std::string failure_log_dir_;
  std::chrono::milliseconds ready_timeout_{};
  EventLoop::Handle ready_timer_;
  EventLoop::Handle look_timer_;
  bool stopping_ = false;
  std::shared_ptr<std::atomic<bool>> cancelled_;  ///< tells the workers of the current Prepare
  std::vector<Batch> batches_;
  std::function<void()> resumed_;
  std::vector<std::function<void()>> stopped_;
};

}  // namespace vmi::supervisor
