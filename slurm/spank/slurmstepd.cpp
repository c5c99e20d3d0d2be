// SPDX-License-Identifier: Apache-2.0
#include "slurm/spank/slurmstepd.hpp"

#include "slurm/spank/args.hpp"
#include "slurm/spank/run.hpp"

#include <array>
#include <cstdlib>
#include <sstream>

#include <unistd.h>

namespace vmi::spank {
namespace {

/// Made before the tasks are forked, and inherited by them.
Outcome& outcome() {
  static Outcome instance;
  return instance;
}

bool is_set(spank_t spank, const char* name) {
  std::array<char, 2> value{};
  const spank_err_t status = spank_getenv(spank, name, value.data(), value.size());
  return (status == ESPANK_SUCCESS && value[0] != '\0') || status == ESPANK_NOSPACE;
}

void set(spank_t spank, const char* name, const std::string& value) {
  if (!value.empty()) spank_setenv(spank, name, value.c_str(), 1);
}

void set_default(spank_t spank, const char* name, const std::string& value) {
  if (!is_set(spank, name)) set(spank, name, value);
}

std::string text_of(spank_t spank, const char* name) {
  std::array<char, 4096> value{};
  return spank_getenv(spank, name, value.data(), value.size()) == ESPANK_SUCCESS ? value.data() : "";
}

/// The node as Slurm calls it. Several slurmd on one machine have a name each, in their environment.
std::string node_name(spank_t spank) {
  if (std::string name = text_of(spank, "SLURMD_NODENAME"); !name.empty()) return name;
  if (const char* name = std::getenv("SLURMD_NODENAME"); name != nullptr && *name != '\0') return name;
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return std::string(name.data()).substr(0, std::string(name.data()).find('.'));
}

/// What vmilaunch reads as its options; the site's words give way to the user's.
void set_variables(spank_t spank, const Config& config, uid_t uid) {
  uint32_t job = 0;
  spank_get_item(spank, S_JOB_ID, &job);
  set(spank, "VMILAUNCH_IMAGE", args().image);
  set(spank, "VMILAUNCH_CACHE", args().cache);
  // vmilaunch takes only one of the two.
  if (!args().vms.empty()) spank_unsetenv(spank, "VMILAUNCH_VMS_PER_NODE");
  if (!args().vms_per_node.empty()) spank_unsetenv(spank, "VMILAUNCH_VMS");
  set(spank, "VMILAUNCH_VMS", args().vms);
  set(spank, "VMILAUNCH_VMS_PER_NODE", args().vms_per_node);
  set_default(spank, "VMILAUNCH_CACHE_DIR", config.store);
  set_default(spank, "VMILAUNCH_NODE_DIR", expand(config.node_dir, node_name(spank), uid, job));
}

Program program_of(spank_t spank, const Config& config, uid_t uid) {
  Program program{.argv = {config.vmilaunch, "--warm"}, .uid = uid, .timeout = config.timeout};
  spank_get_item(spank, S_JOB_GID, &program.gid);
  char** environment = nullptr;
  if (spank_get_item(spank, S_JOB_ENV, &environment) == ESPANK_SUCCESS) {
    for (; environment != nullptr && *environment != nullptr; ++environment)
      program.environment.emplace_back(*environment);
  }
  return program;
}

bool is_required(const Config& config) {
  return args().warm == Warm::required || (args().warm == Warm::as_configured && config.required);
}

void report(spank_t spank, const Outcome& warmed, bool ends) {
  std::istringstream said(warmed.said);
  for (std::string line; std::getline(said, line);) slurm_spank_log("%s", line.c_str());
  if (!warmed.ok) {
    slurm_spank_log("vmilaunch: node %s is not warm: %s; %s", node_name(spank).c_str(), warmed.why.c_str(),
                    ends ? "a warm cache is required, so the step ends (--vmi-warm=no does without)"
                         : "the step goes on without");
  }
}

}  // namespace

void stepd_warm(spank_t spank, const Config& config) {
  outcome().ok = true;
  if (!args().any()) return;
  uid_t uid = 0;
  if (spank_get_item(spank, S_JOB_UID, &uid) != ESPANK_SUCCESS) {
    outcome() = {.why = "Slurm does not say whose job this is"};
    return;
  }
  if (!config.error.empty()) {
    outcome() = {.why = config.error};
    return;
  }
  set_variables(spank, config, uid);
  if (!is_set(spank, "VMILAUNCH_IMAGE"))
    outcome() = {.why = "there is no image; give --vmi-image=IMG"};
  else if (args().warm != Warm::no)
    outcome() = run(program_of(spank, config, uid));
}

void stepd_start_task(spank_t spank, const Config& config) {
  if (!args().any()) return;
  const Outcome& warmed = outcome();
  const bool ends = !warmed.ok && is_required(config);
  int task = 0;
  if (spank_get_item(spank, S_TASK_ID, &task) != ESPANK_SUCCESS || task == 0) report(spank, warmed, ends);
  // This is the task's own process. An error that is returned counts only where plugstack.conf says
  // `required`.
  if (ends) _exit(warmed.status);
}

}  // namespace vmi::spank
