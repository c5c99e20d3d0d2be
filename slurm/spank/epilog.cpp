// SPDX-License-Identifier: Apache-2.0
// The script works in folders that the user may change while it runs: as root it could be led elsewhere.
#include "slurm/spank/epilog.hpp"

#include "slurm/spank/run.hpp"

#include <algorithm>
#include <array>
#include <string>

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace vmi::spank {
namespace {

/// Slurm does not use the node again before this is over.
constexpr std::chrono::seconds kPatience(10);

std::vector<gid_t> groups_of(const passwd& user) {
  std::array<gid_t, 256> groups{};
  int count = static_cast<int>(groups.size());
  if (getgrouplist(user.pw_name, user.pw_gid, groups.data(), &count) < 0)
    count = static_cast<int>(groups.size());
  return {groups.begin(), groups.begin() + count};
}

}  // namespace

void sweep_after_job(spank_t spank, const Config& config) {
  uid_t uid = 0;
  uint32_t job = 0;
  if (!config.error.empty() || config.epilog.empty()) return;
  // Root's processes are none of a job's.
  if (spank_get_item(spank, S_JOB_UID, &uid) != ESPANK_SUCCESS || uid == 0) return;
  spank_get_item(spank, S_JOB_ID, &job);
  std::array<char, 16384> buffer{};
  passwd user{};
  passwd* found = nullptr;
  if (getpwuid_r(uid, &user, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return;

  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  const char* const name = getenv("SLURMD_NODENAME");
  const std::string node = name != nullptr ? name : host.data();
  const Outcome swept =
      run({.argv = {config.epilog},
           .environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SLURM_JOB_UID=" + std::to_string(uid),
                           "SLURM_JOB_ID=" + std::to_string(job),
                           "VMILAUNCH_NODE_DIR=" + expand(config.node_dir, node, uid, job)},
           .uid = uid,
           .gid = user.pw_gid,
           .groups = groups_of(user),
           .timeout = std::min(config.timeout, kPatience)});
  if (!swept.ok)
    slurm_error("vmilaunch: sweeping after job %u: %s %s", job, swept.why.c_str(), swept.said.c_str());
}

}  // namespace vmi::spank
