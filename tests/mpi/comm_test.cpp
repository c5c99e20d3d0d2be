// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/comm.hpp"

#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/clock.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/mpi/lifeline.hpp"
#include "launcher/mpi/nodes.hpp"
#include "tests/mpi/mpi_test.hpp"

#include <memory>

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::test;
using namespace std::chrono_literals;

TEST_CASE("an MPI error is an Error with MPI's text") {
  char byte = 0;
  const Comm comm = fresh_comm();
  CHECK_THROWS_WITH(
      check_mpi(MPI_Send(&byte, 1, MPI_BYTE, comm.size() + 7, 0, comm.get()), "cannot greet rank 7"),
      Catch::Contains("cannot greet rank 7") && Catch::Contains("MPI_ERR_RANK"));
}

TEST_CASE("a string of any length reaches every rank") {
  const Comm comm = fresh_comm();
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{3'000'000}}) {
    const int root = comm.size() - 1;
    std::string sent;
    for (std::size_t i = 0; i < length; ++i) sent += static_cast<char>(i % 251);  // no part is like another
    std::string text = comm.rank() == root ? sent : "something else";
    broadcast(comm, text, root, waiter(), "the text");
    CHECK((text == sent));
    for (const std::size_t expected : {length / 2, length, length + 1}) {
      std::string again = comm.rank() == root ? sent : "something else";
      broadcast(comm, again, root, waiter(), "the text", expected);
      CHECK((again == sent));
    }
  }
}

TEST_CASE("strings of different lengths are gathered in rank order") {
  const Comm comm = fresh_comm();
  const auto text_of = [](int rank) {
    return std::string(static_cast<std::size_t>(rank) * 1000, 'a') + std::to_string(rank);
  };
  const auto gathered = gather(comm, text_of(comm.rank()), 0, waiter(), "the texts");
  const auto everywhere = all_gather(comm, text_of(comm.rank()), waiter(), "the texts");
  REQUIRE(gathered.size() == static_cast<std::size_t>(comm.rank() == 0 ? comm.size() : 0));
  REQUIRE(everywhere.size() == static_cast<std::size_t>(comm.size()));
  for (std::size_t rank = 0; rank < everywhere.size(); ++rank) {
    CHECK(everywhere[rank] == text_of(static_cast<int>(rank)));
    if (comm.rank() == 0) CHECK(gathered[rank] == text_of(static_cast<int>(rank)));
  }
}

TEST_CASE("every rank hears every rank's flag") {
  const int ranks = session().ranks();
  const Comm comm = fresh_comm();
  std::string expected;
  for (int rank = 0; rank < ranks; ++rank) expected.push_back(static_cast<char>(rank % 3 == 1 ? 1 : 0));
  CHECK(all_gather_flags(comm, comm.rank() % 3 == 1, waiter(), "the flags") == expected);
}

TEST_CASE("neighbours in a ring tell each other") {
  const int ranks = session().ranks();
  const Comm comm = fresh_comm();
  const auto text_of = [&](int rank) {
    return std::string(static_cast<std::size_t>(rank) * 40'000, 'a') + std::to_string(rank);
  };
  const Neighbours neighbours = exchange_in_ring(comm, text_of(comm.rank()), waiter(), "the neighbours");
  CHECK(neighbours.before == text_of((comm.rank() + ranks - 1) % ranks));
  CHECK(neighbours.after == text_of((comm.rank() + 1) % ranks));
}

TEST_CASE("a wait that lasts too long says what it waited for") {
  const Comm comm = fresh_comm();
  if (comm.size() == 1) return;
  if (comm.rank() == 0) {
    CHECK_THROWS_WITH(barrier(comm, Waiter{Deadline::after(50ms)}, "the others at the gate"),
                      "timed out waiting for the others at the gate");
  }
}

TEST_CASE("a pump that throws ends the wait") {
  const Comm comm = fresh_comm();
  if (comm.size() == 1) return;
  if (comm.rank() == 0) {
    const Waiter waiter{Deadline::after(30s), [] { throw Error(ExitStatus::terminated, "signal 15"); }};
    CHECK_THROWS_WITH(barrier(comm, waiter, "the others"), "signal 15");
  }
}

TEST_CASE("all ranks throw the first failing rank's message, or none does") {
  const Comm comm = fresh_comm();
  CHECK_NOTHROW(agree(comm, std::nullopt, waiter(), "stage"));
  if (comm.size() == 1) {
    CHECK_THROWS_WITH(agree(comm, Error(ExitStatus::unusable, "bad disk"), waiter(), "stage"),
                      "stage: bad disk");
    return;
  }
  const auto mine = attempt([&] {
    if (comm.rank() >= 1) throw Error(ExitStatus::unusable, "bad disk " + std::to_string(comm.rank()));
  });
  const auto agreed = attempt([&] { agree_on(comm, mine, comm.rank() == 0 ? 1 : 0, waiter(), "stage"); });
  REQUIRE(agreed);
  CHECK(agreed->status() == ExitStatus::unusable);
  CHECK(agreed->what() == "rank 1 on " + host_name() + ": stage: bad disk 1");
}

TEST_CASE("every rank hears which flags any raised") {
  const Comm comm = fresh_comm();
  const int last = comm.size() - 1;
  const auto agreed = [&](std::uint32_t flags) {
    return agree_on(comm, std::nullopt, flags, waiter(), "stage");
  };
  CHECK(agreed(0) == 0);
  CHECK(agreed(comm.rank() == last ? 1U << 31 : 0) == 1U << 31);
  CHECK(agreed((comm.rank() == last ? 4 : 0) | (comm.rank() == 0 ? 2 : 0)) == 6);
}

TEST_CASE("an announcement reaches every rank, once, whatever it waits for") {
  const Comm comm = fresh_comm();
  Control control(comm);
  const int last = session().ranks() - 1;
  std::string said;  // what names some nodes and their reasons is of this length
  while (said.size() < 3000) said += "node n" + std::to_string(said.size()) + ": too small\n";
  if (session().rank() == last) control.announce({ExitStatus::terminated, said});
  if (session().rank() != last) {
    std::optional<Error> heard;
    wait_until([&] { return (heard = control.poll()).has_value(); }, waiter(),
               [] { return "the announcement"; });
    CHECK(heard->status() == ExitStatus::terminated);
    CHECK(heard->what() == said);
  }
  // Everybody has heard it and passed it on; nobody hears it again.
  barrier(aftermath(), waiter(), "all ranks to hear");
  for (int i = 0; i < 100; ++i) CHECK_FALSE(control.poll());
}

TEST_CASE("an announcement that is too long arrives cut and says so") {
  const Comm comm = fresh_comm();
  Control control(comm);
  if (session().rank() == 0) control.announce({ExitStatus::environment, std::string(100'000, 'x')});
  if (session().rank() != 0) {
    std::optional<Error> heard;
    wait_until([&] { return (heard = control.poll()).has_value(); }, waiter(),
               [] { return "the announcement"; });
    CHECK_THAT(heard->what(), Catch::StartsWith("xxxxxxxx") && Catch::EndsWith("x ..."));
    CHECK(std::string(heard->what()).size() > 3000);
  }
  barrier(aftermath(), waiter(), "all ranks to hear");
}

TEST_CASE("ranks are grouped by their node keys") {
  const int rank = session().rank();
  const int ranks = session().ranks();
  // Ranks 0 2 4 .. on "even", the others on "odd".
  setenv("VMILAUNCH_NODE_KEY", rank % 2 == 0 ? "even" : "odd", 1);
  const RankGroups layout = group_by_node(session().world(), waiter());
  unsetenv("VMILAUNCH_NODE_KEY");
  CHECK(layout.nodes == std::min(ranks, 2));
  CHECK(layout.node == rank % 2);
  CHECK(layout.leader == (rank < 2));
  CHECK(layout.node_comm.size() == (ranks + 1 - rank % 2) / 2);
  CHECK(layout.node_of_rank[static_cast<std::size_t>(ranks - 1)] == (ranks - 1) % 2);
  CHECK(layout.node_keys.size() == (rank == 0 ? static_cast<std::size_t>(layout.nodes) : 0));
  if (rank == 0) CHECK(layout.node_keys.front() == "even");
  CHECK(static_cast<bool>(layout.leaders) == layout.leader);
  if (layout.leader) CHECK(layout.leaders.rank() == layout.node);
}

TEST_CASE("clocks of one machine are found equal within the error bound") {
  setenv("VMILAUNCH_NODE_KEY", std::to_string(session().rank()).c_str(), 1);
  const RankGroups layout = group_by_node(session().world(), waiter());
  unsetenv("VMILAUNCH_NODE_KEY");
  const ClockOffset clock = measure_clock(layout, waiter());
  CHECK(std::abs(clock.offset_ns) <= clock.error_ns);
  if (layout.rank == 0) CHECK(clock.error_ns == 0);
}

TEST_CASE("ranks that end in order are not missed") {
  Lifeline lifeline(session().world(), "node", waiter());
  const bool alone = session().ranks() == 1;
  wait_until([&] { return !lifeline.lost() && (alone || lifeline.complete()); }, waiter(),
             [] { return "the neighbours"; });
  barrier(session().world(), waiter(), "all ranks to be connected");
  // Even ranks end first; the others go on watching for a while.
  if (session().rank() % 2 == 0) lifeline.close();
  barrier(session().world(), waiter(), "the even ranks to end");
  const Deadline end = Deadline::after(std::chrono::milliseconds(500));
  wait_until([&] { return lifeline.lost().has_value() || end.passed(); }, waiter(),
             [] { return "some time"; });
  CHECK_FALSE(lifeline.lost());
}

TEST_CASE("a rank that is gone is noticed by both neighbours") {
  auto lifeline =
      std::make_unique<Lifeline>(session().world(), "node of " + std::to_string(session().rank()), waiter());
  const int ranks = session().ranks();
  wait_until([&] { return !lifeline->lost() && (ranks == 1 || lifeline->complete()); }, waiter(),
             [] { return "the neighbours"; });
  barrier(session().world(), waiter(), "all ranks to be connected");
  const int gone = ranks - 1;
  if (session().rank() == gone) {
    lifeline.reset();  // its connections close as a killed process's do
  } else if (const int apart = gone - session().rank(); apart == 1 || apart == ranks - 1) {
    wait_until([&] { return lifeline->lost().has_value(); }, waiter(),
               [] { return "the loss to be noticed"; });
    CHECK(lifeline->lost()->rank == gone);
    CHECK(lifeline->lost()->node == "node of " + std::to_string(gone));
  }
  barrier(session().world(), waiter(), "both neighbours to notice");
}
