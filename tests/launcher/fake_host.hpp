// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/node/allocation.hpp"

#include <fstream>
#include <map>
#include <string>

namespace vmi {

/// A machine made of files, and a job made of variables.
class FakeHost {
 public:
  std::map<std::string, std::string> variables;
  Bytes rss_limit = 0;

  void write(const std::string& file, const std::string& text) const {
    const fs::path path = folder_.path() / file;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  HostView view() const {
    HostView host;
    host.root = folder_.path();
    host.rss_limit = rss_limit;
    host.variable = [this](const char* name) {
      const auto found = variables.find(name);
      return found == variables.end() ? std::string() : found->second;
    };
    return host;
  }

 private:
  TempFolder folder_{temp_root(), "fake-host-"};
};

}  // namespace vmi
