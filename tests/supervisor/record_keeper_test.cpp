// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/record_keeper.hpp"

#include "cachegen/support/process.hpp"
#include "launcher/record/journal_path.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::supervisor;
using namespace std::chrono_literals;

namespace {

/// A process that acts as the rank, and the journal that it left in `folder`.
struct DyingRank {
  TempFolder folder{temp_root(), "record-keeper-"};
  fs::path output = folder.path() / "run.h5";
  fs::path journal = journal_of(output);
  Child rank = spawn({"sleep", "600"});
  Owner owner = Owner::of(rank.pid()).value();

  DyingRank() {
    write_text_atomically(journal, to_line(to_event(JournalHeader{.owner = owner, .output = output})) +
                                       to_line(to_event(VmRow{.name = "vm0", .state = "running"})));
  }
};

}  // namespace

TEST_CASE("the journal of a rank that was killed becomes its record, and what it had begun to write goes") {
  DyingRank dying;
  const std::string earlier = "\x89HDF\r\n\x1a\njournal_lines_lost, as an earlier record begins";
  write_text_atomically(dying.output, earlier);
  const fs::path begun = temporary_name(dying.output, dying.owner.pid);
  write_text_atomically(begun, "half a reco");
  RecordKeeper keeper(dying.journal);
  dying.rank.kill_and_reap();
  CHECK(keeper.finish(Deadline::after(20s)));
  CHECK(read_text(dying.output).starts_with("\x89HDF"));
  CHECK(read_text(dying.output) != earlier);
  CHECK_FALSE(fs::exists(dying.journal));
  CHECK_FALSE(fs::exists(begun));
}

TEST_CASE("the journal of a rank that lives is left alone") {
  DyingRank dying;
  RecordKeeper keeper(dying.journal);
  CHECK(keeper.finish(Deadline::after(20s)));
  CHECK(fs::exists(dying.journal));
  CHECK_FALSE(fs::exists(dying.output));
}

TEST_CASE("a record that was finished, and another launch's journal, are left alone") {
  DyingRank dying;
  RecordKeeper keeper(dying.journal);
  dying.rank.kill_and_reap();
  fs::remove(dying.journal);
  CHECK(keeper.finish(Deadline::after(20s)));
  CHECK_FALSE(fs::exists(dying.output));

  Owner other = dying.owner;
  other.start_ticks += 1;
  write_text_atomically(dying.journal, to_line(to_event(JournalHeader{.owner = other, .output = "x"})));
  CHECK(keeper.finish(Deadline::after(20s)));
  CHECK(fs::exists(dying.journal));
}
