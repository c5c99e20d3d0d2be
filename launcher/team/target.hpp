// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/support/file.hpp"
#include "launcher/team/payload.hpp"

#include <span>

namespace vmi {

/// The file that a node writes a payload into, under a name of its own until it is complete.
class Target {
 public:
  /// Makes `path` (and its folder) with its final size and reserves space for every chunk that is not zero.
  /// Throws Error(environment) that names the folder, what is needed, what is there and the remedy.
  Target(fs::path path, const Payload& payload);
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  /// Removes the file unless it was published.
  ~Target();

  const fs::path& path() const { return path_; }
  void write(Bytes offset, std::span<const std::byte> bytes);
  /// Syncs the file and gives it its final name in the same file system.
  void publish(const fs::path& final_name);

 private:
  void reserve(const Payload& payload);

  fs::path path_;
  Fd file_;
  bool published_ = false;
};

}  // namespace vmi
