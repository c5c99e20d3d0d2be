// SPDX-License-Identifier: Apache-2.0
// An nbdkit filter that makes reads of all exports take as long as one disk under them would
// (disk_model.hpp).
//
//     nbdkit --filter=./nbdkit-disk-filter.so file dir=IMAGES disk-seek-us=8000 disk-rate=100M disk-memory=4G
//
// disk-copies=M: each export stands for M images of the same content, at places of their own on the disk; a
// client has the one that its address's last byte says, less one, modulo M. disk-statistics=PATH keeps the
// counters there, as JSON. Each request waits in a thread of its own, so nbdkit needs as many (--threads) as
// a client has requests under way.
#include "experiments/storage/disk_model.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-filter.h>

namespace {

using namespace vmi::storage;

/// The one disk of this server.
struct Disk {
  std::mutex lock;  ///< of `model` and of writing the statistics
  DiskModel model;
  int statistics = -1;
};

Disk disk;
DiskParameters parameters;
std::uint64_t copies = 1;
std::string statistics_path;

Nanoseconds now_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

/// All in one write of ever the same length, so that a reader finds a whole line.
void write_statistics() {
  if (disk.statistics == -1) return;
  const DiskCounters& c = disk.model.counters();
  std::array<char, 256> line{};
  const int length =
      std::snprintf(line.data(), line.size(),
                    "{\"requests\": %15ju, \"asked_bytes\": %15ju, \"disk_bytes\": %15ju, "
                    "\"seeks\": %15ju, \"busy_s\": %15.6f}\n",
                    std::uintmax_t{c.requests}, std::uintmax_t{c.asked_bytes}, std::uintmax_t{c.disk_bytes},
                    std::uintmax_t{c.seeks}, 1e-9 * static_cast<double>(c.busy));
  if (pwrite(disk.statistics, line.data(), static_cast<std::size_t>(length), 0) != length)
    nbdkit_debug("cannot write the statistics");
}

int disk_config(nbdkit_next_config* next, nbdkit_backend* backend, const char* key, const char* value) {
  const std::string_view name = key;
  const auto size = [&](std::uint64_t least, auto& into) {
    const std::int64_t parsed = nbdkit_parse_size(value);  // it says itself what is wrong
    if (parsed == -1) return -1;
    if (static_cast<std::uint64_t>(parsed) < least) {
      nbdkit_error("%s must be at least %ju", key, std::uintmax_t{least});
      return -1;
    }
    into = static_cast<std::decay_t<decltype(into)>>(parsed);
    return 0;
  };
  if (name == "disk-seek-us") {
    std::uint32_t microseconds = 0;
    if (nbdkit_parse_uint32_t(key, value, &microseconds) == -1) return -1;
    parameters.seek = Nanoseconds{microseconds} * 1000;
    return 0;
  }
  if (name == "disk-rate") return size(1, parameters.bytes_per_second);
  if (name == "disk-memory") return size(0, parameters.memory_bytes);
  if (name == "disk-copies") return size(1, copies);
  if (name == "disk-statistics") {
    statistics_path = value;
    return 0;
  }
  return next(backend, key, value);
}

int disk_get_ready(int) {
  disk.model = DiskModel(parameters);
  if (statistics_path.empty()) return 0;
  disk.statistics = open(statistics_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (disk.statistics == -1) {
    nbdkit_error("cannot write '%s': %m", statistics_path.c_str());
    return -1;
  }
  write_statistics();
  return 0;
}

/// Which of the copies this connection's client has.
std::uint64_t copy_of_client() {
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  if (nbdkit_peer_name(reinterpret_cast<sockaddr*>(&peer), &length) == -1 || peer.ss_family != AF_INET)
    return 0;
  const std::uint32_t address = ntohl(reinterpret_cast<const sockaddr_in*>(&peer)->sin_addr.s_addr);
  return ((address & 0xff) + 255) % 256 % copies;
}

void* disk_open(nbdkit_next_open* next, nbdkit_context* context, int readonly, const char* exportname, int) {
  if (next(context, readonly, exportname) == -1) return nullptr;
  const std::string name = std::to_string(copies > 1 ? copy_of_client() : 0) + " of " + exportname;
  const std::lock_guard hold(disk.lock);
  return new std::uint32_t(disk.model.image(name));
}

void disk_close(void* image) {
  delete static_cast<std::uint32_t*>(image);
}

/// A client's wish to have data cached would be free.
int disk_can_cache(nbdkit_next*, void*) {
  return NBDKIT_CACHE_NONE;
}

int disk_pread(nbdkit_next* next, void* image, void* buffer, std::uint32_t count, std::uint64_t offset,
               std::uint32_t flags, int* error) {
  Nanoseconds wait = 0;
  {
    const std::lock_guard hold(disk.lock);
    const Nanoseconds now = now_ns();
    wait = disk.model.read(*static_cast<std::uint32_t*>(image), offset, count, now) - now;
    write_statistics();
  }
  constexpr Nanoseconds kSecond = 1'000'000'000;
  if (wait > 0 &&
      nbdkit_nanosleep(static_cast<unsigned>(wait / kSecond), static_cast<unsigned>(wait % kSecond)) == -1) {
    *error = ESHUTDOWN;
    return -1;
  }
  return next->pread(next, buffer, count, offset, flags, error);
}

nbdkit_filter filter = {
    .name = "disk",
    .longname = "a disk's time",
    .config = disk_config,
    .config_help =
        "disk-seek-us=N          Microseconds of a seek.\n"
        "disk-rate=SIZE          Bytes a second.\n"
        "disk-memory=SIZE        Memory that keeps what was read.\n"
        "disk-copies=M           Images that each export stands for.\n"
        "disk-statistics=PATH    File for the counters.",
    .get_ready = disk_get_ready,
    .open = disk_open,
    .close = disk_close,
    .can_cache = disk_can_cache,
    .pread = disk_pread,
};

}  // namespace

NBDKIT_REGISTER_FILTER(filter)
