// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/session.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/nodes.hpp"
#include "launcher/mpi/watchdog.hpp"

#include <cstdlib>

#include <unistd.h>

namespace vmi {
namespace {

/// Open MPI asks every network library it was built with, and those of InfiniPath and Omni-Path wait 0.1 s
/// each for a device to appear. Where there is no device of any of them, plain messages are what it ends up
/// with; it is told so, unless the user said something. Nor does it then need hwloc's plugins, which look for
/// PCI devices, displays and accelerators, and load the libraries of all of these.
void skip_absent_networks() {
  for (const char* said : {"OMPI_MCA_pml", "OMPI_MCA_mtl"}) {
    if (std::getenv(said) != nullptr) return;
  }
  for (const char* device :
       {"/dev/infiniband", "/dev/hfi1_0", "/dev/ipath", "/dev/cxi0", "/dev/kgni0", "/dev/bxi0"}) {
    if (access(device, F_OK) == 0) return;
  }
  setenv("OMPI_MCA_pml", "ob1", 0);
  setenv("HWLOC_PLUGINS_PATH", "/dev/null", 0);
}

void end_all_ranks(int status, void* /*unused*/) {
  log_error("this rank leaves without the others; MPI ends all ranks");
  MPI_Abort(MPI_COMM_WORLD, status != 0 ? status : static_cast<int>(ExitStatus::environment));
}

}  // namespace

Session::Session(int* argc, char*** argv, Deadline deadline) {
  skip_absent_networks();
  {
    const Watchdog watchdog(
        deadline, "MPI_Init", ExitStatus::environment,
        "the ranks have not all found each other (Slurm or MPI may say why above); no VM was "
        "started: run the launch again");
    int provided = MPI_THREAD_SINGLE;
    // An error before there is an error handler aborts with MPI's own message.
    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    if (provided < MPI_THREAD_FUNNELED) {
      throw Error(ExitStatus::environment,
                  "this MPI library does not work in a program with threads (MPI_THREAD_FUNNELED)");
    }
  }
  for (MPI_Comm comm : {MPI_COMM_WORLD, MPI_COMM_SELF})  // duplicates inherit the handler
    check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "cannot set MPI's error handler");
  // Nothing else in this program uses MPI.
  world_ = Comm::borrowed(MPI_COMM_WORLD);
  aftermath_ = duplicate(world_, {deadline}, "all ranks to start");
  control_ = std::make_unique<Control>(world_);
}

Session::~Session() {
  // Later, so that main can say what went wrong; MPI ends this process too. on_exit(3) knows main's status.
  if (!finalized_) on_exit(end_all_ranks, nullptr);
}

void Session::finalize(Deadline deadline, ExitStatus status) {
  // Announcements that come now have nobody left to stop; reading them keeps MPI's queues clean.
  const Waiter waiter{deadline, [this] { control_->poll(); }};
  if (const auto failure = attempt([&] { barrier(aftermath_, waiter, "all ranks to end"); })) {
    log_error(failure->what());
    MPI_Abort(MPI_COMM_WORLD, static_cast<int>(status));
  }
  control_->poll();
  const std::size_t left = settle_abandoned_requests();
  if (left > 0) log_debug(std::to_string(left) + " MPI operations were given up");
  control_.reset();
  aftermath_ = Comm();
  world_ = Comm();
  const Watchdog watchdog(deadline, "MPI_Finalize", status);
  check_mpi(MPI_Finalize(), "MPI_Finalize failed");
  finalized_ = true;
}

}  // namespace vmi
