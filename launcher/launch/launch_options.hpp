// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/build.hpp"
#include "cachegen/guest/aio.hpp"
#include "cachegen/guest/ready.hpp"
#include "cachegen/support/options.hpp"
#include "launcher/supervisor/ipc/protocol.hpp"
#include "launcher/supply/modes.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vmi {

struct ImageRequest {
  std::string url;
  int vms = 0;  ///< 0: as many as --vms says
};

enum class Placement { node, shared };
enum class VerifyChoice { sample, full, none };
/// What the VMs of a node may want more of than the node's allocation has.
enum class Overcommit { none, cpus, all };

template <>
inline constexpr NameTable<Placement, 2> kNames<Placement>{
    "placement", {{{Placement::node, "node"}, {Placement::shared, "shared"}}}};
template <>
inline constexpr NameTable<VerifyChoice, 3> kNames<VerifyChoice>{
    "check",
    {{{VerifyChoice::sample, "sample"}, {VerifyChoice::full, "full"}, {VerifyChoice::none, "none"}}}};
template <>
inline constexpr NameTable<Overcommit, 3> kNames<Overcommit>{
    "overcommitment", {{{Overcommit::none, "none"}, {Overcommit::cpus, "cpus"}, {Overcommit::all, "all"}}}};

/// What the user asked for, checked for everything that can be checked without looking at a file or a node.
struct LaunchOptions {
  std::vector<ImageRequest> images;
  int vms = 0;           ///< over all nodes; 0: vms_per_node counts
  int vms_per_node = 0;  ///< 0: vms counts
  GuestSpec guest;

  const CacheMode* cache = &cache_modes().front();
  fs::path cache_path;  ///< with the mode that takes one
  Placement placement = Placement::node;
  std::string cache_url;  ///< with Placement::shared: where nodes read the cache; empty: by its path
  VerifyChoice verify = VerifyChoice::sample;
  Bytes quota = 0;
  Bytes granularity = 4 * KiB;
  fs::path cache_dir;                ///< the store, shared by nodes
  fs::path node_dir;                 ///< node-local copies and overlays
  std::optional<Bytes> node_budget;  ///< of the node pool; nothing: NodePool::default_budget()
  int profile_runs = 1;
  Driver driver = Driver::automatic;
  Aio aio = Aio::automatic;
  Backend backend = Backend::automatic;

  ReadySpec ready;
  std::chrono::milliseconds timeout{};
  std::string ssh_key;  ///< contents of the public key file
  std::string hostname_prefix;

  fs::path output;
  std::map<std::string, std::string> notes;
  bool hold = false;
  std::optional<std::vector<std::string>> command;
  Overcommit overcommit = Overcommit::cpus;
  bool mpi_settings = true;  ///< those of launcher/mpi/settings.hpp
  bool dry_run = false;
  bool warm = false;  ///< copy the caches to this node, and start nothing
  bool keep_going = false;
  bool json = false;
};

const OptionTable& launch_option_table();

/// Throws Error(usage) that names the option; reads nothing but the ssh key's and the user data's files.
LaunchOptions launch_options(const Options& options);

/// What the store's cache of `image` is made of, or was.
BuildRequest build_request(const LaunchOptions& options, const std::string& image);

/// Where the serial logs of failed VMs go: "run.h5.logs" beside "run.h5".
fs::path logs_folder(const fs::path& output);

/// "vmilaunch-<SLURM_JOB_ID>[.<step>][-restart<n>].h5", or with the UTC time outside a job.
fs::path default_output();

}  // namespace vmi
