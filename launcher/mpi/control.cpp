// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/control.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <set>
#include <string>

namespace vmi {
namespace {

/// Small, so that MPI sends it without a handshake: one with a rank that dies would not end. Of the limits
/// below which Open MPI does so, that of shared memory is the least, 4 KiB with its own header.
struct Note {
  int status;
  char text[3836];
};
constexpr char kCut[] = " ...";

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

void Control::pass_on(const Error& failure) {
  announced_ = failure;
  auto note = std::make_shared<Note>();
  note->status = static_cast<int>(failure.status());
  std::string text = failure.what();
  if (text.size() > sizeof note->text) text.replace(sizeof note->text - std::strlen(kCut), text.npos, kCut);
  const auto size = static_cast<int>(offsetof(Note, text) + text.copy(note->text, sizeof note->text));
  for (const int neighbour : neighbours_) {
    MPI_Request raw = MPI_REQUEST_NULL;
    check_mpi(MPI_Isend(note.get(), size, MPI_BYTE, neighbour, kControlTag, comm_.get(), &raw),
              "cannot pass an announcement on");
    sends_.emplace_back(raw, note);
  }
}

void Control::announce(const Error& failure) {
  if (!announced_) pass_on(failure);
}

std::optional<Error> Control::poll() {
  std::erase_if(sends_, [](Request& send) { return send.test(); });
  std::optional<Error> news;
  while (true) {
    int arrived = 0;
    MPI_Status status;
    check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, kControlTag, comm_.get(), &arrived, &status),
              "cannot look for announcements");
    if (arrived == 0) return news;
    Note note{};
    // Returns at once: the note has arrived.
    check_mpi(MPI_Recv(&note, sizeof note, MPI_BYTE, status.MPI_SOURCE, kControlTag, comm_.get(), &status),
              "cannot read an announcement");
    if (announced_) continue;
    int size = 0;
    check_mpi(MPI_Get_count(&status, MPI_BYTE, &size), "cannot tell an announcement's size");
    news.emplace(static_cast<ExitStatus>(note.status),
                 std::string(note.text, static_cast<std::size_t>(size) - offsetof(Note, text)));
    pass_on(*news);
  }
}

}  // namespace vmi
