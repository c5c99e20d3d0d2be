// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/chunk_record.hpp"
#include "launcher/mpi/distribute.hpp"
#include "launcher/mpi/worker.hpp"
#include "launcher/team/target.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

namespace vmi {

/// The stream's source, on the first node. A thread reads the file chunk by chunk, checks each against its
/// hash, copies it into `copy` when given, and compresses it when that pays; the thread that calls MPI takes
/// bytes from produce().
///
/// Under Compression::automatic the queue between the two decides: when it is full the link is what limits,
/// and the thread has the time to compress (the fuller, the harder); when it runs empty, chunks go as they
/// are. So the stream follows the link's rate without measuring it.
class ChunkSource {
 public:
  ChunkSource(const Outgoing& outgoing, Compression compression, Target* copy);
  ~ChunkSource();

  std::size_t produce(std::span<std::byte> into);
  bool finished() const { return finished_; }

  /// Bytes of the file that were read, checked and copied, the metadata's first.
  Bytes done_bytes() const { return done_bytes_; }
  /// What went wrong, once finished; the receivers were told.
  std::optional<Error> failure() const;

 private:
  void work();
  void send_chunk(std::size_t chunk);
  int level_now() const;

  const Outgoing& outgoing_;
  Compression compression_;
  Target* copy_;
  Fd file_;
  HandOver<Record> records_;
  std::atomic<Bytes> done_bytes_ = 0;
  mutable std::mutex mutex_;
  std::optional<Error> failure_;  // guarded by mutex_

  Record current_;         // being given to produce()
  std::size_t taken_ = 0;  // bytes of it
  bool finished_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace vmi
