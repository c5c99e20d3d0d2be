// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace vmi {

/// A promise to build something, visible to every host that shares the folder: `PATH/owner`, made by
/// mkdir(2), which is atomic on every file system, unlike locks. Its holder touches it as long as it lives.
///
/// A claim saves work; it never guards data. Should two processes hold one claim (a clock that jumped, a host
/// that slept), both build, and each publishes a whole file by rename.
class Claim {
 public:
  /// Nothing when somebody else holds it.
  static std::optional<Claim> take(const fs::path& path, std::chrono::milliseconds heartbeat);
  Claim(Claim&&) noexcept = default;
  Claim& operator=(Claim&&) = delete;
  ~Claim();

  /// Who holds the claim at `path`, "host:pid"; empty when nobody does.
  static std::string holder(const fs::path& path);
  /// Clears the claim at `path` when its holder is dead, or has not touched it for `stale` by the file
  /// system's own clock.
  static bool clear_if_abandoned(const fs::path& path, std::chrono::milliseconds stale);

 private:
  struct Heart;
  explicit Claim(std::unique_ptr<Heart> heart);
  std::unique_ptr<Heart> heart_;
};

/// What the file system of `folder` takes the time to be: network file systems stamp by their server's clock.
fs::file_time_type file_system_now(const fs::path& folder);

}  // namespace vmi
