// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include <catch2/catch.hpp>

namespace vmi {

namespace test {

inline std::string environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr ? value : "";
}

/// $VARIABLE, or `name` in the cache of what is built once.
inline std::filesystem::path built_once(const char* variable, const std::string& name) {
  if (const std::string given = environment(variable); !given.empty()) return given;
  const std::string cache = environment("XDG_CACHE_HOME");
  const std::string home = cache.empty() ? environment("HOME") + "/.cache" : cache;
  return std::filesystem::path(home) / "vmilaunch-build" / name;
}

inline std::optional<std::filesystem::path> if_there(const std::filesystem::path& file,
                                                     const std::string& remedy) {
  if (std::filesystem::exists(file)) return file;
  const std::string reason = "no '" + file.string() + "'; make it with " + remedy;
  if (environment("CI") == "true") FAIL(reason);
  WARN("SKIPPED: " << reason);
  return std::nullopt;
}

}  // namespace test

/// The guest image NAME.qcow2 in $VMI_TEST_IMAGES or where scripts/images keeps what it builds. Without it a
/// test says so and returns at once; under CI=true that is a failure.
///     const auto image = test_image("tiny");
///     if (!image) return;
inline std::optional<std::filesystem::path> test_image(const std::string& name) {
  return test::if_there(test::built_once("VMI_TEST_IMAGES", "images") / (name + ".qcow2"),
                        "scripts/images " + name);
}

/// The cache-enabled QEMU below $VMI_TEST_QEMU or where qemu-driver/build keeps what it builds; else as
/// test_image().
inline std::optional<std::filesystem::path> test_qemu() {
  return test::if_there(test::built_once("VMI_TEST_QEMU", "qemu/current") / "bin/qemu-system-x86_64",
                        "qemu-driver/build");
}

}  // namespace vmi
