// SPDX-License-Identifier: Apache-2.0
#define CATCH_CONFIG_RUNNER
#include "launcher/supervisor/ipc/client.hpp"
#include "rank_that_holds.hpp"

#include <catch2/catch.hpp>

int main(int argc, char** argv) {
  if (const std::optional<int> status = vmi::run_as_supervisor(argc, argv)) return *status;
  if (const std::optional<int> status = RankThatHolds::run(argc, argv)) return *status;
  return Catch::Session().run(argc, argv);
}
