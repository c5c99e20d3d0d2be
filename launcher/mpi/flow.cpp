// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/flow.hpp"

#include <algorithm>

namespace vmi {
namespace {

constexpr std::string_view kWhat = "cannot move a piece";

}  // namespace

/// One message. An end piece carries no data; each edge sends `window` of them, one for each receive that is
/// posted at its lower end, so that no receive is left to cancel.
struct Flow::Piece {
  struct Header {
    std::uint64_t number = 0;
    std::uint32_t bytes = 0;
    std::uint32_t end = 0;
  };
  explicit Piece(std::size_t bytes)
      : size(sizeof(Header) + bytes), memory(std::make_unique_for_overwrite<std::byte[]>(size)) {}

  std::size_t size;
  std::unique_ptr<std::byte[]> memory;
  bool arrived = false;

  Header& header() { return *reinterpret_cast<Header*>(memory.get()); }
  std::span<std::byte> data() { return std::span(memory.get(), size).subspan(sizeof(Header)); }
  int message_bytes() { return static_cast<int>(sizeof(Header) + header().bytes); }
};

struct Flow::Child {
  int rank = 0;
  std::deque<std::shared_ptr<Piece>> queue;
  std::size_t in_flight = 0;
};

struct Flow::Tree {
  int tag = 0;
  int parent = -1;  // rank
  std::vector<Child> children;
  std::vector<std::shared_ptr<Piece>> pool;
  std::deque<std::shared_ptr<Piece>> posted;   // receives, in the order of the messages they will get
  std::deque<std::shared_ptr<Piece>> arrived;  // not yet consumed here
  std::size_t ends = 0;                        // end pieces received
};

struct Flow::Operation {
  std::shared_ptr<Piece> piece;
  Tree* tree = nullptr;
  int child = -1;  // -1: a receive
};

Flow::Flow(const Comm& comm, const Route& route, const DistributeOptions& options, StreamEnds ends)
    : comm_(comm),
      piece_bytes_(options.piece_bytes),
      window_(static_cast<std::size_t>(options.window)),
      ends_(std::move(ends)),
      source_(ends_.produce != nullptr) {
  for (const TreePlace& place : route) {
    Tree tree;
    tree.tag = kFirstFlowTag + static_cast<int>(trees_.size());
    tree.parent = place.parent;
    for (const int child : place.children) tree.children.push_back({child, {}, 0});
    trees_.push_back(std::move(tree));
  }
}

Flow::~Flow() {
  for (std::size_t i = 0; i < requests_.size(); ++i) Request(requests_[i], operations_[i].piece).abandon();
}

/// Nothing when all that this rank may have are in use.
std::shared_ptr<Flow::Piece> Flow::free_piece(Tree& tree) {
  for (const auto& piece : tree.pool) {
    if (piece.use_count() == 1) {  // nobody but the pool; all users are on this thread
      piece->arrived = false;
      return piece;
    }
  }
  // Posted, on their way to the children, and waiting for the other tree or for the disk.
  if (tree.pool.size() == 4 * window_) return nullptr;
  return tree.pool.emplace_back(std::make_shared<Piece>(piece_bytes_));
}

bool Flow::step() {
  complete_operations();
  bool moved = !completed_.empty();
  for (Tree& tree : trees_) moved |= take_arrivals(tree);
  moved |= source_ ? produce() : consume();
  for (Tree& tree : trees_) {
    moved |= post_receives(tree);
    moved |= post_sends(tree);
  }
  return moved;
}

void Flow::complete_operations() {
  completed_.resize(requests_.size());
  int count = 0;
  if (!requests_.empty()) {
    check_mpi(MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count, completed_.data(),
                           MPI_STATUSES_IGNORE),
              kWhat);
  }
  completed_.resize(static_cast<std::size_t>(std::max(count, 0)));  // MPI_UNDEFINED is negative
  for (const int index : completed_) {
    Operation& operation = operations_[static_cast<std::size_t>(index)];
    if (operation.child < 0) {
      operation.piece->arrived = true;
    } else {
      --operation.tree->children[static_cast<std::size_t>(operation.child)].in_flight;
    }
    operation.piece.reset();
  }
  std::erase_if(operations_, [](const Operation& operation) { return operation.piece == nullptr; });
  std::erase(requests_, MPI_REQUEST_NULL);
}

bool Flow::take_arrivals(Tree& tree) {
  bool moved = false;
  // A later receive may complete first; the pieces are taken in the order in which they were sent.
  while (!tree.posted.empty() && tree.posted.front()->arrived) {
    const std::shared_ptr<Piece> piece = std::move(tree.posted.front());
    tree.posted.pop_front();
    for (Child& child : tree.children) child.queue.push_back(piece);
    if (piece->header().end != 0) {
      ++tree.ends;
    } else {
      tree.arrived.push_back(piece);
    }
    moved = true;
  }
  return moved;
}

bool Flow::produce() {
  bool moved = false;
  while (!ended_) {
    Tree& tree = trees_[next_ % trees_.size()];
    const std::shared_ptr<Piece> piece = free_piece(tree);
    if (piece == nullptr) return moved;
    const std::size_t bytes = ends_.produce(piece->data());
    if (bytes == 0 && !ends_.finished()) return moved;
    moved = true;
    piece->header() = {next_, static_cast<std::uint32_t>(bytes), bytes == 0 ? 1U : 0U};
    if (bytes > 0) {
      for (Child& child : tree.children) child.queue.push_back(piece);
      ++next_;
      bytes_ += bytes;
      continue;
    }
    for (Tree& each : trees_) {
      for (Child& child : each.children) child.queue.insert(child.queue.end(), window_, piece);
    }
    ended_ = true;
  }
  return moved;
}

bool Flow::consume() {
  bool moved = false;
  while (true) {
    Tree& tree = trees_[next_ % trees_.size()];
    if (tree.arrived.empty()) return moved;
    Piece& piece = *tree.arrived.front();
    if (piece.header().number != next_)
      throw Error(ExitStatus::environment, "MPI delivered pieces out of order");
    const auto data = piece.data().first(piece.header().bytes).subspan(consumed_of_next_);
    const std::size_t bytes = ends_.consume(data);
    moved |= bytes > 0;
    bytes_ += bytes;
    consumed_of_next_ += bytes;
    if (bytes < data.size()) return moved;
    tree.arrived.pop_front();
    ++next_;
    consumed_of_next_ = 0;
  }
}

bool Flow::post_receives(Tree& tree) {
  bool moved = false;
  while (tree.parent >= 0 && tree.posted.size() + tree.ends < window_) {
    const std::shared_ptr<Piece> piece = free_piece(tree);
    if (piece == nullptr) break;
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(MPI_Irecv(piece->memory.get(), static_cast<int>(piece->size), MPI_BYTE, tree.parent, tree.tag,
                        comm_.get(), &request),
              kWhat);
    requests_.push_back(request);
    operations_.push_back({piece, &tree, -1});
    tree.posted.push_back(piece);
    moved = true;
  }
  return moved;
}

bool Flow::post_sends(Tree& tree) {
  bool moved = false;
  for (std::size_t i = 0; i < tree.children.size(); ++i) {
    Child& child = tree.children[i];
    while (child.in_flight < window_ && !child.queue.empty()) {
      const std::shared_ptr<Piece> piece = std::move(child.queue.front());
      child.queue.pop_front();
      MPI_Request request = MPI_REQUEST_NULL;
      check_mpi(MPI_Issend(piece->memory.get(), piece->message_bytes(), MPI_BYTE, child.rank, tree.tag,
                           comm_.get(), &request),
                kWhat);
      requests_.push_back(request);
      operations_.push_back({piece, &tree, static_cast<int>(i)});
      ++child.in_flight;
      moved = true;
    }
  }
  return moved;
}

bool Flow::done() const {
  if (source_ ? !ended_ : !requests_.empty()) return false;
  return std::all_of(trees_.begin(), trees_.end(), [&](const Tree& tree) {
    const bool received = tree.parent < 0 || (tree.ends == window_ && tree.arrived.empty());
    return received && std::all_of(tree.children.begin(), tree.children.end(), [](const Child& child) {
             return child.queue.empty() && child.in_flight == 0;
           });
  });
}

std::string Flow::waiting_for() const {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  for (const Tree& tree : trees_) {
    if (tree.parent >= 0 && tree.ends < window_) add("data from node " + std::to_string(tree.parent));
    for (const Child& child : tree.children) {
      if (child.in_flight > 0) add("node " + std::to_string(child.rank) + " to take data");
    }
  }
  return text;
}

}  // namespace vmi
