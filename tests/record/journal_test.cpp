// SPDX-License-Identifier: Apache-2.0
#include "launcher/record/journal.hpp"

#include "cachegen/hdf5/table.hpp"
#include "cachegen/support/log.hpp"
#include "cachegen/support/owner.hpp"
#include "launcher/record/events.hpp"
#include "launcher/record/journal_path.hpp"
#include "launcher/record/schema.hpp"
#include "tests/record/same.hpp"
#include "tests/record/sample.hpp"

#include <csignal>
#include <thread>

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vmi;
using std::chrono::milliseconds;

namespace {

struct Folder {
  TempFolder folder{temp_root(), "journal-test-"};
  fs::path output = folder.path() / "run.h5";
  fs::path journal = folder.path() / "run.h5.journal";
};

/// What the library logs while it lives.
struct LogCapture {
  std::string text;
  LogCapture() {
    log_sink([this](LogLevel, std::string_view line) { text += std::string(line) + "\n"; });
  }
  ~LogCapture() { log_sink({}); }
};

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

template <class Row>
std::vector<Row> table(const fs::path& path, const TableSchema<Row>& schema) {
  return h5::read_table(h5::File::open(path), schema);
}

/// The first line of a journal whose owner is another process than this one.
std::string header_of(const Owner& owner, const fs::path& output) {
  return to_line(to_event(JournalHeader{.owner = owner, .output = output.string()}));
}

Owner dead_owner() {
  Owner owner = Owner::self();
  owner.start_ticks += 1;  // this pid belonged to somebody else before
  return owner;
}

/// The soft limit on a file's size, back to what it was at the end.
struct FileSizeLimit {
  rlimit before{};
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit now{bytes, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() { lift(); }
  void lift() const { setrlimit(RLIMIT_FSIZE, &before); }
};

}  // namespace

TEST_CASE("a launch that ends leaves its record and no journal") {
  const Folder in;
  const SampleOptions options;
  Journal journal = Journal::create(in.output, sample_attributes(options));
  tell_sample(journal, options);
  CHECK_FALSE(fs::exists(in.output));
  tell_sample_end(journal, options);
  journal.finish();
  CHECK(names_in(in.folder.path()) == std::vector<std::string>{"run.h5"});

  const auto vms = table(in.output, vm_schema());
  REQUIRE(vms.size() == 8);
  CHECK(vms[0].state == "ready");
  CHECK(vms[0].t_prepare == 0.2);   // from an early event
  CHECK(vms[0].t_stopped == 10.6);  // from a late one
  CHECK(vms[7].state == "failed");
  CHECK_THAT(vms[7].error, Catch::Contains("größer"));
  CHECK(std::isnan(vms[7].t_ready));
  const auto images = table(in.output, image_schema());
  REQUIRE(images.size() == 1);
  CHECK(images[0].format == "qcow2");
  CHECK(images[0].cached_bytes == 38'000'000);
  CHECK(table(in.output, node_schema()).size() == 2);
  CHECK(table(in.output, boot_trace_schema()).size() == 20);
  CHECK(table(in.output, error_schema()).size() == 1);
  const auto phases = table(in.output, phase_schema());
  REQUIRE(phases.size() == 6);
  CHECK(phases[1].name == "distribute");
  CHECK(phases[1].t_end == 0.4);

  const h5::File file = h5::File::open(in.output);
  CHECK(file.integer_attribute("schema_version") == kRecordSchemaVersion);
  CHECK(file.integer_attribute("complete") == 1);
  CHECK(file.text_attribute("outcome") == "vm_failed");
  CHECK(file.integer_attribute("exit_status") == 1);
  CHECK(file.text_attribute("qemu_version") == "7.2.9");
  CHECK(file.text_attribute("note.link") == "1 Gbit/s");
}

TEST_CASE("a launch that never says how it ended is marked as unfinished") {
  const Folder in;
  Journal journal = Journal::create(in.output, {});
  journal.vm({.name = "vm0", .state = vm_state::running, .t_running = 1});
  journal.phase_begin("ready", 1);
  journal.finish();
  const h5::File file = h5::File::open(in.output);
  CHECK(file.integer_attribute("complete") == 0);
  CHECK(file.text_attribute("outcome") == "unfinished");
  CHECK(file.integer_attribute("exit_status") == -1);
  CHECK(std::isnan(table(in.output, phase_schema())[0].t_end));
}

TEST_CASE("texts that are no UTF-8, hold NUL bytes or newlines do not harm the journal") {
  const Folder in;
  Journal journal = Journal::create(in.output, {});
  journal.vm({.name = "vm0", .error = std::string("a\0b\xff\n\x1b[0m", 9)});
  journal.finish();
  CHECK(table(in.output, vm_schema())[0].error ==
        "a\xEF\xBF\xBD"
        "b\xEF\xBF\xBD\n\x1b[0m");
  CHECK(h5::File::open(in.output).integer_attribute("journal_lines_lost") == 0);
}

TEST_CASE("every event is with the system at once and synced within a second") {
  const Folder in;
  std::chrono::steady_clock::time_point now{};
  int syncs = 0;
  Journal journal =
      Journal::create(in.output, {}, {.now = [&] { return now; }, .sync = [&](int) { ++syncs; }});
  std::chrono::steady_clock::time_point unsynced_since{};
  bool unsynced = true;
  std::chrono::nanoseconds longest{};
  for (int i = 0; i < 400; ++i) {
    const int before = syncs;
    now += milliseconds(20);
    if (i % 3 == 0) {
      const auto size = fs::file_size(in.journal);
      journal.vm({.name = "vm0", .t_running = 0.02 * i});
      CHECK(fs::file_size(in.journal) > size);
      if (!unsynced) unsynced_since = now;
      unsynced = true;
    } else {
      journal.tick();
    }
    if (unsynced) longest = std::max<std::chrono::nanoseconds>(longest, now - unsynced_since);
    if (syncs > before) unsynced = false;
  }
  CHECK(longest <= milliseconds(1000));
  CHECK(syncs > 7);
  CHECK(syncs < 20);

  // Nothing happens: nothing to sync.
  now += milliseconds(1000);
  journal.tick();
  const int quiet = syncs;
  for (int i = 0; i < 100; ++i) {
    now += milliseconds(100);
    journal.tick();
  }
  CHECK(syncs == quiet);
}

TEST_CASE("the thread that syncs can be started and ended with a sync under way") {
  const Folder in;
  for (int i = 0; i < 20; ++i) {
    std::chrono::steady_clock::time_point now{};
    Journal journal = Journal::create(in.output, {}, {.now = [&] { return now; }});
    now += milliseconds(600);
    journal.vm({.name = "vm0"});
    journal.tick();
    if (i % 2 == 0) std::this_thread::yield();
    journal.finish();
  }
  CHECK(names_in(in.folder.path()) == std::vector<std::string>{"run.h5"});
}

TEST_CASE("an output that cannot be written is found at the start, with a remedy") {
  const Folder in;
  const auto create = [](const fs::path& output) { Journal::create(output, {}); };
  using Catch::Contains;
  CHECK_THROWS_WITH(create(""), Contains("path is empty") && Contains("--output"));
  CHECK_THROWS_WITH(create(in.folder.path()), Contains("is a folder") && Contains("--output"));
  CHECK_THROWS_WITH(create("/dev/null"), Contains("/dev/null") && Contains("no regular file"));
  CHECK_THROWS_WITH(create(in.folder.path() / "no" / "run.h5"),
                    Contains("there is no folder") && Contains("make it"));
  CHECK_THROWS_WITH(create(in.folder.path() / std::string(250, 'x')), Contains("too long"));
  CHECK_THROWS_WITH(create("/proc/run.h5"), Contains("/proc") && Contains("cannot be created"));
  CHECK(names_in(in.folder.path()).empty());
}

TEST_CASE("a record of an earlier launch stays until the new one is whole") {
  const Folder in;
  Journal::create(in.output, {}).finish();
  const std::string old_record = read_text(in.output);
  Journal journal = Journal::create(in.output, {});
  journal.vm({.name = "vm0"});
  CHECK(read_text(in.output) == old_record);
  journal.finish();
  CHECK(table(in.output, vm_schema()).size() == 1);
}

TEST_CASE("a file that is no record is not replaced by one") {
  const Folder in;
  for (const std::string& other :
       {std::string("my thesis\n"), "\x89HDF\r\n\x1a\n" + std::string(4096, 'x')}) {
    write_text_atomically(in.output, other);
    CHECK_THROWS_WITH(Journal::create(in.output, {}),
                      Catch::Contains("no record") && Catch::Contains("--output"));
    CHECK(read_text(in.output) == other);
  }
}

TEST_CASE("a record of thousands of VMs is replaced as a small one is") {
  const Folder in;
  Journal journal = Journal::create(in.output, {});
  for (int i = 0; i < 5000; ++i)
    journal.vm({.name = "vm" + std::to_string(i), .error = std::to_string(i * i)});
  journal.finish();
  Journal::create(in.output, {}).finish();
  CHECK(table(in.output, vm_schema()).empty());
}

TEST_CASE("a FIFO in the journal's place is refused, not waited for") {
  const Folder in;
  REQUIRE(mkfifo(in.journal.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(Journal::create(in.output, {}),
                    Catch::Contains("is no journal") && Catch::Contains("remove it"));
}

TEST_CASE("an output that is a symbolic link is written where it points to") {
  const Folder in;
  fs::create_directory(in.folder.path() / "real");
  write_text_atomically(in.folder.path() / "real" / "file.h5", "");
  fs::create_symlink(in.folder.path() / "real" / "file.h5", in.output);
  Journal::create(in.output, {}).finish();
  CHECK(fs::is_symlink(in.output));
  CHECK(table(in.output, vm_schema()).empty());
}

TEST_CASE("two launches cannot write to one record") {
  const Folder in;
  Journal first = Journal::create(in.output, {});
  CHECK_THROWS_WITH(
      Journal::create(in.output, {}),
      Catch::Contains("another launch (process " + std::to_string(getpid())) && Catch::Contains("--output"));
  first.vm({.name = "vm0"});
  first.finish();
  CHECK(table(in.output, vm_schema()).size() == 1);
}

TEST_CASE("the journal of a killed launch is moved aside, not lost") {
  const Folder in;
  write_text_atomically(in.journal, header_of(dead_owner(), in.output));
  const LogCapture log;
  Journal journal = Journal::create(in.output, {});
  CHECK_THAT(log.text, Catch::Contains("vmireport --recover"));
  journal.finish();
  const auto names = names_in(in.folder.path());
  REQUIRE(names.size() == 2);
  CHECK_THAT(names[0], Catch::StartsWith("run-2") && Catch::EndsWith("Z.h5.journal"));
  CHECK(names[1] == "run.h5");
}

TEST_CASE("a journal whose launch may live on another machine is not touched") {
  const Folder in;
  Owner owner = dead_owner();
  owner.host = "some-other-host";
  const std::string text = header_of(owner, in.output);
  write_text_atomically(in.journal, text);
  CHECK_THROWS_WITH(Journal::create(in.output, {}),
                    Catch::Contains("some-other-host") && Catch::Contains("vmireport --recover"));
  CHECK(read_text(in.journal) == text);
}

TEST_CASE("a file that is no journal is not overwritten by one") {
  const Folder in;
  write_text_atomically(in.journal, "my diary\n");
  CHECK_THROWS_WITH(Journal::create(in.output, {}),
                    Catch::Contains("is no journal") && Catch::Contains("remove it"));
  CHECK(read_text(in.journal) == "my diary\n");
}

TEST_CASE("a launch removes no journal but its own") {
  const Folder in;
  Journal journal = Journal::create(in.output, {});
  fs::rename(in.journal, in.folder.path() / "aside");
  write_text_atomically(in.journal, "of another launch");
  journal.finish();
  CHECK(read_text(in.journal) == "of another launch");
}

TEST_CASE("a disk that fills up in mid-launch costs a warning, and the record is whole all the same") {
  const Folder in;
  Journal journal = Journal::create(in.output, {});
  journal.vm({.name = "vm0", .state = "running"});
  const LogCapture log;
  {
    const FileSizeLimit limit(fs::file_size(in.journal) + 30);  // in the middle of the next line
    journal.vm({.name = "vm1", .state = "running"});
    journal.vm({.name = "vm2", .state = "running"});
    journal.tick();
  }
  CHECK_THAT(log.text, Catch::Contains("run.h5.journal") && Catch::Contains("File too large"));
  CHECK(std::count(log.text.begin(), log.text.end(), '\n') == 1);

  journal.tick();  // there is room again
  Replay replay;
  replay.text(read_text(in.journal));
  CHECK(replay.record().vms.size() == 3);
  CHECK(replay.record().journal_lines_lost == 0);

  {
    const FileSizeLimit limit(fs::file_size(in.journal));
    journal.vm({.name = "vm3"});
    CHECK_THROWS_WITH(journal.finish(),
                      Catch::Contains("cannot write the record") && Catch::Contains("run.h5"));
    CHECK(fs::exists(in.journal));
  }
  journal.finish();
  CHECK(table(in.output, vm_schema()).size() == 4);
  CHECK(names_in(in.folder.path()) == std::vector<std::string>{"run.h5"});
}

TEST_CASE("a disk that is full already is met at the start") {
  const Folder in;
  const FileSizeLimit limit(10);
  CHECK_THROWS_WITH(Journal::create(in.output, {}),
                    Catch::Contains("File too large") && Catch::Contains("--output"));
  CHECK(names_in(in.folder.path()).empty());
}
