// SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/chunk_source.hpp"

#include <algorithm>

#include <fcntl.h>
#include <zstd.h>

namespace vmi {
namespace {

constexpr std::size_t kQueue = 8;  // chunks

ZSTD_CCtx* compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                                  ZSTD_freeCCtx);
  return context.get();
}

}  // namespace

ChunkSource::ChunkSource(const Outgoing& outgoing, Compression compression, Target* copy)
    : outgoing_(outgoing),
      compression_(compression),
      copy_(copy),
      file_(open_file(outgoing.path, O_RDONLY, 0, ExitStatus::unusable)),
      records_(kQueue),
      thread_(start_worker([this] { work(); })) {
}

ChunkSource::~ChunkSource() {
  records_.abandon();
  thread_.join();
}

void ChunkSource::work() {
  try {
    for (std::size_t position = 0; position < outgoing_.payload.chunks(); ++position) {
      const std::size_t chunk = outgoing_.payload.chunk_at(position);
      if (!outgoing_.payload.is_zero(chunk)) send_chunk(chunk);
      done_bytes_ += outgoing_.payload.chunk_bytes(chunk);
    }
    records_.push(make_record(RecordHeader::kComplete));
  } catch (const Error& error) {
    {
      const std::lock_guard lock(mutex_);
      failure_ = error;
    }
    records_.push(make_record(RecordHeader::kAbort, error.what()));
  }
  records_.close();
}

int ChunkSource::level_now() const {
  if (compression_ == Compression::off) return 0;
  if (compression_ == Compression::on) return 3;
  const std::size_t waiting = records_.size();
  return waiting >= kQueue - 1 ? 3 : waiting >= kQueue / 2 ? 1 : 0;
}

void ChunkSource::send_chunk(std::size_t chunk) {
  const Payload& payload = outgoing_.payload;
  const Bytes bytes = payload.chunk_bytes(chunk);
  Record record(sizeof(RecordHeader) + bytes);
  const std::span data = std::span(record).subspan(sizeof(RecordHeader));
  pread_all(file_, data, payload.chunk_offset(chunk), outgoing_.path);
  if (hash64(data) != payload.hashes[chunk]) {
    throw Error(ExitStatus::unusable,
                payload.describe_chunk(chunk) +
                    " does not have the hash that was recorded for it: the file is damaged or is "
                    "being changed; rebuild it");
  }
  if (copy_ != nullptr) copy_->write(payload.chunk_offset(chunk), data);

  Bytes stored = bytes;
  if (const int level = level_now(); level > 0) {
    Record compressed(sizeof(RecordHeader) + bytes);
    const std::size_t size = ZSTD_compressCCtx(compressor(), compressed.data() + sizeof(RecordHeader),
                                               bytes - 1, data.data(), bytes, level);
    if (ZSTD_isError(size) == 0) {  // an error: it does not get smaller
      stored = size;
      record = std::move(compressed);
      record.resize(sizeof(RecordHeader) + stored);
    }
  }
  const RecordHeader header{static_cast<std::uint32_t>(chunk), static_cast<std::uint32_t>(stored)};
  std::memcpy(record.data(), &header, sizeof header);
  records_.push(std::move(record));
}

std::size_t ChunkSource::produce(std::span<std::byte> into) {
  std::size_t produced = 0;
  while (produced < into.size() && !finished_) {
    if (taken_ == current_.size()) {
      std::optional<Record> next = records_.try_pop();
      if (!next) break;
      current_ = std::move(*next);
      taken_ = 0;
    }
    const std::size_t bytes = std::min(into.size() - produced, current_.size() - taken_);
    std::memcpy(into.data() + produced, current_.data() + taken_, bytes);
    taken_ += bytes;
    produced += bytes;
    if (taken_ == current_.size()) {
      RecordHeader header;
      std::memcpy(&header, current_.data(), sizeof header);
      finished_ = header.chunk >= RecordHeader::kComplete;
    }
  }
  return produced;
}

std::optional<Error> ChunkSource::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace vmi
