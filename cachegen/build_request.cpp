// SPDX-License-Identifier: Apache-2.0
// A build request as the launcher's ranks send it to their supervisors.
#include "cachegen/build.hpp"

#include <bit>

namespace vmi {

nlohmann::json to_json(const BuildRequest& request) {
  return {{"image", request.image},
          {"guest", request.guest},
          {"ready", request.ready.to_text()},
          {"quota", request.quota},
          {"runs", request.runs},
          {"granularity", request.granularity},
          {"timeout_ms", request.timeout.count()},
          {"settle_ms", request.settle.count()},
          {"trace_out", request.trace_out.string()},
          {"store", request.store.string()}};
}

BuildRequest build_request_from_json(const nlohmann::json& json) {
  const BuildRequest defaults;
  const auto milliseconds = [&](const char* name, std::chrono::milliseconds otherwise) {
    return std::chrono::milliseconds(json.value(name, std::int64_t{otherwise.count()}));
  };
  try {
    return {.image = json.at("image"),
            .guest = json.value("guest", defaults.guest),
            .ready = ReadySpec::parse(json.value("ready", defaults.ready.to_text())),
            .quota = json.value("quota", defaults.quota),
            .runs = json.value("runs", defaults.runs),
            .granularity = json.value("granularity", defaults.granularity),
            .timeout = milliseconds("timeout_ms", defaults.timeout),
            .settle = milliseconds("settle_ms", defaults.settle),
            .trace_out = json.value("trace_out", ""),
            .store = json.value("store", "")};
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitStatus::unusable, std::string("build request: ") + error.what());
  }
}

void check_build(const BuildRequest& request) {
  const auto refuse = [](const std::string& text) { throw Error(ExitStatus::usage, text); };
  check_guest(request.guest);
  if (!std::has_single_bit(request.granularity) || request.granularity < 512 ||
      request.granularity > 2 * MiB) {
    refuse("a granularity of " + format_size(request.granularity) +
           " is not possible; qcow2 has clusters of 512 bytes to 2 MiB, powers of two");
  }
  if (request.runs < 1) refuse("an image is profiled in at least 1 run");
  if (request.timeout.count() <= 0) refuse("the time to readiness must be longer than nothing");
  if (request.settle.count() < 0) refuse("the settle time cannot be negative");
}

}  // namespace vmi
