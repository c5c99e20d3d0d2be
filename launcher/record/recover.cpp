// SPDX-License-Identifier: Apache-2.0
#include "launcher/record/recover.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/record/events.hpp"
#include "launcher/record/journal_path.hpp"
#include "launcher/record/record_file.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace vmi {
namespace {

fs::path default_output(const fs::path& journal) {
  if (journal.extension() != ".journal") {
    throw Error(ExitStatus::usage,
                "'" + journal.string() + "' is not named *.journal; name the record to write with --output");
  }
  fs::path output = journal;
  output.replace_extension();
  if (fs::exists(output)) {
    throw Error(ExitStatus::environment,
                "cannot write the record '" + output.string() +
                    "': it exists, perhaps of another launch; name the record to write with --output");
  }
  return output;
}

struct JournalText {
  Fd file;
  std::string text;
  JournalHeader header;

  RunRecord record() const {
    Replay replay;
    replay.text(text);
    return replay.record();
  }
};

JournalText read_journal(const fs::path& path) {
  Fd file = open_journal(path);
  std::string text = read_text(file, path);
  const std::optional<JournalHeader> header = parse_header(std::string_view(text).substr(0, text.find('\n')));
  if (!header)
    throw Error(ExitStatus::unusable,
                "'" + path.string() + "' is no journal of vmilaunch: its first line is no header");
  return {.file = std::move(file), .text = std::move(text), .header = *header};
}

}  // namespace

Recovery recover(const fs::path& journal, const std::optional<fs::path>& output) {
  const JournalText known = read_journal(journal);
  const Owner::State owner = known.header.owner.state();
  if (owner == Owner::State::alive) {
    throw Error(ExitStatus::environment, "the launch that writes '" + journal.string() +
                                             "' still runs (process " +
                                             std::to_string(known.header.owner.pid) +
                                             "); its record is written when it ends; 'vmireport " +
                                             journal.string() + "' shows what it has done so far");
  }

  Recovery recovery{.record = known.record(),
                    .output = checked_output(output ? *output : default_output(journal))};
  write_record(recovery.record, recovery.output);

  // Only what surely nobody writes to any more, and what is wholly in the record, may go.
  if (owner == Owner::State::dead || recovery.record.complete) {
    // Another launch may have moved it aside meanwhile, and started its own under this name.
    recovery.journal_removed = !is_same_file(known.file, journal) || unlink(journal.c_str()) == 0;
    if (!recovery.journal_removed)
      log_warning("cannot remove '" + journal.string() + "': " + errno_text(errno));
  }
  return recovery;
}

Glimpse peek(const fs::path& journal, const fs::path& output) {
  const JournalText known = read_journal(journal);
  Glimpse glimpse{.writer = known.header.owner, .state = known.header.owner.state()};
  write_record(known.record(), output);
  return glimpse;
}

}  // namespace vmi
