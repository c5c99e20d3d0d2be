// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/record_keeper.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/record/journal_path.hpp"
#include "launcher/record/recover.hpp"

#include <algorithm>
#include <future>
#include <memory>
#include <thread>

#include <unistd.h>

namespace vmi::supervisor {
namespace {

using namespace std::chrono_literals;

/// The socket of a process that dies closes a little before the process is gone; a rank that lives on waits
/// for us meanwhile.
constexpr auto kDying = 500ms;

/// Whether the journal there is still the one with this header: another launch may have moved it aside.
bool is_there(const fs::path& journal, const Owner& owner) {
  std::error_code error;
  if (!fs::exists(journal, error)) return false;
  const std::optional<JournalHeader> header = read_header(journal);
  return header && header->owner.to_text() == owner.to_text();
}

void finish_record(const fs::path& journal, const JournalHeader& header) {
  const Deadline gone = Deadline::after(kDying);
  while (is_there(journal, header.owner)) {
    if (header.owner.state() == Owner::State::dead) {
      const Recovery recovery = recover(journal, header.output);
      log_warning("this rank died before it wrote its record; '" + recovery.output.string() +
                  "' was made of its journal");
      std::error_code ignored;  // what it was writing, if it was
      fs::remove(temporary_name(header.output, header.owner.pid), ignored);
      return;
    }
    if (gone.passed()) return;
    std::this_thread::sleep_for(std::min<Deadline::Clock::duration>(5ms, gone.left()));
  }
}

}  // namespace

RecordKeeper::RecordKeeper(fs::path journal) : journal_(std::move(journal)) {
  std::optional<JournalHeader> header = read_header(journal_);
  if (!header) throw Error(ExitStatus::environment, "'" + journal_.string() + "' is no journal of vmilaunch");
  header_ = std::move(*header);
}

bool RecordKeeper::finish(Deadline deadline) {
  std::promise<void> promise;
  const std::future<void> done = promise.get_future();
  std::thread([journal = journal_, header = header_, promise = std::move(promise)]() mutable {
    try {
      finish_record(journal, header);
    } catch (const std::exception& error) {
      log_warning("cannot make the record of '" + journal.string() + "': " + error.what());
    }
    promise.set_value();
  }).detach();
  return done.wait_for(deadline.left()) == std::future_status::ready;
}

}  // namespace vmi::supervisor
