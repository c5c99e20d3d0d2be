// SPDX-License-Identifier: Apache-2.0
// Runs under mpirun: each rank runs every test case; the worst result of all ranks is the exit status of
// each.
#define CATCH_CONFIG_RUNNER
#include "cachegen/support/log.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/mpi/nodes.hpp"
#include "tests/mpi/mpi_test.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include <catch2/catch.hpp>

namespace vmi::test {
namespace {
std::optional<Session> the_session;
Comm the_aftermath;
}  // namespace

Session& session() {
  return *the_session;
}
Waiter waiter() {
  return {Deadline::after(std::chrono::seconds(30))};
}
const Comm& aftermath() {
  return the_aftermath;
}
Comm fresh_comm() {
  return duplicate(session().world(), waiter(), "all ranks to begin a test");
}

}  // namespace vmi::test

int main(int argc, char** argv) {
  using namespace vmi;
  const auto soon = [] { return Deadline::after(std::chrono::seconds(60)); };
  try {
    test::the_session.emplace(&argc, &argv, soon());
    test::the_aftermath = test::fresh_comm();
    log_identity("mpi_test", test::session().rank());
    const int failed = std::min(Catch::Session().run(argc, argv), 1);
    const auto worst = all_max(test::aftermath(), failed, {soon()}, "the results of all ranks");
    test::the_aftermath = Comm();
    test::session().finalize(soon());
    return static_cast<int>(worst);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.status());
  }
}
