// SPDX-License-Identifier: Apache-2.0
// vmilaunch: starts VMs on all ranks of an MPI job at once. README.md beside this file has the rooms,
// launch/launch.cpp the stages.
#include "cachegen/support/interrupt.hpp"
#include "cachegen/support/log.hpp"
#include "launcher/desk/desk.hpp"
#include "launcher/launch/launch.hpp"
#include "launcher/launch/signals.hpp"
#include "launcher/mpi/mpi_team.hpp"
#include "launcher/node/warm.hpp"
#include "launcher/supervisor/ipc/client.hpp"

#include <cstdlib>
#include <iostream>

namespace {

using namespace vmi;
using namespace std::chrono_literals;

/// The rank that mpirun or srun gave this process, before MPI is up: what goes wrong there is said once, not
/// by every rank. -1: nobody gave it one.
int early_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return std::atoi(value);
  }
  return -1;
}

/// --help, --version and --completion need no MPI and start nothing.
bool only_prints(int argc, char** argv) {
  for (int i = 1; i < argc && std::string(argv[i]) != "--"; ++i) {
    const std::string word = argv[i];
    if (word == "--help" || word == "-h") {
      std::cout << launch_option_table().help();
      return true;
    }
    if (word == "--version") {
      std::cout << "vmilaunch " << VMI_VERSION << "\n";
      return true;
    }
    if (word == "--completion" && i + 1 < argc) {
      std::cout << completion_script(argv[i + 1], "vmilaunch", {{"", &launch_option_table()}});
      return true;
    }
  }
  return false;
}

/// --warm: one process a node, and no MPI.
int warm(const LaunchOptions& options) {
  catch_interrupts();
  const std::vector<WarmCache> caches = warm_node(options);
  std::cout << (options.json ? nlohmann::json(caches).dump(2) + "\n" : to_text(caches));
  if (!std::cout.flush()) throw Error(ExitStatus::environment, "cannot write to standard output");
  return 0;
}

int launch_main(int argc, char** argv) {
  const Options given = launch_option_table().parse(argc, argv);
  const std::size_t verbose = given.all("verbose").size();
  log_threshold(verbose == 0 ? LogLevel::warning : verbose == 1 ? LogLevel::info : LogLevel::debug);
  const LaunchOptions options = launch_options(given);
  if (options.warm) return warm(options);

  // The supervisor is started before MPI is: nothing may fork inside an MPI process.
  Supervisor supervisor = Supervisor::start({.log_threshold = log_threshold()});
  catch_signals();
  // Where MPI_Init hangs, the rank that says nothing is the one to look at.
  log_identity("vmilaunch", early_rank());
  Session session(&argc, &argv, Deadline::after(120s), options.mpi_settings);
  log_identity("vmilaunch", session.ranks() > 1 ? session.rank() : -1);

  int status = 0;
  {
    MpiTeam team(session, Deadline::after(120s));
    Rank rank(team, supervisor, options.keep_going);
    Launch launch(rank, options, [&](const LaunchClock& clock) -> std::unique_ptr<Reporter> {
      if (options.dry_run) return std::make_unique<ErrorsOnly>();
      return std::make_unique<Desk>(options, clock, shell_quoted(Argv(argv, argv + argc)), team.layout());
    });
    status = launch.run();
  }
  supervisor.shutdown(Deadline::after(10s));
  // Who gives up waiting here ends all ranks: of a launch that failed, rank 0 does, whose record is written.
  session.finalize(Deadline::after(status == 0           ? 60s
                                   : session.rank() == 0 ? 5s
                                                         : 20s),
                   static_cast<ExitStatus>(status));
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  if (const std::optional<int> status = run_as_supervisor(argc, argv)) return *status;
  log_identity("vmilaunch");
  try {
    if (only_prints(argc, argv)) return 0;
    return launch_main(argc, argv);
  } catch (const Error& error) {
    if (early_rank() <= 0) log_error(error.what());
    return static_cast<int>(error.status());
  } catch (const std::exception& error) {
    log_error(std::string("this should not happen, please report it: ") + error.what());
    return static_cast<int>(ExitStatus::environment);
  }
}
