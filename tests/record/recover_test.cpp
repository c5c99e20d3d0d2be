// SPDX-License-Identifier: Apache-2.0
#include "launcher/record/recover.hpp"

#include "cachegen/hdf5/table.hpp"
#include "cachegen/support/owner.hpp"
#include "launcher/record/events.hpp"
#include "launcher/record/schema.hpp"
#include "tests/record/same.hpp"
#include "tests/record/sample.hpp"

#include <csignal>
#include <thread>

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vmi;

namespace {

std::string dead_header(const fs::path& output) {
  Owner owner = Owner::self();
  owner.start_ticks += 1;
  return to_line(to_event(JournalHeader{.owner = owner, .output = output.string()}));
}

/// Runs `act` in a child process that SIGKILL ends: by itself, or after `kill_after` when that is not zero.
template <class Act>
void in_killed_child(std::chrono::microseconds kill_after, Act act) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    act();
    raise(SIGKILL);
  }
  if (kill_after.count() > 0) {
    std::this_thread::sleep_for(kill_after);  // where in its work the child is hit is left to chance
    kill(child, SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
}

}  // namespace

TEST_CASE("a journal that was cut anywhere in its last two lines recovers") {
  const TempFolder folder(temp_root(), "recover-test-");
  const fs::path journal = folder.path() / "run.h5.journal";
  const fs::path output = folder.path() / "run.h5";
  const std::string before =
      dead_header(output) + to_line(to_event(VmRow{.name = "vm0", .state = "ready", .t_ready = 3}));
  const std::string first = to_line(to_event(VmRow{.name = "größe", .state = "running", .t_running = 1.5}));
  const std::string second = to_line(to_event(VmRow{.name = "größe", .state = "ready", .t_ready = 4.5}));
  const std::string whole = before + first + second;

  for (std::size_t size = before.size(); size <= whole.size(); ++size) {
    write_text_atomically(journal, whole.substr(0, size));
    const Recovery recovery = recover(journal, output);
    CHECK_FALSE(recovery.record.complete);
    CHECK(recovery.record.journal_lines_lost == 0);
    CHECK(recovery.journal_removed);
    const auto vms = h5::read_table(h5::File::open(output), vm_schema());
    // An event counts from its last brace on; the newline behind it may be missing.
    const bool has_first = size + 1 >= before.size() + first.size();
    const bool has_second = size + 1 >= whole.size();
    REQUIRE(vms.size() == (has_first ? 2 : 1));
    CHECK(vms[0].t_ready == 3);
    if (has_first) {
      CHECK(vms[1].state == (has_second ? "ready" : "running"));
      CHECK(same_value(vms[1].t_ready, has_second ? 4.5 : kUnknownTime));
    }
  }
}

TEST_CASE("a recovered record equals the one that a normal end writes") {
  const TempFolder folder(temp_root(), "recover-test-");
  const SampleOptions options;
  const fs::path normal = folder.path() / "normal.h5";
  const fs::path killed = folder.path() / "killed.h5";
  Journal journal = Journal::create(normal, sample_attributes(options));
  tell_sample(journal, options);
  tell_sample_end(journal, options);
  journal.finish();
  in_killed_child({}, [&] {
    Journal mortal = Journal::create(killed, sample_attributes(options));
    tell_sample(mortal, options);
    tell_sample_end(mortal, options);
    raise(SIGKILL);
  });
  CHECK_FALSE(fs::exists(killed));

  const Recovery recovery = recover(folder.path() / "killed.h5.journal", std::nullopt);
  CHECK(recovery.output == fs::canonical(killed));
  CHECK(recovery.record.complete);
  CHECK(read_text(killed) == read_text(normal));
}

TEST_CASE("a launch that is killed while it writes events leaves every event that it had reported") {
  const TempFolder folder(temp_root(), "recover-test-");
  for (int round = 0; round < 20; ++round) {
    const fs::path output = folder.path() / ("run" + std::to_string(round) + ".h5");
    in_killed_child(std::chrono::microseconds(2000 + 1700 * round), [&] {
      Journal journal = Journal::create(output, {});
      for (std::int64_t i = 0;; ++i) {
        journal.vm({.name = "vm" + std::to_string(i % 100), .rank = i, .error = std::string(200, 'x')});
      }
    });
    const fs::path journal = output.string() + ".journal";
    if (!fs::exists(journal) || fs::file_size(journal) == 0) continue;  // killed before its first line
    const RunRecord record = recover(journal, std::nullopt).record;
    CHECK(record.journal_lines_lost == 0);
    // The VMs were told of in turn, so their last numbers are consecutive.
    std::int64_t least = INT64_MAX;
    std::int64_t most = -1;
    for (const VmRow& vm : record.vms) {
      least = std::min(least, vm.rank);
      most = std::max(most, vm.rank);
    }
    if (!record.vms.empty()) CHECK(most - least + 1 == static_cast<std::int64_t>(record.vms.size()));
  }
}

TEST_CASE("lines that cannot be read in a journal's middle are counted and passed over") {
  const TempFolder folder(temp_root(), "recover-test-");
  const fs::path journal = folder.path() / "run.h5.journal";
  write_text_atomically(journal, dead_header(folder.path() / "run.h5") +
                                     "garbage\n{\"event\":\"vm\"}\n{\"event\":\"vm\",\"name\":3}\n" +
                                     "[]\n\n{\"event\":\"from the future\"}\n" +
                                     to_line(to_event(VmRow{.name = "vm0", .t_ready = 3})));
  const Recovery recovery = recover(journal, std::nullopt);
  CHECK(recovery.record.journal_lines_lost == 6);
  REQUIRE(recovery.record.vms.size() == 1);
  CHECK(recovery.record.vms[0].t_ready == 3);
  CHECK(h5::File::open(recovery.output).integer_attribute("journal_lines_lost") == 6);
}

TEST_CASE("what is no journal, or one in use, is not recovered, and is named") {
  const TempFolder folder(temp_root(), "recover-test-");
  const fs::path journal = folder.path() / "run.h5.journal";
  using Catch::Contains;
  CHECK_THROWS_WITH(recover(journal, std::nullopt), Contains("run.h5.journal': No such file"));
  write_text_atomically(journal, "");
  CHECK_THROWS_WITH(recover(journal, std::nullopt), Contains("is no journal of vmilaunch"));
  write_text_atomically(journal, "{\"event\":\"journal\",\"schema_version\":\"1\"}\n");
  CHECK_THROWS_WITH(recover(journal, std::nullopt), Contains("is no journal of vmilaunch"));
  write_text_atomically(journal,
                        to_line(to_event(JournalHeader{.schema_version = 99, .owner = Owner::self()})));
  CHECK_THROWS_WITH(recover(journal, std::nullopt), Contains("schema version 99"));
  write_text_atomically(journal, to_line(to_event(JournalHeader{.owner = Owner::self()})));
  CHECK_THROWS_WITH(recover(journal, std::nullopt), Contains("still runs"));
}

TEST_CASE("a FIFO is neither recovered nor waited for") {
  const TempFolder folder(temp_root(), "recover-test-");
  const fs::path journal = folder.path() / "run.h5.journal";
  REQUIRE(mkfifo(journal.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(recover(journal, std::nullopt), Catch::Contains("run.h5.journal' is no file"));
}

TEST_CASE("a running launch's journal shows what is known by now, and stays") {
  const TempFolder folder(temp_root(), "recover-test-");
  const SampleOptions options;
  Journal journal = Journal::create(folder.path() / "run.h5", sample_attributes(options));
  tell_sample(journal, options);
  const std::string before = read_text(journal.path());

  const Glimpse glimpse = peek(journal.path(), folder.path() / "so-far.h5");
  CHECK(glimpse.state == Owner::State::alive);
  CHECK(glimpse.writer.pid == getpid());
  const h5::File record = h5::File::open(folder.path() / "so-far.h5");
  CHECK(record.integer_attribute("complete") == 0);
  const auto vms = h5::read_table(record, vm_schema());
  REQUIRE(vms.size() == 8);
  CHECK(vms[7].state == "running");

  CHECK(read_text(journal.path()) == before);
  tell_sample_end(journal, options);
  journal.finish();
  CHECK(h5::File::open(folder.path() / "run.h5").integer_attribute("complete") == 1);
}

TEST_CASE("recovery does not replace a record unless that is asked for") {
  const TempFolder folder(temp_root(), "recover-test-");
  const fs::path journal = folder.path() / "run.h5.journal";
  Journal::create(folder.path() / "run.h5", {}).finish();
  const std::string earlier = read_text(folder.path() / "run.h5");
  write_text_atomically(journal, dead_header(folder.path() / "run.h5"));
  CHECK_THROWS_WITH(recover(journal, std::nullopt), Catch::Contains("exists") && Catch::Contains("--output"));
  CHECK(read_text(folder.path() / "run.h5") == earlier);
  CHECK(fs::exists(journal));
  CHECK(recover(journal, folder.path() / "run.h5").journal_removed);
}

TEST_CASE("the journal stays when its launch may still live on another machine") {
  const TempFolder folder(temp_root(), "recover-test-");
  const fs::path journal = folder.path() / "run.h5.journal";
  Owner owner = Owner::self();
  owner.host = "some-other-host";
  write_text_atomically(journal, to_line(to_event(JournalHeader{.owner = owner})));
  CHECK_FALSE(recover(journal, std::nullopt).journal_removed);
  CHECK(fs::exists(journal));
}
