// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/agree.hpp"

#include "launcher/mpi/collective.hpp"

#include <unistd.h>

namespace vmi {

std::string host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0)
    throw_errno(ExitStatus::environment, "cannot ask for the host's name");
  return name;
}

void agree(const Comm& comm, const std::optional<Error>& mine, const Waiter& waiter, std::string_view stage) {
  const std::string what = "all ranks to finish: " + std::string(stage);
  const int rank = comm.rank();
  const int ranks = comm.size();
  const auto first = static_cast<int>(all_min(comm, mine ? rank : ranks, waiter, what));
  if (first == ranks) return;

  // The status travels as the first line.
  std::string text;
  if (rank == first) {
    text = std::to_string(static_cast<int>(mine->status())) + "\n";
    if (ranks > 1) text += "rank " + std::to_string(rank) + " on " + host_name() + ": ";
    text += mine->in(stage).what();
  }
  broadcast(comm, text, first, waiter, what);
  const std::size_t end = text.find('\n');
  throw Error(static_cast<ExitStatus>(std::stoi(text.substr(0, end))), text.substr(end + 1));
}

}  // namespace vmi
