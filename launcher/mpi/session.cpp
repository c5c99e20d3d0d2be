// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/session.hpp"

#include "cachegen/support/log.hpp"
#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/settings.hpp"
#include "launcher/mpi/watchdog.hpp"

#include <cstdlib>

namespace vmi {
namespace {

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

Session::Session(int* argc, char*** argv, Deadline deadline, bool own_settings) {
  if (own_settings) choose_mpi_settings();
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
