// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/job.hpp"

#include <cstdlib>

namespace vmi {

std::optional<Deadline> orderly_end_of_job(std::time_t now) {
  using std::chrono::seconds;
  const char* text = std::getenv("SLURM_JOB_END_TIME");
  const long long end = text != nullptr ? std::atoll(text) : 0;
  if (end <= 0) return std::nullopt;
  const auto left = std::max(seconds(0), seconds(end - now));
  const auto margin = std::clamp(left / 10, seconds(5), seconds(60));
  return Deadline::after(std::max(seconds(0), left - margin));
}

}  // namespace vmi
