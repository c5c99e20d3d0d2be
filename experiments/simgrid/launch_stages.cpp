// SPDX-License-Identifier: Apache-2.0
// The stages of a launch with real MPI and real files, whose times the simulation has to meet.
#include "cachegen/support/options.hpp"
#include "experiments/simgrid/stage_options.hpp"
#include "launcher/mpi/agree.hpp"

#include <cstdio>
#include <iostream>

int main(int argc, char** argv) {
  using namespace vmi;
  std::optional<Session> session;
  try {
    OptionTable table("launch_stages", "[options]",
                      "Does the stages of a launch without hypervisors; prints their seconds as JSON.");
    table.add({"dir", 0, "DIR", "/dev/shm", "where the cache and its copies are written"})
        .add({"repeat", 0, "N", "1", "how often"});
    add_stage_options(table);
    const Options options = table.parse(argc, argv);
    if (options.flag("help")) {
      std::fputs(table.help().c_str(), stdout);
      return 0;
    }
    StageOptions stages = stage_options(options);
    session.emplace(&argc, &argv, Deadline::after(std::chrono::seconds(60)));
    nlohmann::json results;
    for (int repeat = 0; repeat < options.number("repeat", 1, 1000); ++repeat) {
      const TempFolder folder(options.text("dir"), "launch-stages-");
      stages.folder = folder.path();
      results.push_back(run_stages(*session, stages));
    }
    if (session->rank() == 0) std::cout << results.dump(2) << std::endl;
    session->finalize(Deadline::after(std::chrono::seconds(30)));
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "launch_stages: %s\n", error.what());
    return static_cast<int>(error.status());
  }
}
