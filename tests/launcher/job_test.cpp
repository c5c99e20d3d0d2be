// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/job.hpp"

#include <cstdlib>

#include <catch2/catch.hpp>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

/// How long a launch may last that starts `left` seconds before the job's end.
std::optional<std::chrono::seconds> allowed(int left) {
  setenv("SLURM_JOB_END_TIME", std::to_string(1'000'000 + left).c_str(), 1);
  const std::optional<Deadline> end = orderly_end_of_job(1'000'000);
  unsetenv("SLURM_JOB_END_TIME");
  if (!end) return std::nullopt;
  return std::chrono::round<std::chrono::seconds>(end->left());
}

}  // namespace

TEST_CASE("a launch ends before its job by a tenth of the time, from 5 s to a minute") {
  CHECK(allowed(3600) == 3540s);
  CHECK(allowed(300) == 270s);
  CHECK(allowed(20) == 15s);
  CHECK(allowed(3) == 0s);
  CHECK(allowed(-10) == 0s);
}

TEST_CASE("outside a job there is no end") {
  unsetenv("SLURM_JOB_END_TIME");
  CHECK_FALSE(orderly_end_of_job(1'000'000));
}
