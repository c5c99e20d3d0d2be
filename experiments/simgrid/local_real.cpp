// SPDX-License-Identifier: Apache-2.0
#include "experiments/simgrid/stages.hpp"

#include <algorithm>

#include <fcntl.h>
#include <sys/timerfd.h>

namespace vmi {

Outgoing make_cache(const StageOptions& options) {
  Outgoing outgoing;
  outgoing.path = options.folder / "cache";
  const Fd file = open_file(outgoing.path, O_RDWR | O_CREAT | O_TRUNC);
  std::vector<std::byte> chunk(kDigestChunk);
  for (Bytes at = 0; at < options.cache_bytes; at += kDigestChunk) {
    const auto part = std::span(chunk).first(std::min<Bytes>(kDigestChunk, options.cache_bytes - at));
    fill_chunk(at / kDigestChunk, part);
    pwrite_all(file, part, at, outgoing.path);
  }
  outgoing.payload.name = "cache";
  outgoing.payload.size = options.cache_bytes;
  outgoing.payload.metadata_bytes = std::min<Bytes>(options.cache_bytes, 1 * MiB);
  outgoing.payload.hashes = chunk_hashes(file, options.cache_bytes);
  outgoing.payload.digest = digest_of(outgoing.payload.hashes);
  return outgoing;
}

void letter_taken() {
}

namespace {

class Timer final : public Alarm {
 public:
  Timer() : fd_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
    if (!fd_) throw_errno(ExitStatus::environment, "cannot make a timer");
  }
  int fd() const override { return fd_.get(); }
  void set(std::int64_t at_ns) override {
    itimerspec when{};
    when.it_value = {at_ns / 1'000'000'000, std::max<std::int64_t>(1, at_ns % 1'000'000'000)};
    timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  }

 private:
  Fd fd_;
};

}  // namespace

std::unique_ptr<Alarm> make_alarm() {
  return std::make_unique<Timer>();
}

}  // namespace vmi
