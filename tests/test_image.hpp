// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include <catch2/catch.hpp>

namespace vmi {

/// The guest image NAME.qcow2 in $VMI_TEST_IMAGES or where scripts/images keeps what it builds. Without it a
/// test says so and returns at once; under CI=true that is a failure.
///     const auto image = test_image("tiny");
///     if (!image) return;
inline std::optional<std::filesystem::path> test_image(const std::string& name) {
  const auto environment = [](const char* variable) {
    const char* value = std::getenv(variable);
    return std::string(value != nullptr ? value : "");
  };
  std::filesystem::path folder = environment("VMI_TEST_IMAGES");
  if (folder.empty()) {
    const std::string cache = environment("XDG_CACHE_HOME");
    folder = (cache.empty() ? environment("HOME") + "/.cache" : cache) + "/vmilaunch-build/images";
  }
  const std::filesystem::path image = folder / (name + ".qcow2");
  if (std::filesystem::exists(image)) return image;
  const std::string reason = "no guest image '" + image.string() + "'; make it with scripts/images " + name;
  if (environment("CI") == "true") FAIL(reason);
  WARN("SKIPPED: " << reason);
  return std::nullopt;
}

}  // namespace vmi
