// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/session.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/watchdog.hpp"

#include <cstdlib>
#include <utility>

#include <unistd.h>

namespace vmi {
namespace {

/// Open MPI asks every network library it was built with, and those of InfiniPath and Omni-Path wait 0.1 s
/// each for a device to appear. Where there is no device of any of them, plain messages are what it ends up
/// with; it is told so, unless the user said something. Nor does it then need hwloc's plugins, which look for
/// PCI devices, displays and accelerators, and load the libraries of all of these; nor those of Open MPI's
/// components that make other paths faster, or are another program's (mpirun's, a tool's): each is a library
/// to open, and half of all that it opens. Which there are depends on its version; what is not there cannot
/// be left out, and that does no harm.
void skip_absent_networks() {
  for (const char* said : {"OMPI_MCA_pml", "OMPI_MCA_mtl"}) {
    if (std::getenv(said) != nullptr) return;
  }
  for (const char* device :
       {"/dev/infiniband", "/dev/hfi1_0", "/dev/ipath", "/dev/cxi0", "/dev/kgni0", "/dev/bxi0"}) {
    if (access(device, F_OK) == 0) return;
  }
  constexpr std::pair<const char*, const char*> kChosen[] = {
      {"OMPI_MCA_pml", "ob1"},
      {"OMPI_MCA_coll", "^sm,monitoring,adapt,sync,inter,han"},
      {"OMPI_MCA_osc", "^sm,monitoring"},
      {"OMPI_MCA_op", "^avx"},
      {"OMPI_MCA_mpool", "^hugepage"},
      {"OMPI_MCA_rcache", "^grdma"},
      {"OMPI_MCA_shmem", "^sysv,posix"},
      {"OMPI_MCA_reachable", "^netlink"},
  };
  for (const auto& [name, value] : kChosen) setenv(name, value, 0);
  // A rank that nobody started starts a daemon, which has these settings and needs these components.
  if (std::getenv("PMIX_RANK") != nullptr) {
    setenv("OMPI_MCA_schizo", "^flux,jsm", 0);
    setenv("OMPI_MCA_state", "^orted,hnp,novm,tool", 0);
    setenv("OMPI_MCA_errmgr", "^default_tool,default_orted,default_hnp", 0);
  }
  setenv("HWLOC_PLUGINS_PATH", "/dev/null", 0);
}

/// Returns once every rank has called it: a barrier of messages, since ranks may have given up different
/// collectives on `world`.
void meet(const Comm& world, const Waiter& waiter) {
  constexpr std::string_view kWhat = "all ranks to end";
  const int ranks = world.size();
  for (int distance = 1; distance < ranks; distance *= 2) {
    MPI_Request sent = MPI_REQUEST_NULL;
    MPI_Request heard = MPI_REQUEST_NULL;
    check_mpi(MPI_Isend(nullptr, 0, MPI_BYTE, (world.rank() + distance) % ranks, kEndTag, world.get(), &sent),
              kWhat);
    Request first(sent, nullptr);
    check_mpi(MPI_Irecv(nullptr, 0, MPI_BYTE, (world.rank() - distance + ranks) % ranks, kEndTag, world.get(),
                        &heard),
              kWhat);
    Request second(heard, nullptr);
    wait_for(first, waiter, kWhat);
    wait_for(second, waiter, kWhat);
  }
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
  control_ = std::make_unique<Control>(world_);
  barrier(world_, {deadline}, "all ranks to start");
}

Session::~Session() {
  // Later, so that main can say what went wrong; MPI ends this process too. on_exit(3) knows main's status.
  if (!finalized_) on_exit(end_all_ranks, nullptr);
}

void Session::finalize(Deadline deadline, ExitStatus status) {
  // Announcements that come now have nobody left to stop; reading them keeps MPI's queues clean.
  const Waiter waiter{deadline, [this] { control_->poll(); }};
  if (const auto failure = attempt([&] { meet(world_, waiter); })) {
    log_error(failure->what());
    MPI_Abort(MPI_COMM_WORLD, static_cast<int>(status));
  }
  control_->poll();
  const std::size_t left = settle_abandoned_requests();
  if (left > 0) log_debug(std::to_string(left) + " MPI operations were given up");
  control_.reset();
  world_ = Comm();
  const Watchdog watchdog(deadline, "MPI_Finalize", status);
  check_mpi(MPI_Finalize(), "MPI_Finalize failed");
  finalized_ = true;
}

}  // namespace vmi
