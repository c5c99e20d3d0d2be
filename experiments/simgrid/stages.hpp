// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/distribute.hpp"
#include "launcher/mpi/session.hpp"

#include <memory>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

/// What the stages of a launch are given instead of hypervisors and caches.
struct StageOptions {
  Bytes cache_bytes = 64 * MiB;
  fs::path folder;  ///< of all ranks, for their copies; nothing is written there in a simulation
  std::vector<double> prepare_s;  ///< how long creating a rank's VM takes, one of these for each rank
  std::vector<double> boot_s;     ///< how long it then takes to get ready
  DistributeOptions distribute = {Scheme::automatic, Compression::off};
};

/// Bytes of the chunk `number` of the cache that is distributed: they do not compress, and each chunk has
/// others.
void fill_chunk(std::size_t number, std::span<std::byte> bytes);

/// A whole launch of one VM a rank: Launch::run() (launcher/launch/launch.hpp) with this session's ranks, a
/// supervisor whose VMs are waits, and a cache mode of its own. Collective. On rank 0 returns the seconds of
/// each stage. Throws what ended the launch.
nlohmann::json run_stages(Session& session, const StageOptions& options);

// Of the local side, which the simulation has its own of (local_real.cpp, local_simulated.cpp).

/// The cache with its hashes, as rank 0 has it.
Outgoing make_cache(const StageOptions& options);
/// Called for each letter that rank 0 takes, after it was parsed.
void letter_taken();

/// A descriptor that ends a nap (vmi::sleep_for) at a time that was set.
class Alarm {
 public:
  virtual ~Alarm() = default;
  virtual int fd() const = 0;
  /// By monotonic_ns(); the last call counts.
  virtual void set(std::int64_t at_ns) = 0;
};
std::unique_ptr<Alarm> make_alarm();

}  // namespace vmi
