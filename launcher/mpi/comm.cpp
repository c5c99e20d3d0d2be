// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/comm.hpp"

#include <string>

namespace vmi {
namespace {

struct Abandoned {
  MPI_Request request;
  std::shared_ptr<void> memory;
};

// Never destroyed: MPI may write into this memory until MPI_Finalize has returned.
std::vector<Abandoned>& abandoned() {
  static auto* list = new std::vector<Abandoned>;
  return *list;
}

bool mpi_is_up() {
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  return initialized != 0 && finalized == 0;
}

}  // namespace

void check_mpi(int code, std::string_view what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(ExitStatus::environment,
              std::string(what) + ": " + std::string(text, static_cast<std::size_t>(length)));
}

Comm::~Comm() {
  // MPI still works on abandoned operations; which communicators they need is not known here.
  if (owned_ && comm_ != MPI_COMM_NULL && mpi_is_up() && abandoned().empty()) MPI_Comm_free(&comm_);
}

int Comm::rank() const {
  int rank = 0;
  check_mpi(MPI_Comm_rank(comm_, &rank), "cannot ask for the rank");
  return rank;
}

int Comm::size() const {
  int size = 0;
  check_mpi(MPI_Comm_size(comm_, &size), "cannot ask for the number of ranks");
  return size;
}

bool Request::test() {
  int done = 0;
  check_mpi(MPI_Test(&request_, &done, MPI_STATUS_IGNORE), "an MPI operation failed");
  if (done != 0) memory_.reset();
  return done != 0;
}

void Request::abandon() noexcept {
  if (request_ == MPI_REQUEST_NULL || !mpi_is_up()) return;
  abandoned().push_back({request_, std::move(memory_)});
  request_ = MPI_REQUEST_NULL;
}

std::size_t settle_abandoned_requests() {
  std::erase_if(abandoned(), [](Abandoned& entry) {
    int done = 0;
    return MPI_Test(&entry.request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done != 0;
  });
  return abandoned().size();
}

}  // namespace vmi
