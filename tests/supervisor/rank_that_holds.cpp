// SPDX-License-Identifier: Apache-2.0
#include "rank_that_holds.hpp"

#include "fixture.hpp"

#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

RankThatHolds::RankThatHolds(const std::string& backend)
    : node_dir_(temp_root(), "node-"),
      runtime_root_("/dev/shm", "st-"),
      child_(spawn({"/proc/self/exe", "--rank-that-holds", backend, node_dir_.path().string(),
                    runtime_root_.path().string()})) {
}

bool RankThatHolds::is_ready() const {
  return fs::exists(node_dir() / "supervisor");
}

int RankThatHolds::supervisor_pid() const {
  return std::stoi(read_text(node_dir() / "supervisor"));
}

std::string RankThatHolds::leftovers() const {
  return what_is_left({node_dir(), runtime_root()});
}

std::optional<int> RankThatHolds::run(int argc, char** argv) {
  if (argc != 5 || std::string(argv[1]) != "--rank-that-holds") return std::nullopt;
  const fs::path node_dir = argv[3];
  Supervisor supervisor = Supervisor::start({.runtime_root = argv[4]});
  make_disks(node_dir);
  supervisor.call(prepare_request(parse_name<Backend>(argv[2]), node_dir, make_vms(node_dir, 2, "SPIN", 0)),
                  Deadline::after(60s));
  supervisor.call(ResumeAll{}, Deadline::after(60s));
  write_text_atomically(node_dir / "supervisor", std::to_string(supervisor.pid()));
  pause();
  return 1;
}
