// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/chunk_sink.hpp"

#include "launcher/mpi/agree.hpp"

#include <algorithm>
#include <memory>

#include <zstd.h>

namespace vmi {
namespace {

constexpr std::size_t kQueue = 8;  // chunks

ZSTD_DCtx* decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                                  ZSTD_freeDCtx);
  return context.get();
}

RecordHeader header_of(const Record& record) {
  RecordHeader header;
  std::memcpy(&header, record.data(), sizeof header);
  return header;
}

}  // namespace

ChunkSink::ChunkSink(const Payload& payload, Target& target, std::string sender)
    : payload_(payload),
      target_(target),
      sender_(std::move(sender)),
      records_(kQueue),
      plain_(kDigestChunk),
      thread_(start_worker([this] { work(); })) {
}

ChunkSink::~ChunkSink() {
  records_.abandon();
  thread_.join();
}

std::size_t ChunkSink::consume(std::span<const std::byte> from) {
  std::size_t consumed = 0;
  while (consumed < from.size() && records_.has_room()) {
    if (garbled_) return from.size();
    const bool headed = current_.size() >= sizeof(RecordHeader);
    const std::size_t whole = sizeof(RecordHeader) + (headed ? header_of(current_).bytes : 0);
    const std::size_t bytes = std::min(whole - current_.size(), from.size() - consumed);
    if (current_.empty()) current_.reserve(sizeof(RecordHeader) + kDigestChunk);
    const auto part = from.subspan(consumed, bytes);
    current_.insert(current_.end(), part.begin(), part.end());
    consumed += bytes;
    if (current_.size() < sizeof(RecordHeader)) continue;
    if (header_of(current_).bytes > kDigestChunk) {
      garbled_ = true;
      fail(Error(ExitStatus::environment, "the data of '" + payload_.name + "' from " + sender_ +
                                              " arrived garbled on " + host_name() +
                                              "; check this node's network and memory"));
    } else if (current_.size() == sizeof(RecordHeader) + header_of(current_).bytes) {
      records_.push(std::exchange(current_, {}));  // there is room: only this thread pushes
    }
  }
  return consumed;
}

void ChunkSink::work() {
  expect(0);
  bool complete = false;
  while (const std::optional<Record> record = records_.pop()) {
    if (failure()) continue;
    try {
      take(*record);
      complete = header_of(*record).chunk == RecordHeader::kComplete;
    } catch (const Error& error) {
      fail(error);
    }
  }
  if (!complete && !failure()) {
    fail(Error(ExitStatus::environment,
               "the data of '" + payload_.name + "' from " + sender_ + " ended early"));
  }
  finished_ = true;
}

/// Waits for the first chunk that is sent, from `position` on; those before it are there.
void ChunkSink::expect(std::size_t position) {
  while (position < payload_.chunks() && payload_.is_zero(payload_.chunk_at(position))) {
    done_bytes_ += payload_.chunk_bytes(payload_.chunk_at(position));
    ++position;
  }
  position_ = position;
}

/// The chunk whose turn it is; after the last one their number.
std::uint32_t ChunkSink::expected() const {
  const std::size_t end = payload_.chunks();
  return static_cast<std::uint32_t>(position_ < end ? payload_.chunk_at(position_) : end);
}

void ChunkSink::take(const Record& record) {
  const RecordHeader header = header_of(record);
  const std::span stored = std::span(record).subspan(sizeof header);
  if (header.chunk == RecordHeader::kAbort) {
    const std::string reason(reinterpret_cast<const char*>(stored.data()), stored.size());
    throw Error(ExitStatus::environment, sender_ + " stopped sending: " + reason);
  }
  const std::uint32_t end = static_cast<std::uint32_t>(payload_.chunks());
  const std::uint32_t chunk = header.chunk == RecordHeader::kComplete ? end : header.chunk;
  if (chunk != expected()) {
    throw Error(ExitStatus::environment, "got chunk " + std::to_string(chunk) + " of '" + payload_.name +
                                             "' from " + sender_ + " where chunk " +
                                             std::to_string(expected()) + " was expected");
  }
  if (chunk == end) return;

  const Bytes bytes = payload_.chunk_bytes(chunk);
  std::span<const std::byte> data = stored;
  if (stored.size() != bytes) {
    const std::size_t size =
        ZSTD_decompressDCtx(decompressor(), plain_.data(), bytes, stored.data(), stored.size());
    data = std::span(plain_).first(ZSTD_isError(size) != 0 ? 0 : size);
  }
  if (data.size() != bytes || hash64(data) != payload_.hashes[chunk]) {
    throw Error(ExitStatus::environment,
                payload_.describe_chunk(chunk) + " arrived damaged on " + host_name() +
                    ": its hash is not the announced one; check this node's network and memory");
  }
  target_.write(payload_.chunk_offset(chunk), data);
  done_bytes_ += bytes;
  expect(position_ + 1);
}

void ChunkSink::fail(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = error;
}

std::optional<Error> ChunkSink::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace vmi
