// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supervisor/command_child.hpp"
#include "launcher/supervisor/event_loop.hpp"
#include "launcher/supervisor/hypervisor/hypervisors.hpp"
#include "launcher/supervisor/image_requests.hpp"
#include "launcher/supervisor/ipc/channel.hpp"
#include "launcher/supervisor/ipc/protocol.hpp"
#include "launcher/supervisor/record_keeper.hpp"
#include "launcher/supervisor/runtime_dir.hpp"
#include "launcher/supervisor/vm/children.hpp"
#include "launcher/supervisor/vm/vm_plan.hpp"
#include "launcher/supervisor/vm/vm_set.hpp"
#include "launcher/supervisor/worker_pool.hpp"

#include <atomic>
#include <mutex>
#include <optional>
#include <string>

namespace vmi::supervisor {

/// Serves one rank until it closes its end: takes its requests, has them done, sends replies and events.
class Server {
 public:
  /// `original`: the user's values of the variables that this process changed for itself.
  Server(Channel rank, RuntimeDir runtime, Variables original);

  static fs::path libvirt_root(const RuntimeDir& runtime) { return runtime.path() / "libvirt"; }

  /// Until the rank closes its end or asks for it; then everything is ended and removed. False: a thread
  /// still works, and this object must not be destroyed: _exit(2).
  bool serve();

  /// For children and signals, from the loop.
  void child_ended();
  void terminate(int signal);

  EventLoop& loop() { return loop_; }
  /// From any thread.
  void emit(const Event& event);

 private:
  void listen();
  void receive();
  void handle(const RequestMessage& message);

  void on(std::uint64_t id, const InspectImage& request);
  void on(std::uint64_t id, const ProbeHypervisor& request);
  void on(std::uint64_t id, const FindCache& request);
  void on(std::uint64_t id, const VerifyCache& request);
  void on(std::uint64_t id, const OpenColdCache& request);
  void on(std::uint64_t id, const UseCpus& request);
  void on(std::uint64_t id, const OpenNodeFolder& request);
  void on(std::uint64_t id, const KeepRecord& request);
  void on(std::uint64_t id, const Describe& request);
  void on(std::uint64_t id, const Warm& request);
  void on(std::uint64_t id, const Prepare& request);
  void on(std::uint64_t id, const ResumeAll& request);
  void on(std::uint64_t id, const RunCommand& request);
  void on(std::uint64_t id, const SignalCommand& request);
  void on(std::uint64_t id, const StopAll& request);
  void on(std::uint64_t id, const Shutdown& request);

  void done(std::uint64_t id);
  void fail(std::uint64_t id, const Error& error);
  /// Does a Request in a thread and replies with the Result that `work` returns, or with what it throws.
  template <typename Request, typename Work>
  void in_background(std::uint64_t id, const Request& request, Work work);
  /// For long work: sends it, and throws once the supervisor is ending.
  void progress(std::uint64_t id, const std::string& text, double fraction);

  HypervisorFacts probe(const ProbeHypervisor& request);
  // These block; from any thread but the loop's.
  fs::path node_folder(const std::string& node_dir);
  void note_emulator(const fs::path& emulator);
  void kill_emulators(const fs::path& folder);
  bool end_everything();

  Channel rank_;
  std::mutex folders_mutex_;
  RuntimeDir runtime_;                  ///< its emulators are guarded by folders_mutex_
  std::optional<RuntimeDir> node_;      ///< guarded by folders_mutex_
  std::optional<RecordKeeper> record_;  ///< on the first rank
  EventLoop loop_;
  EventLoop::Handle rank_watch_;
  EventLoop::Handle reap_timer_;
  Reaper reaper_;
  HostFacts facts_;
  Hypervisors hypervisors_;
  CommandChild command_;
  WorkerPool creators_;    ///< calls to the hypervisor: the most creates in flight
  WorkerPool background_;  ///< everything else that blocks
  VmSet vms_;
  std::atomic<bool> ending_ = false;
};

}  // namespace vmi::supervisor
