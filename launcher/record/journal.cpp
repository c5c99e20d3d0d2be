// SPDX-License-Identifier: Apache-2.0
#include "launcher/record/journal.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/record/events.hpp"
#include "launcher/record/journal_path.hpp"
#include "launcher/record/record_file.hpp"
#include "launcher/record/sync_thread.hpp"

#include <optional>

#include <fcntl.h>
#include <unistd.h>

namespace vmi {
namespace {

using Clock = std::chrono::steady_clock;

/// Half of the second that is promised: the other half is for pumps that come late.
constexpr auto kSyncInterval = std::chrono::milliseconds(500);

}  // namespace

struct Journal::State {
  fs::path output;
  fs::path path;
  JournalHooks hooks;
  Fd file;
  Bytes written = 0;    ///< bytes of the file that hold whole or begun lines
  std::string pending;  ///< what has still to be written after them
  bool warned = false;  ///< about `pending` staying
  std::optional<Clock::time_point> unsynced_since;
  Replay replay;                          ///< of every line, written or not
  std::optional<SyncThread> sync_thread;  ///< last: it uses `file`

  Clock::time_point now() const { return hooks.now ? hooks.now() : Clock::now(); }

  void add(const nlohmann::json& event) {
    std::string line = to_line(event);
    replay.line(std::string_view(line).substr(0, line.size() - 1));
    pending += line;
  }

  /// Adds one event and passes it to the system, which keeps it whatever becomes of this process.
  void append(const nlohmann::json& event) {
    add(event);
    pump();
  }

  void pump() {
    write_pending();
    sync_when_due();
  }

  void write_pending();
  void sync_when_due();
  void remove_if_ours() const;
};

void Journal::State::write_pending() {
  while (!pending.empty()) {
    const ssize_t n = pwrite(file.get(), pending.data(), pending.size(), static_cast<off_t>(written));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      if (!warned) {
        log_warning(
            "cannot write the journal '" + path.string() + "': " + errno_text(errno) +
            "; the launch goes on and tries again, but what happens meanwhile is lost if it is killed");
      }
      warned = true;
      return;
    }
    if (!unsynced_since) unsynced_since = now();
    written += static_cast<Bytes>(n);
    pending.erase(0, static_cast<std::size_t>(n));
  }
  warned = false;
}

void Journal::State::sync_when_due() {
  if (unsynced_since && now() - *unsynced_since >= kSyncInterval) {
    unsynced_since.reset();
    if (hooks.sync) {
      hooks.sync(file.get());
    } else {
      sync_thread->request(file.get());
    }
  }
  const int error_number = sync_thread ? sync_thread->take_error() : 0;
  if (error_number != 0) {
    log_warning("cannot sync the journal '" + path.string() + "': " + errno_text(error_number) +
                "; events may be lost if this machine fails");
  }
}

/// Another launch may have moved our journal aside, believing us dead, and started its own.
void Journal::State::remove_if_ours() const {
  if (!is_same_file(file, path)) return;
  if (unlink(path.c_str()) != 0) {
    log_warning("cannot remove the journal '" + path.string() +
                "' of the finished record: " + errno_text(errno));
  }
}

Journal::Journal(std::unique_ptr<State> state) : state_(std::move(state)) {
}
Journal::Journal(Journal&&) noexcept = default;
Journal& Journal::operator=(Journal&&) noexcept = default;
Journal::~Journal() = default;

Journal Journal::create(const fs::path& output, const RunAttributes& attributes, JournalHooks hooks) {
  auto state = std::make_unique<State>();
  state->output = checked_output(output);
  state->path = journal_of(state->output);
  state->hooks = std::move(hooks);
  state->file = create_journal_file(state->path, state->output);

  // The first lines are written and synced here and now, so that a full disk or a spent quota is met before
  // any VM.
  const std::string header =
      to_line(to_event(JournalHeader{.owner = Owner::self(), .output = state->output.string()}));
  try {
    pwrite_all(state->file, std::as_bytes(std::span(header)), 0, state->path);
    state->written = header.size();
    if (fdatasync(state->file.get()) != 0)
      throw_errno(ExitStatus::environment, "cannot sync '" + state->path.string() + "'");
  } catch (const Error& error) {
    state->remove_if_ours();
    throw Error(error.status(), std::string(error.what()) + "; free space there or choose another --output");
  }
  if (!state->hooks.sync) state->sync_thread.emplace();
  state->append(to_event(attributes));
  return Journal(std::move(state));
}

void Journal::attributes(const RunAttributes& known) {
  state_->append(to_event(known));
}
void Journal::image(const ImageRow& known) {
  state_->append(to_event(known));
}
void Journal::node(const NodeRow& known) {
  state_->append(to_event(known));
}
void Journal::vm(const VmRow& known) {
  state_->append(to_event(known));
}
void Journal::phase_begin(const std::string& name, double t) {
  state_->append(phase_begin_event(name, t));
}
void Journal::phase_end(const std::string& name, double t) {
  state_->append(phase_end_event(name, t));
}
void Journal::error(const ErrorRow& error) {
  state_->append(to_event(error));
}
void Journal::end(const RunEnd& end) {
  state_->append(to_event(end));
}

void Journal::boot_trace(std::span<const BootTraceRow> rows) {
  for (const BootTraceRow& row : rows) state_->add(to_event(row));
  state_->pump();
}

void Journal::tick() {
  state_->pump();
}

void Journal::finish() {
  state_->write_pending();
  try {
    write_record(state_->replay.record(), state_->output);
  } catch (const Error& error) {
    throw Error(error.status(),
                "cannot write the record: " + std::string(error.what()) +
                    (state_->pending.empty()
                         ? "; when that is mended, 'vmireport --recover " + state_->path.string() +
                               "' writes it from the journal"
                         : "; the journal '" + state_->path.string() + "' lacks the last events too"));
  }
  state_->remove_if_ours();
}

const fs::path& Journal::output() const {
  return state_->output;
}
const fs::path& Journal::path() const {
  return state_->path;
}

}  // namespace vmi
