// SPDX-License-Identifier: Apache-2.0
// One traced boot. QEMU starts paused; where its own trace has to tell what the base is asked for, a marker
// read through its monitor shows which node of that trace is the base. Then the guest runs until it is ready
// and a settle time has passed. Everything lives in one temporary folder, and QEMU is a child with a death
// signal, so that whatever ends this process ends both.
#include "cachegen/profile/boot.hpp"

#include "cachegen/cache/overlay.hpp"
#include "cachegen/guest/block_chain.hpp"
#include "cachegen/guest/paused_qemu.hpp"
#include "cachegen/guest/probe.hpp"
#include "cachegen/guest/qmp.hpp"
#include "cachegen/guest/seed.hpp"
#include "cachegen/profile/read_trace.hpp"
#include "cachegen/support/log.hpp"
#include "cachegen/support/stale.hpp"

#include <array>
#include <csignal>
#include <memory>
#include <optional>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace vmi {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr auto kTick = 50ms;          ///< how often the console and the trace are looked at
constexpr auto kReportEvery = 250ms;  ///< how often progress is told
constexpr auto kMonitorPatience =
    60s;  ///< for one monitor command; a loaded machine is slow, a hung QEMU is not waited for
constexpr auto kQuitPatience = 20s;
constexpr int kConsoleLines = 10;
constexpr const char* kProfileName = "vmicache-profile";

/// What a boot's folder holds.
struct BootFiles {
  fs::path folder;
  fs::path overlay = folder / "overlay.qcow2";
  fs::path trace = folder / "trace.log";
  fs::path read_trace = folder / "reads.trace";  ///< of the driver vmicache
  fs::path stderr_log = folder / "qemu.stderr";
  fs::path seed{};  ///< empty: none
  VmFiles vm{.serial_log = folder / "serial.log"};
};

class Boot {
 public:
  Boot(const BootSpec& spec, const BootProgress& progress)
      : spec_(spec),
        guest_(spec.guest),
        progress_(progress),
        folder_(temp_root(), kProfileFolderPrefix),
        stamp_(stamp_folder(folder_.path())),
        files_{.folder = folder_.path()},
        serial_(files_.vm.serial_log, spec.ready.kind == ReadySpec::Kind::serial ? spec.ready.pattern : ""),
        trace_(trace_marker(spec.image.virtual_bytes)),
        deadline_(Deadline::after(spec.timeout)) {
    if (spec.ready.needs_ssh_forward()) guest_.net = Net::user;
    if (!spec.guest.firmware_vars.empty()) files_.vm.firmware_vars = files_.folder / "vars.fd";
    if (!spec.guest.user_data.empty()) files_.seed = files_.folder / "seed.img";
    if (spec.ready.needs_agent_channel()) files_.vm.agent_socket = files_.folder / "agent";
  }

  BootRun run() {
    // The disk is there and QEMU runs.
    create_overlay(files_.overlay, spec_.image.virtual_bytes);
    copy_firmware_vars(guest_, files_.vm);
    if (!files_.seed.empty()) write_text_atomically(files_.seed, seed_image(seed()));
    spawn_qemu();
    try {
      // The monitor answers, the base's node is known, and the guest has started.
      connect();
      if (!spec_.driver_traces) find_base();
      find_ssh_port();
      start_guest();
      // The guest is ready, and has had time to settle.
      wait_until_ready();
      settle();
      // QEMU has ended and the trace is complete.
      quit();
    } catch (const Error& error) {
      explain_closed_monitor(error);
      throw;
    }
    return result();
  }

 private:
  Seed seed() const {
    return {.instance_id = kProfileName,
            .hostname = kProfileName,
            .user_data = read_user_data(spec_.guest.user_data)};
  }

  void spawn_qemu() {
    const auto chain = blockdev_chain({.overlay = files_.overlay,
                                       .cache_path = spec_.cache,
                                       .read_trace = files_.read_trace,
                                       .image_url = spec_.image.url,
                                       .image_format = spec_.image.format,
                                       .driver = spec_.driver_traces ? Driver::vmicache : Driver::qcow2,
                                       .lock_cache = can_lock(spec_.cache),
                                       .lock_base = can_lock(spec_.image.url)});
    CommandExtras extras{.seed = files_.seed,
                         .sandbox = spec_.sandbox,
                         .trace_events = boot_trace_events(!spec_.driver_traces),
                         .trace_log = files_.trace};
    extras.forward_ssh = spec_.ready.needs_ssh_forward();
    extras.no_reboot = spec_.ready.kind == ReadySpec::Kind::exit;
    const Fd err = open_file(files_.stderr_log, O_WRONLY | O_CREAT | O_APPEND);
    // A session of its own: Ctrl-C is ours to handle.
    auto [child, monitor] =
        spawn_paused(qemu_command(guest_, kProfileName, chain, files_.vm, extras),
                     {.stderr_fd = err.get(), .new_session = true, .death_signal = SIGKILL});
    qemu_ = std::move(child);
    monitor_ = std::move(monitor);
  }

  void connect() {
    try {
      qmp_.emplace(std::move(monitor_), deadline_, [this] { report(); });
    } catch (const Error& error) {
      if (error.status() == ExitStatus::timed_out) throw error.in("QEMU did not come up");
      throw;
    }
  }

  void find_base() {
    const TraceMarker marker = trace_marker(spec_.image.virtual_bytes);
    qmp_->human_monitor("qemu-io " + std::string(kBaseNode) + " \"read " + std::to_string(marker.offset) +
                            " " + std::to_string(marker.bytes) + "\"",
                        monitor_deadline());
    read_trace();
    if (!trace_.found_base()) {
      throw Error(ExitStatus::environment, "QEMU '" + spec_.guest.qemu +
                                               "' wrote no trace of its block layer; profiling needs a QEMU "
                                               "whose trace backends include 'log'");
    }
  }

  void find_ssh_port() {
    if (!spec_.ready.needs_ssh_forward()) return;
    const int port = forwarded_port(qmp_->human_monitor("info usernet", monitor_deadline()), 22);
    if (port == 0) throw Error(ExitStatus::environment, "QEMU did not forward a port to the guest's ssh");
    probe_ = std::make_unique<SshProbe>(port);
  }

  void start_guest() {
    if (spec_.ready.needs_agent_channel()) probe_ = std::make_unique<AgentProbe>(files_.vm.agent_socket);
    started_ = Deadline::Clock::now();
    stage_ = BootStatus::Stage::booting;
    qmp_->execute("cont", monitor_deadline());
    handle_events();
    if (start_us_ == 0) throw Error(ExitStatus::environment, "QEMU did not tell when the guest started");
  }

  void wait_until_ready() {
    while (!is_ready()) {
      throw_if_ended();
      if (deadline_.passed()) {
        throw Error(ExitStatus::timed_out, "the guest was not ready (" + spec_.ready.to_text() + ") within " +
                                               format_duration(spec_.timeout) + console_tail());
      }
      report();
      pause();
    }
    ready_ = Deadline::Clock::now() - started_;
    log_debug("guest ready after " + format_duration(ready_));
  }

  bool is_ready() {
    handle_events();
    switch (spec_.ready.kind) {
      case ReadySpec::Kind::none:
        return true;
      case ReadySpec::Kind::exit:
        return guest_shut_down_;
      case ReadySpec::Kind::serial:
        return serial_.matched_after_read();
      case ReadySpec::Kind::agent:
      case ReadySpec::Kind::ssh:
        return probe_->step();
    }
    return false;
  }

  void settle() {
    if (spec_.ready.kind == ReadySpec::Kind::exit) return;
    stage_ = BootStatus::Stage::settling;
    const Deadline end = Deadline::after(spec_.settle);
    while (!end.passed()) {
      handle_events();
      throw_if_ended();
      report();
      poll(nullptr, 0, end.sooner_of(Deadline::after(kTick)).poll_ms());
    }
  }

  void quit() {
    // A guest that shut down takes QEMU with it, perhaps before a command gets there.
    if (spec_.ready.kind != ReadySpec::Kind::exit) {
      qmp_->execute("stop", monitor_deadline());  // waits for the requests under way
      served_requests_ = count_requests();
      check_read_trace();
      qmp_->execute("quit", monitor_deadline());
    }
    const Deadline end = Deadline::after(kQuitPatience);
    std::optional<int> status;
    while (!(status = qemu_.wait(Deadline::after(kTick)))) {
      if (end.passed()) {
        throw Error(ExitStatus::environment, "QEMU did not end within " + format_duration(kQuitPatience));
      }
      report();
    }
    if (*status != 0) throw qemu_failed(*status);
    read_trace();
    check_trace();
  }

  /// The requests that the disk has served, by QEMU's own account.
  std::uint64_t count_requests() {
    if (spec_.guest.disk != Disk::virtio) return 0;  // QEMU's trace has those of virtio-blk alone
    std::uint64_t count = 0;
    for (const json& device : qmp_->execute("query-blockstats", monitor_deadline())) {
      if (!is_guest_disk(device.value("qdev", ""))) continue;
      for (const char* kind :
           {"rd_operations", "wr_operations", "failed_rd_operations", "failed_wr_operations"}) {
        count += device.at("stats").value(kind, std::uint64_t{0});
      }
    }
    return count;
  }

  void check_read_trace() {
    if (!spec_.driver_traces) return;
    for (const json& node : qmp_->execute("query-blockstats", {{"query-nodes", true}}, monitor_deadline())) {
      if (node.value("node-name", "") != kFilterNode) continue;
      if (node.at("driver-specific").at("trace-dropped").get<std::uint64_t>() == 0) return;
    }
    throw Error(ExitStatus::environment, "the trace of reads is incomplete; is '" +
                                             files_.folder.parent_path().string() +
                                             "' full? set TMPDIR to a roomier folder");
  }

  /// QEMU's log drops without a word what it cannot write.
  void check_trace() const {
    const std::size_t traced = trace_.requests().size();
    const std::string folder = files_.folder.parent_path().string();
    if (served_requests_ && traced < *served_requests_) {
      throw Error(ExitStatus::environment, "the boot trace is incomplete: it has " + std::to_string(traced) +
                                               " of " + std::to_string(*served_requests_) +
                                               " requests; is '" + folder +
                                               "' full? set TMPDIR to a roomier folder");
    }
    if (!served_requests_ && free_bytes(files_.folder) < 1 * MiB) {
      throw Error(ExitStatus::environment, "the boot trace may be incomplete: '" + folder +
                                               "' is full; set TMPDIR to a roomier folder");
    }
  }

  BootRun result() const {
    BootRun run{.requests = trace_.requests(), .ready = ready_};
    run.base_reads.reserve(base_reads_.size());
    for (const BaseRead& read : base_reads_) {
      run.base_reads.push_back(
          {.time_us = read.time_us - start_us_, .offset = read.offset, .bytes = read.bytes});
    }
    for (GuestRequest& request : run.requests) {
      request.submit_us -= start_us_;
      if (request.complete_us != GuestRequest::kUnderWay) request.complete_us -= start_us_;
    }
    return run;
  }

  void handle_events() {
    while (const std::optional<json> event = qmp_->poll_event()) {
      const std::string name = event->value("event", "");
      const json data = event->value("data", json::object());
      if (name == "RESUME" && start_us_ == 0) {
        const json& time = event->at("timestamp");
        start_us_ =
            time.at("seconds").get<std::int64_t>() * 1'000'000 + time.at("microseconds").get<std::int64_t>();
      } else if (name == "SHUTDOWN") {
        handle_shutdown(data.value("reason", ""));
      } else if (name == "GUEST_PANICKED") {
        throw Error(ExitStatus::vm_failed, "the guest's kernel panicked" + console_tail());
      } else if (name == "BLOCK_IO_ERROR") {
        handle_io_error(data);
      }
    }
  }

  void handle_shutdown(const std::string& reason) {
    // microvm has no other way to power off that every guest knows.
    const bool reset_is_power_off = spec_.guest.machine == Machine::microvm;
    guest_shut_down_ = reason == "guest-shutdown" || (reason == "guest-reset" && reset_is_power_off);
    if (guest_shut_down_ && spec_.ready.kind == ReadySpec::Kind::exit) return;
    if (!reason.starts_with("guest")) return;  // QEMU's end is reported with its status
    throw Error(ExitStatus::vm_failed,
                std::string("the guest ") + (reason == "guest-reset" ? "reset itself" : "shut itself down") +
                    (stage_ == BootStatus::Stage::settling ? " while it settled" : " before it was ready") +
                    console_tail());
  }

  [[noreturn]] void handle_io_error(const json& data) {
    if (data.value("nospace", false)) {
      throw Error(ExitStatus::environment, "no space left in '" + files_.folder.parent_path().string() +
                                               "' for what the guest writes; set TMPDIR to a roomier folder");
    }
    throw Error(ExitStatus::unusable, "image '" + spec_.image.url + "': the guest's " +
                                          data.value("operation", "access") +
                                          " failed: " + data.value("reason", "no reason given"));
  }

  void throw_if_ended() {
    if (!qemu_.running()) return;
    const std::optional<int> status = qemu_.wait(Deadline::after(0ms));
    if (!status) return;
    if (qmp_) handle_events();  // the guest's own doing comes first
    throw qemu_failed(*status);
  }

  /// A monitor that closes belongs to a QEMU that is about to end, whose own words say more.
  void explain_closed_monitor(const Error& error) {
    const bool closed = !qmp_ || qmp_->closed();
    if (error.status() != ExitStatus::environment || !closed || !qemu_.running()) return;
    if (const std::optional<int> status = qemu_.wait(Deadline::after(5s))) throw qemu_failed(*status);
  }

  Error qemu_failed(int status) const {
    std::string text = "QEMU ended (" + describe_wait_status(status) + ")";
    const std::string printed = printable_tail(read_text(files_.stderr_log), 20);
    text += printed.empty() ? " and printed nothing" : "; it printed:\n" + printed;
    const std::string console = serial_.last_lines(kConsoleLines);
    if (!console.empty()) text += "\nThe end of the guest's console:\n" + console;
    return {ExitStatus::environment, text};
  }

  std::string console_tail() const {
    const std::string tail = serial_.last_lines(kConsoleLines);
    return tail.empty() ? "; its console stayed empty" : "; the end of its console:\n" + tail;
  }

  Deadline monitor_deadline() const { return Deadline::after(kMonitorPatience); }

  void pause() {
    pollfd items[3] = {{qmp_->fd(), POLLIN, 0}, {qemu_.pidfd().get(), POLLIN, 0}, {-1, 0, 0}};
    Deadline wake = deadline_.sooner_of(Deadline::after(kTick));
    if (probe_) {
      items[2] = {probe_->fd(), probe_->events(), 0};
      wake = wake.sooner_of(probe_->wake_at());
    }
    // A monitor that is closed for good would wake us at once; QEMU's end is what we then wait for.
    if (qmp_->closed()) items[0].fd = -1;
    ::poll(items, 3, wake.poll_ms());
  }

  void report() {
    if (!progress_ || !next_report_.passed()) return;
    next_report_ = Deadline::after(kReportEvery);
    read_trace();
    progress_(
        {.stage = stage_,
         .elapsed = stage_ == BootStatus::Stage::starting ? Seconds(0) : Deadline::Clock::now() - started_,
         .base_bytes = base_bytes_,
         .console = serial_.last_lines(1)});
  }

  void read_trace() {
    read_on(trace_file_, files_.trace, [this](std::span<const char> piece) {
      trace_.feed({piece.data(), piece.size()});
    });
    if (spec_.driver_traces) {
      read_on(read_trace_file_, files_.read_trace,
              [this](std::span<const char> piece) { read_trace_.feed(std::as_bytes(piece)); });
    }
    take_base_reads();
  }

  /// What has been appended to the file since the last time.
  static void read_on(Fd& file, const fs::path& path,
                      const std::function<void(std::span<const char>)>& feed) {
    if (!file) {
      file.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
      if (!file) return;
    }
    std::array<char, 65536> chunk;
    ssize_t n = 0;
    while ((n = read(file.get(), chunk.data(), chunk.size())) > 0)
      feed(std::span<const char>(chunk).first(static_cast<std::size_t>(n)));
    if (n < 0) throw_errno(ExitStatus::environment, "cannot read the boot trace '" + path.string() + "'");
  }

  void take_base_reads() {
    const auto take = [this](const BaseRead& read) {
      base_reads_.push_back(read);
      base_bytes_ += read.bytes;
    };
    const auto& extents = read_trace_.extents();
    for (; taken_extents_ < extents.size(); ++taken_extents_) {
      const ReadTrace::Extent& extent = extents[taken_extents_];
      // Without a cache the base itself is below the filter, and is read for holes too.
      if (spec_.cache.empty() || extent.source == ReadTrace::Extent::Source::base) take(extent.read);
    }
    for (; taken_reads_ < trace_.base_reads().size(); ++taken_reads_) take(trace_.base_reads()[taken_reads_]);
  }

  const BootSpec& spec_;
  GuestSpec guest_;
  const BootProgress& progress_;
  TempFolder folder_;
  Fd stamp_;
  BootFiles files_;
  SerialWatch serial_;
  BootTrace trace_;
  Fd trace_file_;
  std::size_t taken_reads_ = 0;  ///< of trace_
  ReadTrace read_trace_;
  Fd read_trace_file_;
  std::size_t taken_extents_ = 0;  ///< of read_trace_
  std::vector<BaseRead> base_reads_;
  Bytes base_bytes_ = 0;
  Deadline deadline_;
  Child qemu_;  ///< behind folder_, so that QEMU has ended before its folder goes
  Fd monitor_;  ///< until qmp_ has it
  std::optional<Qmp> qmp_;
  std::unique_ptr<Probe> probe_;
  BootStatus::Stage stage_ = BootStatus::Stage::starting;
  Deadline next_report_ = Deadline::after(0ms);
  Deadline::Clock::time_point started_;
  std::int64_t start_us_ = 0;  ///< wall clock of the guest's start
  Seconds ready_{0};
  std::optional<std::uint64_t> served_requests_;  ///< nothing when QEMU ended with its guest
  bool guest_shut_down_ = false;
};

}  // namespace

BootRun boot_once(const BootSpec& spec, const BootProgress& progress) {
  return Boot(spec, progress).run();
}

}  // namespace vmi
