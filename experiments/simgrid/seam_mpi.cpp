// SPDX-License-Identifier: Apache-2.0
// The MPI calls of the product, by MPI's own profiling interface (MPI_X here, PMPI_X in SimGrid), for what
// SMPI does otherwise than Open MPI over TCP:
//
// - A request that is tested must also be one that can be slept for (nap()): handles here are Operations.
// - Messages between two nodes follow each other on one connection. SMPI lets all that are in flight share
// the link,
//   which delays the first of them. The first message opens the connection.
// - Collectives that do not block are linear in SMPI. Open MPI's (libnbc, 4.1) are played here, blocking,
// since the
//   product starts none that it does not wait for: barrier by dissemination, broadcast by a binomial tree
//   below 64 KiB and along a chain of all ranks from there on, reductions up and down a binomial tree, gather
//   straight to the root.
// - Bodies of large messages need not be copied (Model::contents): the product's header is, the rest is
// memory that
//   nobody ever touches.
#include "experiments/simgrid/model.hpp"
#include "experiments/simgrid/seam.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <mpi.h>
#include <simgrid/s4u.hpp>

namespace vmi {
namespace {

constexpr int kCollectiveTag = 20000;
constexpr std::size_t kCopiedBytes = 64;  // of a message whose body is not
constexpr double kLatest = 1e-3;          // a nap
/// Larger messages follow each other without a gap. SimGrid would start each only when the one before it has
/// arrived, a latency later; so it is told of none for them (simulate.cpp), and who waits for one adds it.
constexpr int kLargestSmall = 8192;

struct Rank;

struct Operation {
  Rank* owner = nullptr;
  MPI_Request request = MPI_REQUEST_NULL;  // SimGrid's, once started
  bool started = true;
  bool complete = false;
  // Of a send that waits for the ones before it:
  const void* memory = nullptr;
  int count = 0;
  int peer = -1;
  int tag = 0;
  MPI_Comm comm = MPI_COMM_NULL;
};

struct Found {
  int source, tag;
  MPI_Comm comm;
};

struct Rank {
  std::vector<Operation*> open;  // not yet tested successfully
  std::unordered_map<int, std::deque<Operation*>> sending;
};

std::vector<Rank> g_ranks;
std::unordered_set<const void*> g_bodiless;  // messages under way

Rank& mine() {
  return g_ranks[static_cast<std::size_t>(simgrid::s4u::this_actor::get_pid() - 1)];
}

MPI_Request handle(Operation* operation) {
  return reinterpret_cast<MPI_Request>(operation);
}

double now() {
  return simgrid::s4u::Engine::get_clock();
}

/// How long after the event the product's naps end, for a wait that began at `begin`.
void be_late(double begin, double share) {
  const double late = std::min((now() - begin) * share, kLatest) / 2;
  if (late > 1e-6) simgrid::s4u::this_actor::sleep_for(late);
}

void start(Operation& send) {
  send.started = true;
  if (!g_model.contents && send.count > 4096) g_bodiless.insert(send.memory);
  PMPI_Issend(send.memory, send.count, MPI_BYTE, send.peer, send.tag, send.comm, &send.request);
}

/// The operation is complete: the next message to the same peer can go.
void finish(Rank& rank, Operation& operation) {
  operation.complete = true;
  if (operation.peer < 0) return;
  auto& queue = rank.sending[operation.peer];
  queue.pop_front();
  if (!queue.empty()) start(*queue.front());
}

Operation* opened(std::unique_ptr<Operation> operation) {
  operation->owner = &mine();
  operation->owner->open.push_back(operation.get());
  return operation.release();
}

/// Called by any rank: abandoned operations (launcher/mpi/comm.cpp) are in one list here, where all ranks are
/// one process.
void close(Operation* operation) {
  std::erase(operation->owner->open, operation);
  delete operation;
}

void copy(smx_activity_t activity, void* buffer, std::size_t bytes) {
  auto* comm = reinterpret_cast<simgrid::kernel::activity::CommImpl*>(activity);
  smpi_comm_copy_buffer_callback(comm, buffer,
                                 g_bodiless.erase(buffer) > 0 ? std::min(bytes, kCopiedBytes) : bytes);
}

}  // namespace

void prepare_seam(int ranks) {
  g_ranks.resize(static_cast<std::size_t>(ranks));
  smpi_comm_set_copy_data_callback(copy);
}

void nap(double seconds) {
  Rank& rank = mine();
  std::vector<MPI_Request> requests;
  std::vector<Operation*> waiting;
  for (Operation* operation : rank.open) {
    if (operation->complete || !operation->started) continue;
    requests.push_back(operation->request);
    waiting.push_back(operation);
  }
  if (requests.empty()) {
    simgrid::s4u::this_actor::sleep_for(seconds);
    return;
  }
  const double begin = now();
  int index = MPI_UNDEFINED;
  PMPI_Waitany(static_cast<int>(requests.size()), requests.data(), &index, MPI_STATUS_IGNORE);
  Operation& operation = *waiting[static_cast<std::size_t>(index)];
  operation.request = MPI_REQUEST_NULL;
  finish(rank, operation);
  const bool piece = operation.peer < 0 && operation.count > kLargestSmall;
  if (piece && now() > begin) simgrid::s4u::this_actor::sleep_for(2 * g_model.latency_s);
  be_late(begin, 0.25);
}

// Collectives, as Open MPI's libnbc has them.
namespace {

struct Group {
  explicit Group(MPI_Comm communicator) : comm(communicator) {
    PMPI_Comm_rank(comm, &rank);
    PMPI_Comm_size(comm, &size);
  }
  MPI_Comm comm;
  int rank = 0;
  int size = 0;
};

void receive(const Group& group, void* memory, std::size_t bytes, int from) {
  const double begin = now();
  PMPI_Recv(memory, static_cast<int>(bytes), MPI_BYTE, from, kCollectiveTag, group.comm, MPI_STATUS_IGNORE);
  be_late(begin, 1.0 / 16);
}

/// A message on its way; its memory has to last until it is gone. Not SMPI's detached sends: those stay in a
/// list of the sender that every later operation looks through.
class Sending {
 public:
  Sending(const Group& group, const void* memory, std::size_t bytes, int to) {
    PMPI_Issend(memory, static_cast<int>(bytes), MPI_BYTE, to, kCollectiveTag, group.comm, &request_);
  }
  Sending(Sending&& other) noexcept : request_(std::exchange(other.request_, MPI_REQUEST_NULL)) {}
  Sending& operator=(Sending&&) = delete;
  ~Sending() {
    if (request_ != MPI_REQUEST_NULL) PMPI_Wait(&request_, MPI_STATUS_IGNORE);
  }

 private:
  MPI_Request request_ = MPI_REQUEST_NULL;
};

void meet(const Group& group) {
  const char mine = 0;
  char theirs = 0;
  for (int distance = 1; distance < group.size; distance *= 2) {
    const Sending sending(group, &mine, 1, (group.rank + distance) % group.size);
    receive(group, &theirs, 1, (group.rank - distance + group.size) % group.size);
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
  std::vector<Sending> sendings;
  for (; bit < group.size; bit *= 2) {
    if (place + bit < group.size) sendings.emplace_back(group, memory, bytes, swapped(place + bit, root));
  }
}

void tell_by_chain(const Group& group, char* memory, std::size_t bytes, int root) {
  const std::size_t part = bytes < 524288 ? 8192 : 32768;
  const int place = swapped(group.rank, root);
  std::vector<Sending> sendings;
  for (std::size_t at = 0; at < bytes; at += part) {
    const std::size_t size = std::min(part, bytes - at);
    if (place > 0) receive(group, memory + at, size, swapped(place - 1, root));
    if (place + 1 < group.size) sendings.emplace_back(group, memory + at, size, swapped(place + 1, root));
  }
}

void tell(const Group& group, void* memory, std::size_t bytes, int root) {
  if (group.size > 4 && bytes >= 65536) {
    tell_by_chain(group, static_cast<char*>(memory), bytes, root);
  } else {
    tell_by_tree(group, static_cast<char*>(memory), bytes, root);
  }
}

void reduce(const Group& group, std::int64_t& value, MPI_Op operation) {
  for (int bit = 1; bit < group.size; bit *= 2) {
    if ((group.rank & bit) != 0) {
      const Sending sending(group, &value, sizeof value, group.rank - bit);
      return;
    }
    if (group.rank + bit >= group.size) continue;
    std::int64_t other = 0;
    receive(group, &other, sizeof other, group.rank + bit);
    value = operation == MPI_MIN   ? std::min(value, other)
            : operation == MPI_MAX ? std::max(value, other)
                                   : value + other;
  }
}

/// `place(rank)`: where the root wants the bytes of a rank, and how many there are.
template <typename Place>
void collect(const Group& group, const void* mine, std::size_t bytes, int root, Place&& place) {
  if (group.rank != root) {
    const Sending sending(group, mine, bytes, root);
    return;
  }
  std::vector<MPI_Request> requests(static_cast<std::size_t>(group.size), MPI_REQUEST_NULL);
  for (int rank = 0; rank < group.size; ++rank) {
    const auto [memory, size] = place(rank);
    if (rank == root) {
      std::memcpy(memory, mine, size);
    } else {
      PMPI_Irecv(memory, static_cast<int>(size), MPI_BYTE, rank, kCollectiveTag, group.comm,
                 &requests[static_cast<std::size_t>(rank)]);
    }
  }
  for (MPI_Request& request : requests) {
    if (request != MPI_REQUEST_NULL) PMPI_Wait(&request, MPI_STATUS_IGNORE);
  }
}

/// What making a communicator says: all ranks agree on its number, in two reductions.
void agree_on_number(const Group& group) {
  std::int64_t number = 0;
  for (int round = 0; round < 2; ++round) {
    reduce(group, number, MPI_MAX);
    tell(group, &number, sizeof number, 0);
  }
}

}  // namespace
}  // namespace vmi

using vmi::Group;
using vmi::Operation;

extern "C" {

int MPI_Init_thread(int* argc, char*** argv, int required, int* provided) {
  const int code = PMPI_Init_thread(argc, argv, required, provided);
  *provided = required;  // there are no threads
  return code;
}

int MPI_Isend(const void* memory, int count, MPI_Datatype type, int peer, int tag, MPI_Comm comm,
              MPI_Request* request) {
  auto operation = std::make_unique<Operation>();
  const int code = PMPI_Isend(memory, count, type, peer, tag, comm, &operation->request);
  *request = vmi::handle(vmi::opened(std::move(operation)));
  return code;
}

int MPI_Issend(const void* memory, int count, MPI_Datatype /*bytes*/, int peer, int tag, MPI_Comm comm,
               MPI_Request* request) {
  vmi::Rank& rank = vmi::mine();
  auto operation = std::make_unique<Operation>();
  *operation = {.started = false, .memory = memory, .count = count, .peer = peer, .tag = tag, .comm = comm};
  const bool is_new = !rank.sending.contains(peer);
  auto& queue = rank.sending[peer];
  if (is_new) simgrid::s4u::this_actor::sleep_for(vmi::g_model.connect_s);
  queue.push_back(operation.get());
  if (queue.size() == 1) vmi::start(*operation);
  *request = vmi::handle(vmi::opened(std::move(operation)));
  return MPI_SUCCESS;
}

int MPI_Irecv(void* memory, int count, MPI_Datatype type, int peer, int tag, MPI_Comm comm,
              MPI_Request* request) {
  auto operation = std::make_unique<Operation>();
  operation->count = count;
  const int code = PMPI_Irecv(memory, count, type, peer, tag, comm, &operation->request);
  *request = vmi::handle(vmi::opened(std::move(operation)));
  return code;
}

// SMPI has no matched probe. The product receives what it found before it looks again, so that the two agree.
int MPI_Improbe(int /*any*/, int tag, MPI_Comm comm, int* flag, MPI_Message* message, MPI_Status* status) {
  const int code = PMPI_Iprobe(MPI_ANY_SOURCE, tag, comm, flag, status);
  if (*flag != 0) *message = new vmi::Found{status->MPI_SOURCE, tag, comm};
  return code;
}

int MPI_Imrecv(void* memory, int count, MPI_Datatype type, MPI_Message* message, MPI_Request* request) {
  const std::unique_ptr<vmi::Found> found(static_cast<vmi::Found*>(*message));
  *message = MPI_MESSAGE_NULL;
  return MPI_Irecv(memory, count, type, found->source, found->tag, found->comm, request);
}

/// Does not ask SMPI: operations complete in nap(), which every wait of the product comes to.
int MPI_Test(MPI_Request* request, int* flag, MPI_Status* /*ignored*/) {
  auto* operation = reinterpret_cast<Operation*>(*request);
  *flag = operation == nullptr || operation->complete ? 1 : 0;
  if (operation != nullptr && operation->complete) {
    vmi::close(operation);
    *request = MPI_REQUEST_NULL;
  }
  return MPI_SUCCESS;
}

int MPI_Testsome(int count, MPI_Request* requests, int* completed, int* indices, MPI_Status* /*ignored*/) {
  *completed = 0;
  for (int i = 0; i < count; ++i) {
    if (requests[i] == MPI_REQUEST_NULL) continue;
    int done = 0;
    MPI_Test(&requests[i], &done, MPI_STATUS_IGNORE);
    if (done != 0) indices[(*completed)++] = i;
  }
  return MPI_SUCCESS;
}

int MPI_Ibarrier(MPI_Comm comm, MPI_Request* request) {
  vmi::meet(Group(comm));
  *request = MPI_REQUEST_NULL;
  return MPI_SUCCESS;
}

int MPI_Ibcast(void* memory, int count, MPI_Datatype /*bytes*/, int root, MPI_Comm comm,
               MPI_Request* request) {
  vmi::tell(Group(comm), memory, static_cast<std::size_t>(count), root);
  *request = MPI_REQUEST_NULL;
  return MPI_SUCCESS;
}

int MPI_Iallreduce(const void* mine, void* all, int /*one*/, MPI_Datatype /*int64*/, MPI_Op operation,
                   MPI_Comm comm, MPI_Request* request) {
  const Group group(comm);
  std::int64_t value = *static_cast<const std::int64_t*>(mine);
  vmi::reduce(group, value, operation);
  vmi::tell(group, &value, sizeof value, 0);
  *static_cast<std::int64_t*>(all) = value;
  *request = MPI_REQUEST_NULL;
  return MPI_SUCCESS;
}

int MPI_Igather(const void* mine, int count, MPI_Datatype type, void* all, int /*counts*/,
                MPI_Datatype /*types*/, int root, MPI_Comm comm, MPI_Request* request) {
  int size = 0;
  PMPI_Type_size(type, &size);
  const std::size_t bytes = static_cast<std::size_t>(count) * static_cast<std::size_t>(size);
  vmi::collect(Group(comm), mine, bytes, root, [&](int rank) {
    return std::pair(static_cast<char*>(all) + static_cast<std::size_t>(rank) * bytes, bytes);
  });
  *request = MPI_REQUEST_NULL;
  return MPI_SUCCESS;
}

int MPI_Igatherv(const void* mine, int count, MPI_Datatype /*bytes*/, void* all, const int* counts,
                 const int* offsets, MPI_Datatype /*bytes*/, int root, MPI_Comm comm, MPI_Request* request) {
  vmi::collect(Group(comm), mine, static_cast<std::size_t>(count), root, [&](int rank) {
    return std::pair(static_cast<char*>(all) + offsets[rank], static_cast<std::size_t>(counts[rank]));
  });
  *request = MPI_REQUEST_NULL;
  return MPI_SUCCESS;
}

int MPI_Comm_dup(MPI_Comm comm, MPI_Comm* made) {
  vmi::agree_on_number(Group(comm));
  return PMPI_Comm_dup(comm, made);
}

int MPI_Comm_split(MPI_Comm comm, int color, int key, MPI_Comm* made) {
  vmi::agree_on_number(Group(comm));
  return PMPI_Comm_split(comm, color, key, made);
}
}
