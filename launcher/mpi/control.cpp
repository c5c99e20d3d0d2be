// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/control.hpp"

#include "launcher/mpi/agree.hpp"

#include <algorithm>
#include <cstring>
#include <set>

namespace vmi {
namespace {

/// Of one size, so that it is received without asking first, and small, so that MPI sends it without a
/// handshake.
struct Note {
  int rank;
  int status;
  char text[504];
};

}  // namespace

Control::Control(const Comm& world) : comm_(Comm::borrowed(world.get())) {
  const int rank = comm_.rank();
  const int ranks = comm_.size();
  std::set<int> neighbours;
  for (int distance = 1; distance < ranks; distance *= 2) {
    neighbours.insert((rank + distance) % ranks);
    neighbours.insert((rank - distance + ranks) % ranks);
  }
  neighbours.erase(rank);
  neighbours_.assign(neighbours.begin(), neighbours.end());
}

void Control::pass_on(const Announcement& announcement) {
  announced_ = announcement;
  auto note = std::make_shared<Note>();
  note->rank = announcement.rank;
  note->status = static_cast<int>(announcement.status);
  announcement.text.copy(note->text, sizeof note->text - 1);
  for (const int neighbour : neighbours_) {
    MPI_Request raw = MPI_REQUEST_NULL;
    check_mpi(MPI_Isend(note.get(), sizeof(Note), MPI_BYTE, neighbour, kControlTag, comm_.get(), &raw),
              "cannot pass an announcement on");
    sends_.emplace_back(raw, note);
  }
}

void Control::announce(ExitStatus status, const std::string& text) {
  if (announced_) return;
  pass_on({comm_.rank(), status, "on " + host_name() + ": " + text});
}

std::optional<Announcement> Control::poll() {
  std::erase_if(sends_, [](Request& send) { return send.test(); });
  std::optional<Announcement> news;
  while (true) {
    int arrived = 0;
    MPI_Status status;
    check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, kControlTag, comm_.get(), &arrived, &status),
              "cannot look for announcements");
    if (arrived == 0) return news;
    Note note{};
    // Returns at once: the note has arrived.
    check_mpi(MPI_Recv(&note, sizeof note, MPI_BYTE, status.MPI_SOURCE, kControlTag, comm_.get(),
                       MPI_STATUS_IGNORE),
              "cannot read an announcement");
    if (announced_) continue;
    note.text[sizeof note.text - 1] = '\0';
    news = Announcement{note.rank, static_cast<ExitStatus>(note.status), note.text};
    pass_on(*news);
  }
}

}  // namespace vmi
