// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/collective.hpp"

#include <algorithm>
#include <cstring>

namespace vmi {
namespace {

// Longer strings go in parts of this size. Open MPI sends what is shorter than 64 KiB down a tree, and the
// rest along a chain of all ranks, which takes longer with every one of them (experiments/simgrid).
constexpr std::size_t kPart = std::size_t{60} << 10;

constexpr std::size_t kSize = sizeof(std::uint64_t);
constexpr std::size_t kFirst = 2048;  // of a broadcast

/// Broadcasts exactly bytes.size() bytes, which every rank knows already.
void broadcast_known_size(const Comm& comm, std::string& bytes, int root, const Waiter& waiter,
                          std::string_view what) {
  auto memory = std::make_shared<std::string>(std::move(bytes));
  std::vector<Request> parts;
  for (std::size_t at = 0; at < memory->size(); at += kPart) {
    const auto part = static_cast<int>(std::min(kPart, memory->size() - at));
    MPI_Request raw = MPI_REQUEST_NULL;
    check_mpi(MPI_Ibcast(memory->data() + at, part, MPI_BYTE, root, comm.get(), &raw), what);
    parts.emplace_back(raw, memory);
  }
  wait_all(parts, waiter, what);
  bytes = std::move(*memory);
}

std::int64_t all_reduce(const Comm& comm, std::int64_t mine, MPI_Op operation, const Waiter& waiter,
                        std::string_view what) {
  struct Values {
    std::int64_t mine, all;
  };
  auto values = std::make_shared<Values>(Values{mine, 0});
  MPI_Request raw = MPI_REQUEST_NULL;
  check_mpi(MPI_Iallreduce(&values->mine, &values->all, 1, MPI_INT64_T, operation, comm.get(), &raw), what);
  Request request(raw, values);
  wait_for(request, waiter, what);
  return values->all;
}

std::string packed(const std::vector<std::string>& parts) {
  std::string bytes;
  for (const std::string& part : parts) {
    const std::uint64_t length = part.size();
    bytes.append(reinterpret_cast<const char*>(&length), sizeof length).append(part);
  }
  return bytes;
}

std::vector<std::string> unpacked(const std::string& bytes) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < bytes.size();) {
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data() + at, sizeof length);
    parts.push_back(bytes.substr(at + sizeof length, length));
    at += sizeof length + length;
  }
  return parts;
}

}  // namespace

void broadcast(const Comm& comm, std::string& bytes, int root, const Waiter& waiter, std::string_view what,
               std::size_t expected) {
  // What is short, or as long as expected, goes with its size.
  const std::size_t room = std::max(kFirst, kSize + expected) - kSize;
  std::string first(kSize + room, '\0');
  std::uint64_t size = bytes.size();
  std::memcpy(first.data(), &size, kSize);
  bytes.copy(first.data() + kSize, room);
  broadcast_known_size(comm, first, root, waiter, what);
  std::memcpy(&size, first.data(), kSize);
  if (size <= room) {
    bytes = first.substr(kSize, size);
    return;
  }
  bytes.resize(size);
  broadcast_known_size(comm, bytes, root, waiter, what);
}

std::vector<std::string> gather(const Comm& comm, const std::string& mine, int root, const Waiter& waiter,
                                std::string_view what) {
  struct Memory {
    std::string mine, all;
    int length = 0;
    std::vector<int> lengths, offsets;
  };
  auto memory = std::make_shared<Memory>();
  const bool here = comm.rank() == root;
  memory->mine = mine;
  memory->length = static_cast<int>(mine.size());
  if (here) memory->lengths.resize(static_cast<std::size_t>(comm.size()));
  MPI_Request raw = MPI_REQUEST_NULL;
  check_mpi(
      MPI_Igather(&memory->length, 1, MPI_INT, memory->lengths.data(), 1, MPI_INT, root, comm.get(), &raw),
      what);
  Request lengths(raw, memory);
  wait_for(lengths, waiter, what);

  std::int64_t total = 0;
  for (const int length : memory->lengths) {
    memory->offsets.push_back(static_cast<int>(total));
    total += length;
  }
  if (total > INT32_MAX)
    throw Error(ExitStatus::environment, std::string(what) + ": more than 2 GiB to gather");
  memory->all.resize(static_cast<std::size_t>(total));
  check_mpi(MPI_Igatherv(memory->mine.data(), memory->length, MPI_BYTE, memory->all.data(),
                         memory->lengths.data(), memory->offsets.data(), MPI_BYTE, root, comm.get(), &raw),
            what);
  Request texts(raw, memory);
  wait_for(texts, waiter, what);

  std::vector<std::string> parts;
  for (std::size_t i = 0; i < memory->lengths.size(); ++i) {
    parts.push_back(memory->all.substr(static_cast<std::size_t>(memory->offsets[i]),
                                       static_cast<std::size_t>(memory->lengths[i])));
  }
  return parts;
}

std::vector<std::string> all_gather(const Comm& comm, const std::string& mine, const Waiter& waiter,
                                    std::string_view what) {
  std::string all = packed(gather(comm, mine, 0, waiter, what));
  broadcast(comm, all, 0, waiter, what);
  return unpacked(all);
}

std::string all_gather_flags(const Comm& comm, bool mine, const Waiter& waiter, std::string_view what) {
  struct Memory {
    char mine;
    std::string all;
  };
  const auto ranks = static_cast<std::size_t>(comm.size());
  auto memory = std::make_shared<Memory>(Memory{static_cast<char>(mine ? 1 : 0), std::string(ranks, '\0')});
  MPI_Request raw = MPI_REQUEST_NULL;
  check_mpi(MPI_Igather(&memory->mine, 1, MPI_BYTE, memory->all.data(), 1, MPI_BYTE, 0, comm.get(), &raw),
            what);
  Request request(raw, memory);
  wait_for(request, waiter, what);
  std::string all = std::move(memory->all);
  broadcast_known_size(comm, all, 0, waiter, what);
  return all;
}

Neighbours exchange_in_ring(const Comm& comm, const std::string& mine, const Waiter& waiter,
                            std::string_view what) {
  const int ranks = comm.size();
  const int before = (comm.rank() + ranks - 1) % ranks;
  const int after = (comm.rank() + 1) % ranks;
  std::vector<Request> sends;
  const auto tell = [&](int peer, int tag) {
    auto size = std::make_shared<std::uint64_t>(mine.size());
    auto text = std::make_shared<std::string>(mine);
    MPI_Request raw = MPI_REQUEST_NULL;
    check_mpi(MPI_Isend(size.get(), sizeof *size, MPI_BYTE, peer, tag, comm.get(), &raw), what);
    sends.emplace_back(raw, size);
    check_mpi(MPI_Isend(text->data(), static_cast<int>(text->size()), MPI_BYTE, peer, tag, comm.get(), &raw),
              what);
    sends.emplace_back(raw, text);
  };
  const auto hear = [&](int peer, int tag) {
    auto size = std::make_shared<std::uint64_t>(0);
    MPI_Request raw = MPI_REQUEST_NULL;
    check_mpi(MPI_Irecv(size.get(), sizeof *size, MPI_BYTE, peer, tag, comm.get(), &raw), what);
    Request length(raw, size);
    wait_for(length, waiter, what);
    auto text = std::make_shared<std::string>(*size, '\0');
    check_mpi(MPI_Irecv(text->data(), static_cast<int>(*size), MPI_BYTE, peer, tag, comm.get(), &raw), what);
    Request body(raw, text);
    wait_for(body, waiter, what);
    return std::move(*text);
  };
  if (ranks == 1) return {mine, mine};
  // Of two ranks each is before and after the other: the tag tells the ways apart.
  tell(after, kForwardTag);
  tell(before, kBackwardTag);
  Neighbours neighbours{hear(before, kForwardTag), hear(after, kBackwardTag)};
  wait_all(sends, waiter, what);
  return neighbours;
}

std::int64_t all_min(const Comm& comm, std::int64_t mine, const Waiter& waiter, std::string_view what) {
  return all_reduce(comm, mine, MPI_MIN, waiter, what);
}

std::int64_t all_max(const Comm& comm, std::int64_t mine, const Waiter& waiter, std::string_view what) {
  return all_reduce(comm, mine, MPI_MAX, waiter, what);
}

std::int64_t all_bits(const Comm& comm, std::int64_t mine, const Waiter& waiter, std::string_view what) {
  return all_reduce(comm, mine, MPI_BOR, waiter, what);
}

std::int64_t all_sum(const Comm& comm, std::int64_t mine, const Waiter& waiter, std::string_view what) {
  return all_reduce(comm, mine, MPI_SUM, waiter, what);
}

}  // namespace vmi
