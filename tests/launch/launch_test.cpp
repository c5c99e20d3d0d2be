// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/launch.hpp"

#include "launcher/launch/letter.hpp"
#include "launcher/launch/run.hpp"
#include "tests/launch/ranks.hpp"

#include <algorithm>
#include <mutex>

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::test;
using Catch::Contains;

namespace {

template <typename Kind>
int letters_of(const ListeningReporter& reporter) {
  return static_cast<int>(std::ranges::count_if(reporter.letters, [](const auto& letter) {
    const Letter parsed = parse_letter(letter.second);
    const auto* event = std::get_if<Event>(&parsed);
    return event != nullptr && std::holds_alternative<Kind>(*event);
  }));
}

std::function<Event(int)> timed_out_at(int index) {
  return [index](int vm) -> Event {
    if (vm == index)
      return VmFailed{.index = vm, .t_failed = 4, .reason = "it was not ready", .timed_out = true};
    return VmReady{.index = vm, .t_ready = 4, .ready_by = "serial"};
  };
}

}  // namespace

TEST_CASE("a launch goes through its stages, and rank 0 hears of every VM") {
  Ranks ranks({0, 1, 1}, options_for(6, "none"));
  CHECK(ranks.launch() == std::vector<int>{0, 0, 0});
  const ListeningReporter& heard = ranks.at(0).reporter;
  CHECK(heard.phases == std::vector<std::string>{"plan", "distribute", "start", "ready", "stop"});
  CHECK(letters_of<VmPrepared>(heard) == 6);
  CHECK(letters_of<VmRunning>(heard) == 6);
  CHECK(letters_of<VmReady>(heard) == 6);
  CHECK(letters_of<VmStopped>(heard) == 6);
  CHECK(heard.failures.empty());
}

TEST_CASE("an event reaches rank 0 as the supervisor wrote it") {
  Ranks ranks({0, 1}, options_for(2, "none"));
  ranks.launch();
  const Event ready = VmReady{.index = 1, .t_ready = 4, .ready_by = "serial"};
  const std::pair<int, std::string> letter{1, event_letter(to_text(ready))};
  CHECK(std::ranges::count(ranks.at(0).reporter.letters, letter) == 1);
}

TEST_CASE("a VM that is not ready in time ends the launch on all ranks with its status") {
  Ranks ranks({0, 1, 2}, options_for(3, "none"));
  ranks.at(2).supervisor.outcome = timed_out_at(2);
  const int timed_out = static_cast<int>(ExitStatus::timed_out);
  CHECK(ranks.launch() == std::vector<int>{timed_out, timed_out, timed_out});
  const ListeningReporter& heard = ranks.at(0).reporter;
  REQUIRE(heard.failures.size() == 1);
  CHECK_THAT(heard.failures[0], Contains("rank 2 on host2") && Contains("VM 2") && Contains("not ready"));
  for (int rank = 0; rank < 3; ++rank) CHECK(ranks.at(rank).supervisor.asked<StopAll>().size() == 1);
}

TEST_CASE("with --keep-going the other VMs go on") {
  LaunchOptions options = options_for(3, "none");
  options.keep_going = true;
  Ranks ranks({0, 1, 2}, options);
  ranks.at(2).supervisor.outcome = timed_out_at(2);
  CHECK(ranks.launch() == std::vector<int>{0, 0, 0});  // its reporter would say 124
  CHECK(letters_of<VmReady>(ranks.at(0).reporter) == 2);
}

TEST_CASE("CMD runs on rank 0 once all VMs are ready, and its status is the launch's") {
  LaunchOptions options = options_for(2, "none");
  options.command = {"./experiment.sh", "--fast"};
  Ranks ranks({0, 1}, options);
  std::string hosts;
  FakeSupervisor& supervisor = ranks.at(0).supervisor;
  supervisor.on<RunCommand>([&](const RunCommand& request) {
    hosts = read_text(request.environment.at("VMILAUNCH_HOSTS"));
    supervisor.say(CommandExited{.exit_status = 7});
    return Done{};
  });
  CHECK(ranks.launch() == std::vector<int>{7, 7});
  CHECK(hosts == "vm0 node0 127.0.0.1:2200\n");
  CHECK(supervisor.asked<RunCommand>().at(0).argv == std::vector<std::string>{"./experiment.sh", "--fast"});
  CHECK(ranks.at(1).supervisor.asked<RunCommand>().empty());
}

TEST_CASE("a command that cannot be started ends the launch on all ranks") {
  LaunchOptions options = options_for(2, "none");
  options.command = {"./nothing"};
  Ranks ranks({0, 1}, options);
  ranks.at(0).supervisor.on<RunCommand>([](const RunCommand&) -> Done {
    throw Error(ExitStatus::usage, "cannot run './nothing': No such file or directory");
  });
  const std::vector<int> statuses = ranks.launch();
  CHECK(statuses[0] != 0);
  CHECK(statuses[1] == static_cast<int>(ExitStatus::launch_failed));
  CHECK(ranks.at(0).supervisor.asked<SignalCommand>().size() == 1);
}

TEST_CASE("holding ends with the job, in order") {
  LaunchOptions options = options_for(1, "none");
  options.hold = true;
  Ranks ranks({0}, options);
  ranks.run([](Seat& seat) {
    const LaunchPlan plan = plan_launch(seat.rank, seat.options, LaunchClock::of(0));
    hold(seat.rank, Deadline::after(std::chrono::milliseconds(20)));
  });
  CHECK(ranks.nobody_threw());
}

TEST_CASE("a VM that fails while others are still started is told to all ranks") {
  Ranks ranks({0, 1}, options_for(2, "none"));
  ranks.at(1).supervisor.on<ResumeAll>(
      [](const ResumeAll&) -> Done { throw Error(ExitStatus::environment, "QEMU does not answer"); });
  const std::vector<int> statuses = ranks.launch();
  CHECK(statuses == std::vector<int>{4, 4});
  CHECK_THAT(ranks.at(0).reporter.failures.at(0),
             Contains("rank 1 on host1: starting the VMs") && Contains("QEMU does not answer"));
}

TEST_CASE("a dry run prepares nothing") {
  LaunchOptions options = options_for(2, "none");
  options.dry_run = true;
  options.json = true;
  Ranks ranks({0, 1}, options);
  CHECK(ranks.launch() == std::vector<int>{0, 0});
  CHECK(ranks.at(0).supervisor.asked<Describe>().size() == 1);
  CHECK(ranks.at(0).supervisor.asked<Prepare>().empty());
  CHECK(ranks.at(1).supervisor.asked<Prepare>().empty());
}

TEST_CASE("a record that cannot be opened ends the launch before anything is started") {
  Ranks ranks({0, 1}, options_for(2, "none"));
  std::vector<int> statuses(2, -1);
  std::mutex mutex;
  std::vector<std::string> said;
  log_sink([&](LogLevel, std::string_view line) {
    const std::lock_guard lock(mutex);
    said.emplace_back(line);
  });
  ranks.run([&](Seat& seat) {
    Launch launch(seat.rank, seat.options, [](const LaunchClock&) -> std::unique_ptr<Reporter> {
      throw Error(ExitStatus::environment, "cannot write 'run.h5'");
    });
    statuses[static_cast<std::size_t>(seat.team.rank())] = launch.run();
  });
  log_sink({});
  CHECK(statuses == std::vector<int>{4, 4});
  REQUIRE(said.size() == 1);  // once, not by every rank
  CHECK_THAT(said[0], Contains("cannot write 'run.h5'"));
  CHECK(ranks.at(0).supervisor.asked<Prepare>().empty());
}

TEST_CASE("letters say what was written, and nonsense is refused") {
  NodeRow row;
  row.node = 3;
  row.cache_source = "received";
  row.t_cache_first = 1.5;
  row.wire_bytes = 77;
  const Letter letter = parse_letter(node_letter(row));
  const auto* read = std::get_if<NodeRow>(&letter);
  REQUIRE(read != nullptr);
  CHECK(read->node == 3);
  CHECK(read->cache_source == "received");
  CHECK(read->t_cache_first == 1.5);
  CHECK(std::isnan(read->t_cache_last));
  CHECK(read->wire_bytes == 77);
  CHECK(is_last_letter(last_letter()));
  CHECK_FALSE(is_last_letter(node_letter(row)));
  for (const std::string text : {"", "x", "N{", "Nnull", "E{}", "E"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_letter(text), Error);
  }
}
