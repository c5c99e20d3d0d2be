// SPDX-License-Identifier: Apache-2.0
// The MPI calls of the product between two ranks, and communicators. SimGrid's own MPI (SMPI) has them too,
// but keeps of every communicator a table of all ranks on each rank, which 16,384 ranks have no room for; so
// here they are played on SimGrid's actors, clock and timers, over network.hpp:
//
// - A message goes as soon as it is sent and is kept where it arrives until somebody receives it. MPI_Issend
// is
//   complete when that is known, two latencies later; MPI_Isend at once.
// - Operations complete while their rank naps; a rank that has nothing to wait for sleeps.
// - Bodies of large messages need not be copied (Model::contents): the product's header is, the rest is
// memory
//   that nobody ever touches.
#include "experiments/simgrid/model.hpp"
#include "experiments/simgrid/network.hpp"
#include "experiments/simgrid/seam.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <numeric>
#include <unordered_map>

#include <simgrid/s4u.hpp>

namespace vmi {
namespace {

constexpr int kCollectiveTag = 20000;
constexpr std::size_t kCopiedBytes = 64;     // of a message whose body is not
constexpr std::size_t kSmallBytes = 4096;    // is always copied whole
constexpr double kLatest = 1e-3;             // a nap
constexpr double kFlowNaps = 1.0 / 4;        // how late they are, as a share of the wait
constexpr double kCollectiveNaps = 1.0 / 4;  // launcher/mpi/wait.hpp

struct Rank;

struct Operation {
  Rank* owner = nullptr;
  bool complete = false;
  void* memory = nullptr;  // of a receive
};

struct Message {
  int source = 0;  // in its communicator
  std::size_t bytes = 0;
  const void* body = nullptr;
  std::unique_ptr<std::byte[]> copy;  // which the body then is in
  Operation* sender = nullptr;        // that waits for it to be received
};

/// What came, and who waits for it, of one communicator and tag.
struct Box {
  std::vector<std::pair<int, Operation*>> receives;  // with their sources; few
  std::unordered_map<int, std::vector<std::unique_ptr<Message>>> messages;
  std::deque<int> sources;  // of messages in the order of their arrival; some may be gone
};

struct Rank {
  std::vector<std::pair<std::uint64_t, std::unique_ptr<Box>>> boxes;  // by context and tag; few
  std::unique_ptr<Group> world;
  std::unique_ptr<Group> self;  // when it was asked for
  simgrid::s4u::SemaphorePtr wake = simgrid::s4u::Semaphore::create(0);
  int open = 0;       // operations that are not complete
  bool news = false;  // one was completed since it last napped
  bool napping = false;
  double since = 0, late_share = 0;
};

std::vector<Rank> g_ranks;

struct Found {
  const Group* group;
  int source, tag;
};

Rank& mine() {
  return g_ranks[static_cast<std::size_t>(simgrid::s4u::this_actor::get_pid() - 1)];
}

Box& box_of(Rank& rank, int context, int tag) {
  const auto key = static_cast<std::uint64_t>(context) << 32 | static_cast<std::uint32_t>(tag);
  for (auto& [known, box] : rank.boxes) {
    if (known == key) return *box;
  }
  return *rank.boxes.emplace_back(key, std::make_unique<Box>()).second;
}

void complete(Operation& operation) {
  Rank& rank = *operation.owner;
  operation.complete = true;
  rank.news = true;
  --rank.open;
  if (!rank.napping) return;
  rank.napping = false;
  const double late = std::min((now() - rank.since) * rank.late_share, kLatest) / 2;
  if (late > 1e-6) {
    at(now() + late, [&rank] { rank.wake->release(); });
  } else {
    rank.wake->release();
  }
}

/// Until an operation of this rank is complete.
void wait_for_news(double late_share) {
  Rank& rank = mine();
  if (!std::exchange(rank.news, false)) {
    rank.napping = true;
    rank.since = now();
    rank.late_share = late_share;
    rank.wake->acquire();
    rank.news = false;
  }
}

void hand_over(const Message& message, void* memory) {
  const bool whole = g_model.contents || message.copy || message.bytes <= kSmallBytes;
  if (message.bytes > 0) std::memcpy(memory, message.body, whole ? message.bytes : kCopiedBytes);
  if (message.sender == nullptr) return;
  at(now() + 2 * g_model.latency_s, [sender = message.sender] { complete(*sender); });
}

void arrive(Box& box, std::unique_ptr<Message> message) {
  const auto receive = std::ranges::find(box.receives, message->source, &std::pair<int, Operation*>::first);
  if (receive == box.receives.end()) {
    box.sources.push_back(message->source);
    box.messages[message->source].push_back(std::move(message));
    return;
  }
  Operation& operation = *receive->second;
  box.receives.erase(receive);
  hand_over(*message, operation.memory);
  complete(operation);
}

/// The oldest message of this source, if there is one.
std::unique_ptr<Message> taken(Box& box, int source) {
  const auto found = box.messages.find(source);
  if (found == box.messages.end()) return nullptr;
  std::unique_ptr<Message> message = std::move(found->second.front());
  found->second.erase(found->second.begin());
  if (found->second.empty()) box.messages.erase(found);
  if (box.messages.empty()) {
    box.sources.clear();
  } else if (box.sources.front() == source) {
    box.sources.pop_front();
  }
  return message;
}

void post(const Group& group, int tag, int source, Operation& operation) {
  Box& box = box_of(mine(), group.context, tag);
  operation.owner = &mine();
  ++operation.owner->open;
  if (const auto message = taken(box, source)) {
    hand_over(*message, operation.memory);
    complete(operation);
  } else {
    box.receives.emplace_back(source, &operation);
  }
}

void dispatch(const Group& group, int peer, int tag, std::unique_ptr<Message> message) {
  message->source = group.rank;
  const int from = (*group.members)[static_cast<std::size_t>(group.rank)];
  const int to = (*group.members)[static_cast<std::size_t>(peer)];
  Box& box = box_of(g_ranks[static_cast<std::size_t>(to)], group.context, tag);
  const std::size_t bytes = message->bytes;
  // A bare pointer, which a std::function holds without memory of its own.
  send_over_network(from, to, bytes,
                    [&box, sent = message.release()] { arrive(box, std::unique_ptr<Message>(sent)); });
}

std::unique_ptr<Message> copy_of(const void* memory, std::size_t bytes) {
  auto message = std::make_unique<Message>();
  message->bytes = bytes;
  message->copy = std::make_unique_for_overwrite<std::byte[]>(bytes);
  if (bytes > 0) std::memcpy(message->copy.get(), memory, bytes);
  message->body = message->copy.get();
  return message;
}

MPI_Request handle(Operation* operation) {
  return reinterpret_cast<MPI_Request>(operation);
}

/// Of a split under way: what each rank said, and what came of it.
struct Split {
  struct Place {
    int key, rank;
    bool operator<(const Place& other) const { return std::tie(key, rank) < std::tie(other.key, other.rank); }
  };
  std::map<int, std::vector<Place>> places;  // by colour
  std::map<int, Group> groups;               // with the members, and no rank
  std::map<int, int> rank_of;                // among its own, by rank of the whole
  int left = 0;                              // ranks that have not asked yet
};

std::map<std::pair<int, int>, Split> g_splits;  // by context and number of the split in it
int g_contexts = 1;

void decide(Split& split, const Group& whole) {
  for (auto& [colour, places] : split.places) {
    std::sort(places.begin(), places.end());
    auto members = std::make_shared<std::vector<int>>();
    for (const auto& place : places) {
      split.rank_of[place.rank] = static_cast<int>(members->size());
      members->push_back((*whole.members)[static_cast<std::size_t>(place.rank)]);
    }
    split.groups[colour] = {.members = std::move(members), .context = g_contexts++};
  }
  split.left = whole.size();
}

}  // namespace

void agree_on_number(const Group& group);  // seam_collectives.cpp

void prepare_seam(int ranks) {
  set_up_network(ranks);
  g_ranks.resize(static_cast<std::size_t>(ranks));
  auto members = std::make_shared<std::vector<int>>(static_cast<std::size_t>(ranks));
  std::iota(members->begin(), members->end(), 0);
  for (int rank = 0; rank < ranks; ++rank)
    g_ranks[static_cast<std::size_t>(rank)].world =
        std::make_unique<Group>(Group{.members = members, .rank = rank});
}

void pause(double seconds) {
  Rank& rank = mine();
  at(now() + seconds, [&rank] { rank.wake->release(); });
  rank.wake->acquire();
}

void nap(double seconds) {
  if (mine().open > 0 || mine().news) {
    wait_for_news(kFlowNaps);
  } else {
    pause(seconds);
  }
}

const Group& group_of(MPI_Comm comm) {
  return comm == MPI_COMM_WORLD ? *mine().world : *reinterpret_cast<const Group*>(comm);
}

void send(const Group& group, const void* memory, std::size_t bytes, int peer) {
  dispatch(group, peer, kCollectiveTag, copy_of(memory, bytes));
}

void receive(const Group& group, void* memory, std::size_t /*bytes*/, int peer) {
  Operation operation{.memory = memory};
  post(group, kCollectiveTag, peer, operation);
  while (!operation.complete) wait_for_news(kCollectiveNaps);
}

/// Collective. All ranks have said theirs when the agreement is over.
MPI_Comm split(const Group& whole, int colour, int key) {
  const std::pair which(whole.context, whole.splits++);
  if (colour != MPI_UNDEFINED) g_splits[which].places[colour].push_back({key, whole.rank});
  agree_on_number(whole);
  Split& split = g_splits[which];
  if (split.left == 0) decide(split, whole);
  MPI_Comm made = MPI_COMM_NULL;
  if (colour != MPI_UNDEFINED) {
    auto* group = new Group(split.groups.at(colour));
    group->rank = split.rank_of.at(whole.rank);
    made = reinterpret_cast<MPI_Comm>(group);
  }
  if (--split.left == 0) g_splits.erase(which);
  return made;
}

MPI_Comm self_group() {
  Rank& rank = mine();
  if (!rank.self) {
    auto members = std::make_shared<const std::vector<int>>(1, rank.world->rank);
    rank.self = std::make_unique<Group>(Group{.members = std::move(members), .context = g_contexts++});
  }
  return reinterpret_cast<MPI_Comm>(rank.self.get());
}

}  // namespace vmi

using vmi::Operation;

extern "C" {

/// MPI_COMM_SELF.
MPI_Comm smpi_process_comm_self() {
  return vmi::self_group();
}

int MPI_Init_thread(int*, char***, int required, int* provided) {
  *provided = required;  // there are no threads
  return MPI_SUCCESS;
}

int MPI_Initialized(int* flag) {
  *flag = 1;
  return MPI_SUCCESS;
}

int MPI_Finalized(int* flag) {
  *flag = 0;
  return MPI_SUCCESS;
}

int MPI_Finalize() {
  return MPI_SUCCESS;
}

int MPI_Abort(MPI_Comm, int status) {
  std::exit(status);
}

int MPI_Error_string(int, char* text, int* length) {
  *text = '\0';
  *length = 0;
  return MPI_SUCCESS;
}

int MPI_Comm_set_errhandler(MPI_Comm, MPI_Errhandler) {
  return MPI_SUCCESS;
}

int MPI_Comm_rank(MPI_Comm comm, int* rank) {
  *rank = vmi::group_of(comm).rank;
  return MPI_SUCCESS;
}

int MPI_Comm_size(MPI_Comm comm, int* size) {
  *size = vmi::group_of(comm).size();
  return MPI_SUCCESS;
}

int MPI_Comm_dup(MPI_Comm comm, MPI_Comm* made) {
  const vmi::Group& whole = vmi::group_of(comm);
  *made = vmi::split(whole, 0, whole.rank);
  return MPI_SUCCESS;
}

int MPI_Comm_split(MPI_Comm comm, int color, int key, MPI_Comm* made) {
  *made = vmi::split(vmi::group_of(comm), color, key);
  return MPI_SUCCESS;
}

int MPI_Comm_free(MPI_Comm* comm) {
  delete reinterpret_cast<vmi::Group*>(*comm);
  *comm = MPI_COMM_NULL;
  return MPI_SUCCESS;
}

int MPI_Isend(const void* memory, int count, MPI_Datatype /*bytes*/, int peer, int tag, MPI_Comm comm,
              MPI_Request* request) {
  vmi::dispatch(vmi::group_of(comm), peer, tag, vmi::copy_of(memory, static_cast<std::size_t>(count)));
  *request = MPI_REQUEST_NULL;
  return MPI_SUCCESS;
}

int MPI_Issend(const void* memory, int count, MPI_Datatype /*bytes*/, int peer, int tag, MPI_Comm comm,
               MPI_Request* request) {
  auto* operation = new Operation{.owner = &vmi::mine()};
  ++operation->owner->open;
  auto message = std::make_unique<vmi::Message>();
  message->bytes = static_cast<std::size_t>(count);
  message->body = memory;
  message->sender = operation;
  vmi::dispatch(vmi::group_of(comm), peer, tag, std::move(message));
  *request = vmi::handle(operation);
  return MPI_SUCCESS;
}

int MPI_Irecv(void* memory, int /*count*/, MPI_Datatype /*bytes*/, int peer, int tag, MPI_Comm comm,
              MPI_Request* request) {
  auto* operation = new Operation{.memory = memory};
  vmi::post(vmi::group_of(comm), tag, peer, *operation);
  *request = vmi::handle(operation);
  return MPI_SUCCESS;
}

int MPI_Recv(void* memory, int count, MPI_Datatype type, int peer, int tag, MPI_Comm comm, MPI_Status*) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Irecv(memory, count, type, peer, tag, comm, &request);  // of what was probed: it is there
  int done = 0;
  return MPI_Test(&request, &done, MPI_STATUS_IGNORE);
}

int MPI_Iprobe(int /*any*/, int tag, MPI_Comm comm, int* flag, MPI_Status* status) {
  vmi::Box& box = vmi::box_of(vmi::mine(), vmi::group_of(comm).context, tag);
  while (!box.sources.empty() && !box.messages.contains(box.sources.front())) box.sources.pop_front();
  *flag = box.sources.empty() ? 0 : 1;
  if (*flag == 0) return MPI_SUCCESS;
  status->MPI_SOURCE = box.sources.front();
  status->count = static_cast<int>(box.messages.at(status->MPI_SOURCE).front()->bytes);
  return MPI_SUCCESS;
}

int MPI_Get_library_version(char* text, int* length) {
  constexpr char kName[] = "simulated";
  std::memcpy(text, kName, sizeof kName);
  *length = sizeof kName - 1;
  return MPI_SUCCESS;
}

int MPI_Get_count(const MPI_Status* status, MPI_Datatype /*bytes*/, int* count) {
  *count = status->count;
  return MPI_SUCCESS;
}

// The product receives what it found before it looks again, so that nothing needs to be kept apart.
int MPI_Improbe(int any, int tag, MPI_Comm comm, int* flag, MPI_Message* message, MPI_Status* status) {
  MPI_Iprobe(any, tag, comm, flag, status);
  if (*flag != 0) *message = new vmi::Found{&vmi::group_of(comm), status->MPI_SOURCE, tag};
  return MPI_SUCCESS;
}

int MPI_Imrecv(void* memory, int /*count*/, MPI_Datatype /*bytes*/, MPI_Message* message,
               MPI_Request* request) {
  const std::unique_ptr<vmi::Found> found(static_cast<vmi::Found*>(*message));
  *message = MPI_MESSAGE_NULL;
  auto* operation = new Operation{.memory = memory};
  vmi::post(*found->group, found->tag, found->source, *operation);
  *request = vmi::handle(operation);
  return MPI_SUCCESS;
}

int MPI_Test(MPI_Request* request, int* flag, MPI_Status* /*ignored*/) {
  auto* operation = *request == MPI_REQUEST_NULL ? nullptr : reinterpret_cast<Operation*>(*request);
  *flag = operation == nullptr || operation->complete ? 1 : 0;
  if (operation != nullptr && operation->complete) {
    delete operation;
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
}
