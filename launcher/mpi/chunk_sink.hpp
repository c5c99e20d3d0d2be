// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/chunk_record.hpp"
#include "launcher/mpi/worker.hpp"
#include "launcher/team/payload.hpp"
#include "launcher/team/target.hpp"

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

namespace vmi {

/// The stream's end on a receiving node. The thread that calls MPI gives bytes to consume(), which puts
/// chunks together; a thread decompresses each, checks it against its announced hash and writes it into the
/// target. After a failure, which is kept, the rest of the stream is taken and dropped, so that nobody behind
/// this node has to wait.
class ChunkSink {
 public:
  /// `sender` names the source in messages.
  ChunkSink(const Payload& payload, Target& target, std::string sender);
  ~ChunkSink();

  std::size_t consume(std::span<const std::byte> from);
  /// Nothing more will come to consume().
  void close() { records_.close(); }
  /// After close(): all that came has been dealt with.
  bool finished() const { return finished_; }
  /// Bytes of the file that are written and checked, the metadata's first.
  Bytes done_bytes() const { return done_bytes_; }
  std::optional<Error> failure() const;

 private:
  void work();
  void take(const Record& record);
  void fail(const Error& error);
  void expect(std::size_t position);
  std::uint32_t expected() const;

  const Payload& payload_;
  Target& target_;
  std::string sender_;
  HandOver<Record> records_;
  std::atomic<Bytes> done_bytes_ = 0;
  std::atomic<bool> finished_ = false;
  mutable std::mutex mutex_;
  std::optional<Error> failure_;  // guarded by mutex_

  Record current_;                // being put together by consume()
  bool garbled_ = false;          // consume() lost track of the records
  std::size_t position_ = 0;      // of the chunk that comes next, of the worker
  std::vector<std::byte> plain_;  // scratch of the worker
  std::thread thread_;            // last: it uses all of the above
};

}  // namespace vmi
