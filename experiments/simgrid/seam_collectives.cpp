// SPDX-License-Identifier: Apache-2.0
// The collective MPI calls of the product as Open MPI 4.1 has those that do not block (libnbc), played
// blocking, since the product starts none that it does not wait for: barrier by dissemination, broadcast by a
// binomial tree below 64 KiB and along a chain of all ranks from there on, reductions up and down a binomial
// tree, gather straight to the root.
#include "experiments/simgrid/seam.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

namespace vmi {
namespace {

void meet(const Group& group) {
  const char mine = 0;
  char theirs = 0;
  for (int distance = 1; distance < group.size(); distance *= 2) {
    send(group, &mine, 1, (group.rank + distance) % group.size());
    receive(group, &theirs, 1, (group.rank - distance + group.size()) % group.size());
  }
}

/// libnbc lets the root and rank 0 change places.
int swapped(int rank, int root) {
  return rank == 0 ? root : rank == root ? 0 : rank;
}

void tell_by_tree(const Group& group, char* memory, std::size_t bytes, int root) {
  const int place = swapped(group.rank, root);
  int bit = 1;
  while (bit <= place) bit *= 2;
  if (place > 0) receive(group, memory, bytes, swapped(place - bit / 2, root));
  for (; bit < group.size(); bit *= 2) {
    if (place + bit < group.size()) send(group, memory, bytes, swapped(place + bit, root));
  }
}

void tell_by_chain(const Group& group, char* memory, std::size_t bytes, int root) {
  const std::size_t part = bytes < 524288 ? 8192 : 32768;
  const int place = swapped(group.rank, root);
  for (std::size_t at = 0; at < bytes; at += part) {
    const std::size_t size = std::min(part, bytes - at);
    if (place > 0) receive(group, memory + at, size, swapped(place - 1, root));
    if (place + 1 < group.size()) send(group, memory + at, size, swapped(place + 1, root));
  }
}

void tell(const Group& group, void* memory, std::size_t bytes, int root) {
  if (group.size() > 4 && bytes >= 65536) {
    tell_by_chain(group, static_cast<char*>(memory), bytes, root);
  } else {
    tell_by_tree(group, static_cast<char*>(memory), bytes, root);
  }
}

void reduce(const Group& group, std::int64_t& value, MPI_Op operation) {
  for (int bit = 1; bit < group.size(); bit *= 2) {
    if ((group.rank & bit) != 0) {
      send(group, &value, sizeof value, group.rank - bit);
      return;
    }
    if (group.rank + bit >= group.size()) continue;
    std::int64_t other = 0;
    receive(group, &other, sizeof other, group.rank + bit);
    value = operation == MPI_MIN   ? std::min(value, other)
            : operation == MPI_MAX ? std::max(value, other)
            : operation == MPI_BOR ? value | other
                                   : value + other;
  }
}

/// `place(rank)`: where the root wants the bytes of a rank, and how many there are.
template <typename Place>
void collect(const Group& group, const void* mine, std::size_t bytes, int root, Place&& place) {
  if (group.rank != root) {
    send(group, mine, bytes, root);
    return;
  }
  for (int rank = 0; rank < group.size(); ++rank) {
    const auto [memory, size] = place(rank);
    if (rank == root) {
      std::memcpy(memory, mine, size);
    } else {
      receive(group, memory, size, rank);
    }
  }
}

std::size_t size_of(MPI_Datatype type) {
  return type == MPI_INT ? sizeof(int) : type == MPI_INT64_T ? sizeof(std::int64_t) : 1;
}

}  // namespace

/// What making a communicator says: all ranks agree on its number, in two reductions.
void agree_on_number(const Group& group) {
  std::int64_t number = 0;
  for (int round = 0; round < 2; ++round) {
    reduce(group, number, MPI_MAX);
    tell(group, &number, sizeof number, 0);
  }
}

}  // namespace vmi

using vmi::group_of;

extern "C" {

int MPI_Ibarrier(MPI_Comm comm, MPI_Request* request) {
  vmi::meet(group_of(comm));
  *request = MPI_REQUEST_NULL;
  return MPI_SUCCESS;
}

int MPI_Ibcast(void* memory, int count, MPI_Datatype /*bytes*/, int root, MPI_Comm comm,
               MPI_Request* request) {
  vmi::tell(group_of(comm), memory, static_cast<std::size_t>(count), root);
  *request = MPI_REQUEST_NULL;
  return MPI_SUCCESS;
}

int MPI_Iallreduce(const void* mine, void* all, int /*one*/, MPI_Datatype /*int64*/, MPI_Op operation,
                   MPI_Comm comm, MPI_Request* request) {
  std::int64_t value = *static_cast<const std::int64_t*>(mine);
  vmi::reduce(group_of(comm), value, operation);
  vmi::tell(group_of(comm), &value, sizeof value, 0);
  *static_cast<std::int64_t*>(all) = value;
  *request = MPI_REQUEST_NULL;
  return MPI_SUCCESS;
}

int MPI_Igather(const void* mine, int count, MPI_Datatype type, void* all, int /*counts*/,
                MPI_Datatype /*types*/, int root, MPI_Comm comm, MPI_Request* request) {
  const std::size_t bytes = static_cast<std::size_t>(count) * vmi::size_of(type);
  vmi::collect(group_of(comm), mine, bytes, root, [&](int rank) {
    return std::pair(static_cast<char*>(all) + static_cast<std::size_t>(rank) * bytes, bytes);
  });
  *request = MPI_REQUEST_NULL;
  return MPI_SUCCESS;
}

int MPI_Igatherv(const void* mine, int count, MPI_Datatype /*bytes*/, void* all, const int* counts,
                 const int* offsets, MPI_Datatype /*bytes*/, int root, MPI_Comm comm, MPI_Request* request) {
  vmi::collect(group_of(comm), mine, static_cast<std::size_t>(count), root, [&](int rank) {
    return std::pair(static_cast<char*>(all) + offsets[rank], static_cast<std::size_t>(counts[rank]));
  });
  *request = MPI_REQUEST_NULL;
  return MPI_SUCCESS;
}
}
