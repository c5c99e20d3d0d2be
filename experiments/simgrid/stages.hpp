// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/mpi/distribute.hpp"
#include "launcher/mpi/session.hpp"

#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

/// What the stages of a launch are given instead of hypervisors and caches.
struct StageOptions {
  Bytes cache_bytes = 64 * MiB;
  fs::path folder;                ///< of this rank, for its copy; nothing is written there in a simulation
  std::vector<double> prepare_s;  ///< how long creating a rank's VMs takes, one of these for each rank
  std::vector<double> boot_s;     ///< how long its VMs then take to get ready
  DistributeOptions distribute = {Scheme::automatic, Compression::off};
  std::chrono::seconds timeout{600};  ///< for each stage
};

/// Bytes of the chunk `number` of the cache that is distributed: they do not compress, and each chunk has
/// others.
void fill_chunk(std::size_t number, std::span<std::byte> bytes);

/// Does what launcher/launch/launch.cpp does between its ranks, with its code: planning, the offer of a
/// cache, its way to all nodes, agreement, letters to rank 0. What supervisors would do meanwhile is a wait.
/// Collective; on rank 0 returns the seconds of each stage.
nlohmann::json run_stages(Session& session, const StageOptions& options);

// Of the local side, which the simulation has its own of (local_real.cpp, local_simulated.cpp).

/// The cache with its hashes, as rank 0 has it.
Outgoing make_cache(const StageOptions& options);
/// Called for each letter that rank 0 takes, after it was parsed.
void letter_taken();

}  // namespace vmi
