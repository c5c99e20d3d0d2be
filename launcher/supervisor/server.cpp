// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/server.hpp"

#include "cachegen/guest/cpu_check.hpp"
#include "cachegen/support/log.hpp"
#include "launcher/supervisor/affinity.hpp"
#include "launcher/supervisor/cold_cache.hpp"
#include "launcher/supervisor/hypervisor/libvirt_root.hpp"

#include <algorithm>
#include <csignal>

#include <sys/epoll.h>

namespace vmi::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr int kCreators = 8;  // more at once only makes them slower: docs/adr/0002
constexpr int kBackground = 4;
constexpr auto kCpuCheck = 60s;
constexpr auto kReapDelay = 5ms;  // one look through /proc for many deaths
constexpr auto kVmsLook = 250ms;  // for a QEMU that was only being started when the others were killed
// Together they are the 10 s within which an interrupted launch must be gone.
constexpr auto kVmsEnd = 3s;
constexpr auto kCommandEnd = 2s;
constexpr auto kStrayEnd = 500ms;  // twice
constexpr auto kRecordEnd = 2s;
constexpr auto kThreadsEnd = 1s;
constexpr auto kLastWords = 500ms;

}  // namespace

Server::Server(Channel rank, RuntimeDir runtime, Variables original)
    : rank_(std::move(rank)),
      runtime_(std::move(runtime)),
      hypervisors_(libvirt_root(runtime_)),
      command_(loop_, std::move(original)),
      creators_(kCreators),
      background_(kBackground),
      vms_({.loop = loop_,
            .pool = creators_,
            .background = background_,
            .reaper = reaper_,
            .emit = [this](const Event& event) { emit(event); },
            .kill_in =
                [this](const fs::path& folder) {
                  background_.submit([this, folder] { kill_emulators(folder); });
                }}) {
}

bool Server::serve() {
  try {
    listen();
    loop_.run();
  } catch (const std::exception& error) {
    log_error(std::string("the supervisor gives up: ") + error.what());
  }
  return end_everything();
}

void Server::listen() {
  rank_watch_.drop();
  std::uint32_t events = EPOLLIN;
  if (rank_.has_queued()) events |= EPOLLOUT;
  rank_watch_ = loop_.watch(rank_.fd(), events, [this] { receive(); });
}

void Server::receive() {
  bool gone = !rank_.send_queued();
  std::string text;
  while (!gone) {
    const Channel::Status status = rank_.receive(text);
    if (status == Channel::Status::nothing) return listen();
    gone = status == Channel::Status::closed;
    if (!gone) handle(parse_request(text));
  }
  rank_watch_.drop();
  loop_.quit();
}

void Server::emit(const Event& event) {
  loop_.post([this, text = to_text(event)] {
    const bool listening = !rank_.has_queued();
    // A rank that has gone is noticed where its requests are read.
    if (rank_.send(text) && rank_.has_queued() && listening && rank_watch_) listen();
  });
}

void Server::handle(const RequestMessage& message) {
  try {
    std::visit([&](const auto& request) { on(message.id, request); }, message.request);
  } catch (const Error& error) {
    fail(message.id, error);
  } catch (const std::exception& error) {
    fail(message.id, Error(ExitStatus::environment, error.what()));
  }
}

void Server::done(std::uint64_t id) {
  emit(Reply{.id = id, .result = to_result(Done{})});
}

void Server::fail(std::uint64_t id, const Error& error) {
  emit(Reply{.id = id, .ok = false, .status = error.status(), .message = error.what()});
}

template <typename Request, typename Work>
void Server::in_background(std::uint64_t id, const Request& request, Work work) {
  background_.submit([this, id, request, work = std::move(work)] {
    try {
      const typename Request::Result result = work(request);
      emit(Reply{.id = id, .result = to_result(result)});
    } catch (const Error& error) {
      fail(id, error);
    } catch (const std::exception& error) {
      fail(id, Error(ExitStatus::environment, error.what()));
    }
  });
}

void Server::progress(std::uint64_t id, const std::string& text, double fraction) {
  if (ending_) throw Error(ExitStatus::interrupted, "the launch is ending");
  emit(Progress{.id = id, .text = text, .fraction = fraction});
}

void Server::on(std::uint64_t id, const InspectImage& request) {
  in_background(id, request, inspect);
}

void Server::on(std::uint64_t id, const FindCache& request) {
  in_background(id, request, [this, id](const FindCache& wanted) {
    return find_cache(wanted, [this, id](const std::string& text) { progress(id, text, -1); });
  });
}

void Server::on(std::uint64_t id, const VerifyCache& request) {
  in_background(id, request, [this, id](const VerifyCache& wanted) {
    return verify(wanted,
                  [this, id](const std::string& text, double fraction) { progress(id, text, fraction); });
  });
}

void Server::on(std::uint64_t id, const OpenColdCache& request) {
  in_background(id, request, open_cold_cache);
}

void Server::on(std::uint64_t id, const ProbeHypervisor& request) {
  in_background(id, request, [this](const ProbeHypervisor& wanted) { return probe(wanted); });
}

HypervisorFacts Server::probe(const ProbeHypervisor& request) {
  const QemuFacts qemu = facts_.qemu(request.qemu);
  if (request.warns) warn_without_sandbox(qemu);
  const Accel accel = facts_.accel(parse_name<Accel>(request.accel));
  check_cpu({.qemu = qemu.path,
             .accel = accel,
             .machine = parse_name<Machine>(request.machine),
             .cpu_model = request.cpu_model},
            Deadline::after(kCpuCheck));
  HypervisorFacts result{.qemu = qemu.path,
                         .qemu_version = qemu.version,
                         .has_vmicache = qemu.has_vmicache,
                         .has_sandbox = qemu.has_sandbox,
                         .accel = to_text(accel),
                         .backend = hypervisors_.resolve(request.backend)};
  if (result.backend == Backend::libvirt) {
    result.libvirt_version = LibvirtBackend::version();
    result.first_use = !ProbeCache(qemu).known();
  }
  return result;
}

void Server::on(std::uint64_t id, const UseCpus& request) {
  use_cpus(parse_cpu_list(request.cpus));
  done(id);
}

void Server::on(std::uint64_t id, const OpenNodeFolder& request) {
  in_background(id, request,
                [this](const OpenNodeFolder& wanted) { return NodeFolder{node_folder(wanted.node_dir)}; });
}

fs::path Server::node_folder(const std::string& node_dir) {
  assert_may_block("making a folder in --node-dir");
  const std::lock_guard lock(folders_mutex_);
  if (!node_) {
    sweep_stale(node_dir);
    node_.emplace(node_dir);
  } else if (fs::absolute(node_dir) != fs::absolute(node_->path().parent_path())) {
    throw Error(ExitStatus::environment, "this supervisor keeps its VMs in '" + node_->path().string() +
                                             "', not in '" + node_dir + "'");
  }
  return node_->path();
}

void Server::note_emulator(const fs::path& emulator) {
  assert_may_block("noting an emulator");
  const std::lock_guard lock(folders_mutex_);
  runtime_.note_emulator(emulator);
}

void Server::kill_emulators(const fs::path& folder) {
  std::vector<std::string> emulators;
  {
    const std::lock_guard lock(folders_mutex_);
    emulators = runtime_.emulators();
  }
  kill_emulators_in(folder, emulators);
}

void Server::on(std::uint64_t id, const KeepRecord& request) {
  in_background(id, request, [this](const KeepRecord& wanted) {
    loop_.post([this, keeper = RecordKeeper(wanted.journal)] { record_.emplace(keeper); });
    return Done{};
  });
}

void Server::on(std::uint64_t id, const Describe& request) {
  in_background(id, request, [this](const Describe& wanted) {
    // Nothing is started, so the folders need not exist.
    const VmPlan plan = plan_vm(wanted.vm, {.runtime = runtime_.path(), .overlays = wanted.node_dir}, facts_);
    return Description{hypervisors_.get(wanted.backend)->describe(plan)};
  });
}

void Server::on(std::uint64_t id, const Warm& request) {
  in_background(id, request, [this](const Warm& wanted) {
    // libvirt's driver first: QEMU may be under the eyes of another request.
    const std::shared_ptr<Hypervisor> hypervisor = hypervisors_.get(wanted.backend);
    hypervisor->warm({.qemu = facts_.qemu(wanted.qemu).path,
                      .accel = parse_name<Accel>(wanted.accel),
                      .machine = parse_name<Machine>(wanted.machine)});
    return Done{};
  });
}

void Server::on(std::uint64_t id, const Prepare& request) {
  const auto make = [this, node_dir = request.node_dir, backend = request.backend](const VmSpec& spec) {
    const VmFolders where{.runtime = runtime_.path(), .overlays = node_folder(node_dir)};
    note_emulator(facts_.qemu(spec.guest.qemu).path);
    VmPlan plan = plan_vm(spec, where, facts_);
    return VmSet::Made{plan, hypervisors_.get(backend), [spec, plan] { make_files(spec, plan); }};
  };
  vms_.prepare(request, make, [this, id] { done(id); });
}

void Server::on(std::uint64_t id, const ResumeAll& request) {
  vms_.resume_all(std::chrono::milliseconds(request.ready_timeout_ms), [this, id] { done(id); });
}

void Server::on(std::uint64_t id, const RunCommand& request) {
  command_.start(request, [this](int status) { emit(CommandExited{.exit_status = status}); });
  done(id);
}

void Server::on(std::uint64_t id, const SignalCommand& request) {
  command_.signal(request.number);
  done(id);
}

void Server::on(std::uint64_t id, const StopAll&) {
  vms_.stop_all(true, [this, id] { done(id); });
}

void Server::on(std::uint64_t id, const Shutdown&) {
  ending_ = true;
  command_.signal(SIGTERM);
  vms_.stop_all(false, [this, id] {
    done(id);
    loop_.post([this] { loop_.quit(); });
  });
}

void Server::child_ended() {
  if (!reap_timer_) {
    reap_timer_ = loop_.at(Deadline::after(kReapDelay), [this] {
      reap_timer_.drop();
      reaper_.reap_orphans();
    });
  }
}

void Server::terminate(int signal) {
  emit(Interrupted{.signal = signal});
  command_.signal(SIGTERM);
  vms_.stop_all(true, [] {});
}

bool Server::end_everything() {
  ending_ = true;
  log_sink({});  // the rank reads no more
  command_.signal(SIGTERM);
  vms_.stop_all(false, [] {});
  const auto vms_gone = [this] { return vms_.all_ended(); };
  const Deadline vms_end = Deadline::after(kVmsEnd);
  while (!loop_.run_until(vms_gone, vms_end.sooner_of(Deadline::after(kVmsLook)))) {
    kill_emulators(runtime_.path());
    if (vms_end.passed()) break;
  }
  loop_.run_until([this] { return !command_.running(); }, Deadline::after(kCommandEnd));
  command_.signal(SIGKILL);
  // What is left are orphans of the command, and tools that a thread waits for, which then gives up.
  if (!kill_children(Deadline::after(kStrayEnd))) log_warning("some process does not end");
  const bool record_closed = !record_ || record_->finish(Deadline::after(kRecordEnd));
  const Deadline threads_end = Deadline::after(kThreadsEnd);
  const bool background_ended = background_.close(threads_end);
  const bool creators_ended = creators_.close(threads_end);
  bool said = false;
  loop_.post([&said] { said = true; });  // behind whatever was posted before
  loop_.run_until([&said] { return said; }, Deadline::after(kLastWords));
  rank_watch_.drop();
  rank_.flush(Deadline::after(kLastWords));
  if (node_) node_->remove();
  runtime_.remove();
  const bool threads_ended = background_ended && creators_ended;
  // What a thread starts from now on lacks its folder and ends by itself.
  if (!threads_ended) kill_children(Deadline::after(kStrayEnd));
  return threads_ended && record_closed;
}

}  // namespace vmi::supervisor
