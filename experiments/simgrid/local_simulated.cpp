// SPDX-License-Identifier: Apache-2.0
// The classes by which the product's ranks read, check and write chunks, for a simulation: without files,
// without threads (which SimGrid's clock does not know), and with time that is modelled. The stream has the
// same records; when messages carry no contents, only their number of bytes counts.
#include "experiments/simgrid/model.hpp"
#include "experiments/simgrid/seam.hpp"
#include "experiments/simgrid/stages.hpp"
#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/chunk_sink.hpp"
#include "launcher/mpi/chunk_source.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/mpi/lifeline.hpp"
#include "launcher/mpi/watchdog.hpp"
#include "launcher/node/node_pool.hpp"

#include <algorithm>

namespace vmi {

Model g_model;
std::size_t g_checked_bytes = 0;
std::vector<double> g_alarms;

namespace {

Bytes stream_bytes(const Payload& payload) {
  return payload.size + (payload.chunks() + 1) * sizeof(RecordHeader);
}

Record record_of(const Payload& payload, std::size_t chunk) {
  const Bytes bytes = payload.chunk_bytes(chunk);
  Record record(sizeof(RecordHeader) + bytes);
  const RecordHeader header{static_cast<std::uint32_t>(chunk), static_cast<std::uint32_t>(bytes)};
  std::memcpy(record.data(), &header, sizeof header);
  fill_chunk(chunk, std::span(record).subspan(sizeof header));
  return record;
}

}  // namespace

// NOLINTBEGIN(performance-unnecessary-value-param): as they are declared for the real ones
std::thread start_worker(std::function<void()> /*work*/) {
  return {};
}

Watchdog::Watchdog(Deadline, std::string, ExitStatus, std::string) {
}
// NOLINTEND(performance-unnecessary-value-param)
Watchdog::~Watchdog() = default;

Outgoing make_cache(const StageOptions& options) {
  Outgoing outgoing;
  Payload& payload = outgoing.payload;
  payload.name = "cache";
  outgoing.path = payload.name;
  payload.size = options.cache_bytes;
  payload.metadata_bytes = payload.size;  // chunks in the file's order, the short one last
  std::vector<std::byte> chunk(kDigestChunk);
  for (Bytes at = 0; at < payload.size; at += kDigestChunk) {
    const auto part = std::span(chunk).first(std::min<Bytes>(kDigestChunk, payload.size - at));
    fill_chunk(at / kDigestChunk, part);
    payload.hashes.push_back(hash64(part));
  }
  payload.digest = digest_of(payload.hashes);
  return outgoing;
}

void letter_taken() {
  pause(g_model.letter_s);
}

namespace {

/// seam_time.cpp ends a nap on its descriptor, which is none of the kernel's.
class SimulatedAlarm final : public Alarm {
 public:
  SimulatedAlarm() : fd_(kFirstAlarm + static_cast<int>(g_alarms.size())) { g_alarms.push_back(-1); }
  int fd() const override { return fd_; }
  void set(std::int64_t at_ns) override {
    g_alarms[static_cast<std::size_t>(fd_ - kFirstAlarm)] = static_cast<double>(at_ns) * 1e-9;
  }

 private:
  int fd_;
};

}  // namespace

std::unique_ptr<Alarm> make_alarm() {
  return std::make_unique<SimulatedAlarm>();
}

// Sockets, which the simulation has none of: what the ranks tell each other to find them.
Lifeline::Lifeline(const Comm& world, std::string_view /*node_key*/, const Waiter& waiter)
    : try_end_(Deadline::after({})), next_look_(Deadline::after({})) {
  constexpr std::size_t kAddressBytes = 55;
  exchange_in_ring(world, std::string(kAddressBytes, 'a'), waiter, "addresses");
}
std::optional<Lifeline::Lost> Lifeline::lost() {
  return std::nullopt;
}
void Lifeline::close() {
}

// Each node's pool is empty, and takes what comes.
NodePool::NodePool(const fs::path& node_dir, std::optional<Bytes> /*budget*/)
    : folder_(node_dir / "cache"), budget_(GiB) {
}
bool NodePool::holds(const std::string& /*digest*/, Bytes /*size*/) {
  return false;
}
bool NodePool::holds_filled(const std::string& /*name*/) {
  return false;
}
void NodePool::make_room(Bytes /*bytes*/) {
}
Bytes NodePool::room() const {
  return 1024 * GiB;
}
bool NodePool::keep(const fs::path& /*file*/, const std::string& name, const Publish& publish) {
  publish(path_of(name));
  return true;
}
bool NodePool::close() {
  return false;
}
bool NodePool::has(const std::string& /*name*/) const {
  return false;
}

Target::Target(fs::path path, const Payload&) : path_(std::move(path)) {
}
Target::~Target() = default;
void Target::write(Bytes, std::span<const std::byte> bytes) {
  g_checked_bytes += bytes.size();
}
void Target::publish(const fs::path& final_name) {
  path_ = final_name;
}

ChunkSource::ChunkSource(const Outgoing& outgoing, Compression, Target* copy)
    : outgoing_(outgoing), compression_(Compression::off), copy_(copy), records_(1) {
}
ChunkSource::~ChunkSource() = default;

/// Reading is faster than any link here, so that there is always something.
std::size_t ChunkSource::produce(std::span<std::byte> into) {
  const Payload& payload = outgoing_.payload;
  const Bytes begun = done_bytes_;  // of the stream
  std::size_t bytes = std::min<std::size_t>(into.size(), stream_bytes(payload) - begun);
  for (std::size_t at = 0; g_model.contents && at < bytes;) {
    if (taken_ == current_.size()) {
      const std::size_t chunk = (begun + at) / (sizeof(RecordHeader) + kDigestChunk);
      const bool ended =
          chunk >= payload.chunks() || begun + at + sizeof(RecordHeader) == stream_bytes(payload);
      current_ = ended ? make_record(RecordHeader::kComplete) : record_of(payload, chunk);
      taken_ = 0;
    }
    const std::size_t part = std::min(bytes - at, current_.size() - taken_);
    std::memcpy(into.data() + at, current_.data() + taken_, part);
    at += part;
    taken_ += part;
  }
  done_bytes_ = begun + bytes;
  finished_ = done_bytes_ == stream_bytes(payload);
  return bytes;
}

std::optional<Error> ChunkSource::failure() const {
  return std::nullopt;
}

ChunkSink::ChunkSink(const Payload& payload, Target& target, std::string sender)
    : payload_(payload), target_(target), sender_(std::move(sender)), records_(1), finished_(true) {
}
ChunkSink::~ChunkSink() = default;

std::size_t ChunkSink::consume(std::span<const std::byte> from) {
  if (!g_model.contents) {
    done_bytes_ = std::min<Bytes>(payload_.size, done_bytes_ + from.size());
    return from.size();
  }
  for (std::size_t at = 0; at < from.size();) {
    RecordHeader header;
    const bool headed = current_.size() >= sizeof header;
    if (headed) std::memcpy(&header, current_.data(), sizeof header);
    const std::size_t whole = sizeof header + (headed ? header.bytes : 0);
    const auto part = from.subspan(at, std::min(whole - current_.size(), from.size() - at));
    current_.insert(current_.end(), part.begin(), part.end());
    at += part.size();
    if (current_.size() < sizeof header) continue;
    std::memcpy(&header, current_.data(), sizeof header);
    if (current_.size() == sizeof header + header.bytes) take(std::exchange(current_, {}));
  }
  return from.size();
}

void ChunkSink::take(const Record& record) {
  RecordHeader header;
  std::memcpy(&header, record.data(), sizeof header);
  if (header.chunk == RecordHeader::kComplete || failure_) return;
  std::vector<std::byte> data(record.begin() + sizeof header, record.end());
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == g_model.damaged_at) data.front() ^= std::byte{1};
  if (header.chunk != position_++ || data.size() != payload_.chunk_bytes(header.chunk) ||
      hash64(data) != payload_.hashes[header.chunk]) {
    failure_ = Error(ExitStatus::environment,
                     payload_.describe_chunk(header.chunk) + " arrived damaged on " + host_name());
    return;
  }
  target_.write(payload_.chunk_offset(header.chunk), data);
  done_bytes_ += data.size();
}

/// Only the last chunk's work delays anybody: the others' is done while the next arrive.
std::optional<Error> ChunkSink::failure() const {
  pause(g_model.chunk_s);
  if (!failure_ && done_bytes_ != payload_.size)
    return Error(ExitStatus::environment,
                 "the data of '" + payload_.name + "' from " + sender_ + " ended early");
  return failure_;
}

}  // namespace vmi
