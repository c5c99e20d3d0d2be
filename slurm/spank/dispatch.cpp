// SPDX-License-Identifier: Apache-2.0
// Every symbol that Slurm looks for. Nothing is thrown into Slurm, and nothing that happens here fails a
// node: where an error is returned, srun refuses its options, or a task does not start.
#include "slurm/spank/args.hpp"
#include "slurm/spank/config.hpp"
#include "slurm/spank/epilog.hpp"
#include "slurm/spank/slurmstepd.hpp"

#include <exception>

extern "C" {
#pragma GCC visibility push(default)
extern const char plugin_name[];
extern const char plugin_type[];
extern const unsigned int plugin_version;
extern const unsigned int spank_plugin_version;
SPANK_PLUGIN(vmilaunch, 1)

int slurm_spank_init(spank_t spank, int count, char** arguments);
int slurm_spank_user_init(spank_t spank, int count, char** arguments);
int slurm_spank_task_init(spank_t spank, int count, char** arguments);
int slurm_spank_job_epilog(spank_t spank, int count, char** arguments);
#pragma GCC visibility pop
}

namespace {

using namespace vmi::spank;

template <typename Work>
int guarded(const Work& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    slurm_error("vmilaunch: %s", error.what());
    return -1;
  }
}

}  // namespace

int slurm_spank_init(spank_t spank, int count, char** arguments) {
  return guarded([&] {
    switch (spank_context()) {
      case S_CTX_LOCAL:
      case S_CTX_REMOTE:
        return register_options(spank, parse_config(count, arguments).error);
      case S_CTX_SLURMD:
        // Where administrators look; srun says it to users who ask for the plugin.
        if (const Config config = parse_config(count, arguments); !config.error.empty())
          slurm_error("vmilaunch: %s", config.error.c_str());
        return 0;
      default:
        return 0;
    }
  });
}

int slurm_spank_user_init(spank_t spank, int count, char** arguments) {
  guarded([&] {
    stepd_warm(spank, parse_config(count, arguments));
    return 0;
  });
  return 0;  // slurm_spank_task_init has the last word
}

int slurm_spank_task_init(spank_t spank, int count, char** arguments) {
  return guarded([&] {
    stepd_start_task(spank, parse_config(count, arguments));
    return 0;
  });
}

int slurm_spank_job_epilog(spank_t spank, int count, char** arguments) {
  guarded([&] {
    sweep_after_job(spank, parse_config(count, arguments));
    return 0;
  });
  return 0;  // whatever else would drain the node
}
