// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/vm/vm_set.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/supervisor/vm/vm_stats.hpp"

#include <algorithm>
#include <csignal>

#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vmi::supervisor {
namespace {

constexpr auto kMonitorTime = std::chrono::seconds(2);  // of a living QEMU's answer to a question
constexpr auto kResumeTime = std::chrono::seconds(30);
constexpr auto kCloseTime = std::chrono::seconds(3);  // of one that writes the rest of a cache it filled
constexpr auto kStubbornCreate = std::chrono::milliseconds(500);
constexpr int kShownLines = 8;

/// QEMU ends with status 0 when its guest powers off and when somebody sends it SIGTERM; in that case it says
/// so.
std::string foreign_signal(const std::string& complaints) {
  const std::size_t at = complaints.find("terminating on signal");
  if (at == std::string::npos) return {};
  const std::string line = complaints.substr(at, complaints.find('\n', at) - at);
  // libvirt sends one of its own once the guest has powered off.
  return line.find("pid " + std::to_string(getpid())) == std::string::npos ? line : "";
}

/// What a VM wrote goes with it: it may lie in memory, and others still run.
void remove_overlay(const VmPlan& plan) {
  std::error_code ignored;  // the folder is removed in the end, and reported then
  if (!plan.overlay.empty()) fs::remove(plan.overlay, ignored);
}

/// Where the copy of a failed VM's log is; empty: it printed nothing, or none is wanted.
std::string keep_log(const fs::path& log, const fs::path& folder, const std::string& name) {
  assert_may_block("keeping a VM's log");
  std::error_code missing;
  if (folder.empty() || fs::file_size(log, missing) == 0 || missing) return {};
  try {
    // Not its parent too: where that is missing, the record's folder is another node's.
    fs::create_directory(folder);
    const fs::path kept = folder / (name + ".log");
    fs::copy_file(log, kept, fs::copy_options::overwrite_existing);
    return kept;
  } catch (const std::exception& error) {
    log_warning("cannot keep the serial log of " + name + ": " + error.what());
    return {};
  }
}

}  // namespace

struct VmSet::Vm {
  VmSpec spec;
  VmPlan plan;  ///< once created
  std::shared_ptr<Hypervisor> hypervisor;
  std::shared_ptr<Domain> domain;  ///< once created
  State state = State::creating;
  bool ready_seen = false;  ///< maybe before its VmRunning could be sent
  int pid = 0;
  int ssh_port = 0;
  Fd pidfd;
  EventLoop::Handle exit_watch;
  EventLoop::Handle timer;  ///< of what the VM's state waits for
  std::unique_ptr<ReadyWatch> ready_watch;
  std::int64_t t_running = kNever;
  std::int64_t t_ready = kNever;
  VmStats stats;
  bool telling = false;                ///< its failure, which waits for its log
  std::optional<VmStopped> last_word;  ///< waits for that
  bool looked_at = false;              ///< by look_for_stopped(), still
  bool killed = false;                 ///< by us, or told to end
  bool closing = false;  ///< it was ready and told to write the rest of the cache that it filled
};

/// What a worker brings back from creating a VM.
struct VmSet::Created {
  VmPlan plan;
  std::shared_ptr<Hypervisor> hypervisor;
  std::shared_ptr<Domain> domain;
  int ssh_port = 0;
  std::int64_t t_prepare = kNever;
  std::int64_t t_spawn = kNever;
  std::string problem;  ///< empty: it worked
};

VmSet::VmSet(Surroundings surroundings) : at_(std::move(surroundings)), files_(at_.loop) {
}

void VmSet::prepare(const Prepare& request, const Maker& make, std::function<void()> done) {
  failure_log_dir_ = request.failure_log_dir;
  if (stopping_) {
    stopping_ = false;
    cancelled_.reset();
  }
  if (!cancelled_) cancelled_ = std::make_shared<std::atomic<bool>>(false);
  Batch batch{.done = std::move(done)};
  for (const VmSpec& spec : request.vms) {
    if (has(spec.index))
      throw Error(ExitStatus::environment, "VM " + std::to_string(spec.index) + " was prepared already");
    auto vm = std::make_shared<Vm>();
    vm->spec = spec;
    batch.vms.push_back(std::move(vm));
  }
  for (const VmPtr& vm : batch.vms) {
    vms_[vm->spec.index] = vm;
    create(vm, make, std::chrono::milliseconds(request.create_timeout_ms));
  }
  batches_.push_back(std::move(batch));
  check_progress();
}

void VmSet::create(const VmPtr& vm, const Maker& make, std::chrono::milliseconds timeout) {
  at_.pool.submit([this, vm, make, timeout, cancelled = cancelled_] {
    Created outcome;
    outcome.t_prepare = monotonic_ns();
    const Deadline deadline = Deadline::after(timeout);
    try {
      if (*cancelled) throw Error(ExitStatus::interrupted, "it was stopped before it was made");
      Made made = make(vm->spec);
      outcome.plan = std::move(made.plan);
      outcome.hypervisor = made.hypervisor;
      at_.loop.post(
          [this, vm, folder = outcome.plan.folder, deadline] { creating_in(vm, folder, deadline); });
      if (made.make_files) made.make_files();
      if (*cancelled) throw Error(ExitStatus::interrupted, "it was stopped while it was being made");
      outcome.domain = made.hypervisor->create_paused(outcome.plan, deadline);
      outcome.t_spawn = monotonic_ns();
      if (vm->spec.guest.net == Net::user) {
        const nlohmann::json command = {{"command-line", "info usernet"}};
        const nlohmann::json text = outcome.domain->execute("human-monitor-command", command, deadline);
        outcome.ssh_port = forwarded_port(text.get<std::string>(), 22);
      }
    } catch (const std::exception& error) {
      outcome.problem = error.what();
    }
    at_.loop.post([this, vm, outcome = std::move(outcome)]() mutable { created(vm, std::move(outcome)); });
  });
}

/// A QEMU that hangs at its start (its base's server does not answer) is known by its folder alone.
void VmSet::creating_in(const VmPtr& vm, const fs::path& folder, Deadline deadline) {
  if (vm->state != State::creating || folder.empty()) return;
  vm->plan.folder = folder;
  vm->timer = at_.loop.at(stopping_ ? Deadline::after(kStubbornCreate) : deadline, [this, vm, folder] {
    at_.kill_in(folder);
    creating_in(vm, folder, Deadline::after(kStubbornCreate));  // it may not have begun yet
  });
}

void VmSet::created(const VmPtr& vm, Created outcome) {
  vm->timer.drop();
  vm->plan = std::move(outcome.plan);
  vm->hypervisor = std::move(outcome.hypervisor);
  vm->domain = std::move(outcome.domain);
  vm->ssh_port = outcome.ssh_port;
  if (!vm->domain) {
    vm->state = State::ended;
    remove_overlay(vm->plan);
    if (!stopping_) fail(vm, outcome.problem);
    return check_progress();
  }
  vm->pid = vm->domain->pid();
  vm->pidfd = open_pidfd(vm->pid);
  vm->state = State::paused;
  at_.emit(VmPrepared{.index = vm->spec.index,
                      .pid = vm->pid,
                      .t_prepare = outcome.t_prepare,
                      .t_spawn = outcome.t_spawn,
                      .ssh_port = vm->ssh_port,
                      .serial_log = vm->plan.files.serial_log});
  if (!vm->pidfd) return exited(vm);  // it lived long enough to answer, no longer
  vm->exit_watch = at_.loop.watch(vm->pidfd.get(), EPOLLIN, [this, vm] { exited(vm); });
  if (stopping_) {
    end(vm, false);
  } else if (!outcome.problem.empty()) {
    fail(vm, outcome.problem);
  }
  check_progress();
}

void VmSet::resume_all(std::chrono::milliseconds ready_timeout, std::function<void()> done) {
  resumed_ = std::move(done);
  ready_timeout_ = ready_timeout;
  ready_timer_ = at_.loop.at(Deadline::after(ready_timeout), [this] { timed_out(); });
  look_timer_ = at_.loop.at(Deadline::after(at_.look_interval), [this] { look_for_stopped(); });
  for (const auto& [index, vm] : vms_) {
    if (vm->state == State::paused) resume(vm);
  }
  check_progress();
}

void VmSet::resume(const VmPtr& vm) {
  vm->state = State::resuming;
  // Watched from before it runs, so that nothing is missed.
  vm->ready_watch = std::make_unique<ReadyWatch>(
      at_.loop, files_, vm->spec.ready,
      ReadyWatch::Channels{vm->plan.files.serial_log, vm->plan.files.agent_socket, vm->ssh_port},
      [this, vm] { seen_ready(vm); });
  at_.pool.submit([this, vm] {
    std::string problem;
    try {
      vm->domain->resume(Deadline::after(kResumeTime));
    } catch (const std::exception& error) {
      problem = error.what();
    }
    at_.loop.post([this, vm, t_resumed = monotonic_ns(), problem] { resumed(vm, t_resumed, problem); });
  });
}

void VmSet::resumed(const VmPtr& vm, std::int64_t t_resumed, const std::string& problem) {
  if (vm->state != State::resuming) return check_progress();  // it has ended meanwhile
  if (!problem.empty()) {
    fail(vm, problem);
    return check_progress();
  }
  vm->state = State::running;
  // A fast guest may have been ready before the hypervisor's answer was read.
  vm->t_running = vm->ready_seen ? std::min(t_resumed, vm->t_ready) : t_resumed;
  at_.emit(VmRunning{.index = vm->spec.index, .t_running = vm->t_running});
  if (vm->spec.ready.kind == ReadySpec::Kind::none) seen_ready(vm);
  if (vm->ready_seen) announce_ready(vm);
  check_progress();
}

void VmSet::seen_ready(const VmPtr& vm) {
  if (vm->ready_seen || (vm->state != State::resuming && vm->state != State::running)) return;
  vm->ready_seen = true;
  vm->t_ready = monotonic_ns();
  if (vm->state == State::running) announce_ready(vm);
}

void VmSet::announce_ready(const VmPtr& vm) {
  if (vm->state != State::running) return;
  vm->state = State::ready;
  vm->ready_watch.reset();
  at_.emit(
      VmReady{.index = vm->spec.index, .t_ready = vm->t_ready, .ready_by = to_text(vm->spec.ready.kind)});
}

void VmSet::exited(const VmPtr& vm) {
  const std::int64_t t_exited = monotonic_ns();
  vm->exit_watch.drop();
  vm->timer.drop();
  if (vm->ready_watch) vm->ready_watch->look();
  const Ended ended =
      at_.reaper.collect(vm->pid).value_or(Ended{.wait_status = -1, .cpu_s = -1, .rss_bytes = kUnknown});
  if (!vm->killed && vm->state != State::ended) exited_by_itself(vm, ended, t_exited);
  const bool cache_closed =
      vm->spec.cache_writable && ended.wait_status == 0 && (vm->closing || vm->state == State::ready);
  vm->state = State::ended;
  vm->ready_watch.reset();
  vm->domain.reset();
  remove_overlay(vm->plan);
  vm->stats.cpu_s = ended.cpu_s;
  vm->stats.rss_bytes = ended.rss_bytes;
  vm->last_word = VmStopped{
      .index = vm->spec.index, .t_stopped = t_exited, .stats = vm->stats, .cache_closed = cache_closed};
  tell_stopped(vm);
  check_progress();
}

void VmSet::tell_stopped(const VmPtr& vm) {
  if (!vm->telling && vm->last_word) at_.emit(*std::exchange(vm->last_word, std::nullopt));
}

void VmSet::exited_by_itself(const VmPtr& vm, const Ended& ended, std::int64_t t_exited) {
  const std::string complaints = vm->hypervisor->complaints(vm->plan);
  const bool powered_off = ended.wait_status == 0 && foreign_signal(complaints).empty();
  if (vm->state == State::resuming) {  // so short a life that the answer to the resume is still on its way
    vm->state = State::running;
    vm->t_running = vm->ready_seen ? vm->t_ready : t_exited;
    at_.emit(VmRunning{.index = vm->spec.index, .t_running = vm->t_running});
  }
  if (powered_off && vm->spec.ready.kind == ReadySpec::Kind::exit && vm->state == State::running)
    seen_ready(vm);
  if (vm->state == State::running && vm->ready_seen) announce_ready(vm);
  const std::string how =
      ended.wait_status == -1 ? "its exit status is not known" : describe_wait_status(ended.wait_status);
  if (vm->state == State::ready) {
    at_.emit(
        VmExited{.index = vm->spec.index, .t_exited = t_exited, .how = powered_off ? "it powered off" : how});
  } else if (vm->state == State::running && powered_off) {
    fail(vm, "it powered off before it was ready");
  } else {
    fail(vm, "its QEMU ended (" + how + ")" + (complaints.empty() ? "" : ": " + complaints));
  }
}

void VmSet::fail(const VmPtr& vm, const std::string& reason, bool timed_out) {
  VmFailed failure{
      .index = vm->spec.index, .t_failed = monotonic_ns(), .reason = reason, .timed_out = timed_out};
  vm->telling = true;
  // The log goes beside the record, whose file system may be slow.
  at_.background.submit(
      [this, vm, failure, plan = vm->plan, name = vm->spec.name, kept_in = failure_log_dir_]() mutable {
        if (!plan.folder.empty()) {
          failure.last_lines = SerialWatch(plan.files.serial_log, "").last_lines(kShownLines);
          failure.kept_log = keep_log(plan.files.serial_log, kept_in, name);
        }
        at_.loop.post([this, vm, failure] { tell_failure(vm, failure); });
      });
  if (vm->state != State::ended && vm->pidfd) end(vm, true);
}

void VmSet::tell_failure(const VmPtr& vm, const VmFailed& failure) {
  at_.emit(failure);
  vm->telling = false;
  tell_stopped(vm);
  check_progress();
}

bool VmSet::is_told(const Vm& vm) {
  return !vm.telling && !vm.last_word;
}

void VmSet::end(const VmPtr& vm, bool orderly) {
  if (vm->state == State::ended) return;
  if (vm->killed) {
    if (!orderly) pidfd_kill(vm->pidfd, SIGKILL);
    return;
  }
  const bool ran = vm->state == State::running || vm->state == State::ready;
  const bool close = vm->spec.cache_writable && vm->state == State::ready;
  vm->state = State::ending;
  vm->killed = true;
  vm->ready_watch.reset();
  if (!orderly || !ran) return pidfd_kill(vm->pidfd, SIGKILL);
  // A QEMU that hangs may keep its hypervisor's call for ever; the timer does not wait for that.
  const Deadline end_by = Deadline::after(close ? kCloseTime : kMonitorTime);
  vm->timer = at_.loop.at(end_by, [vm] { pidfd_kill(vm->pidfd, SIGKILL); });
  vm->closing = close;
  at_.pool.submit([this, vm, close, end_by, domain = vm->domain] {
    if (close) wait_for_fills(*domain, end_by);
    const VmStats stats = query_stats(*domain, vm->spec, Deadline::after(kMonitorTime));
    at_.loop.post([vm, stats, close] {
      vm->stats = stats;
      if (!close) pidfd_kill(vm->pidfd, SIGKILL);
    });
    if (close) quit(*domain, end_by);
  });
}

void VmSet::timed_out() {
  for (const auto& entry : vms_) {
    const VmPtr& vm = entry.second;
    if (!waits_for_ready(*vm)) continue;
    const auto give_up = [this, vm](const std::string& trouble) {
      if (!waits_for_ready(*vm)) return;
      const std::string limit = vm->spec.ready.to_text() + ") within " + format_duration(ready_timeout_);
      fail(vm, "it was not ready (" + limit + (trouble.empty() ? "" : "; " + trouble), true);
    };
    vm->timer = at_.loop.at(Deadline::after(kMonitorTime),
                            [give_up] { give_up("QEMU's monitor does not answer either"); });
    at_.pool.submit([this, give_up, domain = vm->domain] {
      const Trouble trouble = query_trouble(*domain, Deadline::after(kMonitorTime));
      at_.loop.post([give_up, trouble] { give_up(trouble.text); });
    });
  }
}

/// A guest that QEMU has stopped for good need not be waited for.
void VmSet::look_for_stopped() {
  look_timer_ = at_.loop.at(Deadline::after(at_.look_interval), [this] { look_for_stopped(); });
  for (const auto& entry : vms_) {
    const VmPtr& vm = entry.second;
    if (vm->state != State::running || std::exchange(vm->looked_at, true)) continue;
    at_.pool.submit([this, vm, domain = vm->domain] {
      const Trouble trouble = query_trouble(*domain, Deadline::after(kMonitorTime));
      at_.loop.post([this, vm, trouble] {
        vm->looked_at = false;
        if (trouble.final && waits_for_ready(*vm)) fail(vm, trouble.text);
      });
    });
  }
}

bool VmSet::waits_for_ready(const Vm& vm) {
  return vm.state == State::resuming || vm.state == State::running;
}

void VmSet::stop_all(bool orderly, std::function<void()> done) {
  stopping_ = true;
  if (cancelled_) *cancelled_ = true;
  ready_timer_.drop();
  look_timer_.drop();
  stopped_.push_back(std::move(done));
  for (const auto& [index, vm] : vms_) {
    if (vm->state == State::creating) {
      creating_in(vm, vm->plan.folder, Deadline::after(kStubbornCreate));  // most end by themselves at once
    } else {
      end(vm, orderly);
    }
  }
  check_progress();
}

void VmSet::check_progress() {
  std::vector<std::function<void()>> finished;
  std::erase_if(batches_, [&](Batch& batch) {
    if (std::ranges::any_of(batch.vms,
                            [](const VmPtr& vm) { return vm->state == State::creating || !is_told(*vm); }))
      return false;
    finished.push_back(std::move(batch.done));
    return true;
  });
  for (const auto& done : finished) done();
  const bool all_told = std::ranges::all_of(vms_, [](const auto& entry) { return is_told(*entry.second); });
  if (resumed_ && count(State::resuming) == 0 && all_told) std::exchange(resumed_, {})();
  if (!stopped_.empty() && all_ended()) {
    for (const auto& done : std::exchange(stopped_, {})) done();
  }
}

bool VmSet::all_ended() const {
  return std::ranges::all_of(
      vms_, [](const auto& entry) { return entry.second->state == State::ended && is_told(*entry.second); });
}

bool VmSet::has(int index) const {
  const auto found = vms_.find(index);
  return found != vms_.end() && found->second->state != State::ended;
}

int VmSet::count(State state) const {
  return static_cast<int>(
      std::ranges::count_if(vms_, [state](const auto& entry) { return entry.second->state == state; }));
}

}  // namespace vmi::supervisor
