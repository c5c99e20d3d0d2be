// SPDX-License-Identifier: Apache-2.0
// The stages of a launch on many simulated nodes: a star of links around a switch, one rank each.
#include "cachegen/support/options.hpp"
#include "experiments/simgrid/model.hpp"
#include "experiments/simgrid/seam.hpp"
#include "experiments/simgrid/stage_options.hpp"
#include "launcher/mpi/agree.hpp"

#include <cstdio>
#include <iostream>

#include <mpi.h>
#include <simgrid/s4u.hpp>
#include <xbt/log.h>

namespace vmi {
namespace {

namespace s4u = simgrid::s4u;

OptionTable option_table() {
  OptionTable table("launch_simulation", "[options]",
                    "Simulates the stages of a launch on many nodes; prints their seconds as JSON.");
  table.add({"nodes", 0, "N", "64", "simulated nodes, one rank each"})
      .add({"rate", 0, "MBIT", "941.5", "what a link gives to one TCP stream in each direction, Mbit/s"})
      .add({"latency", 0, "US", "25", "of a link, microseconds; a message passes two"})
      .add({"backbone", 0, "MBIT", "0", "what the switch carries in all, Mbit/s; 0: whatever comes"})
      .add({"connect", 0, "US", "500", "to open the connection between two nodes, microseconds"})
      .add({"message", 0, "US", "5", "for a node's MPI to take a message, microseconds"})
      .add({"letter", 0, "US", "20", "for rank 0 to read and keep one letter, microseconds"})
      .add({"contents",
            0,
            "WHICH",
            "checked",
            "whether messages carry their bytes, and every node checks them",
            {"checked", "none"}})
      .add({"damage", 0, "RANK", "-1", "this rank gets a damaged chunk; the launch has to fail"});
  add_stage_options(table);
  return table;
}

void set_up_simgrid() {
  xbt_log_control_set("root.thres:warning");
  for (const char* setting : {"contexts/stack-size:256", "contexts/guard-size:0"})
    s4u::Engine::set_config(setting);
}

/// The hosts are only where actors are; links are network.hpp's.
std::vector<s4u::Host*> build_platform(int nodes) {
  s4u::NetZone* zone = s4u::create_empty_zone("cluster");
  std::vector<s4u::Host*> hosts;
  for (int node = 0; node < nodes; ++node)
    hosts.push_back(zone->create_host("node" + std::to_string(node), 1e9));
  zone->seal();
  return hosts;
}

struct Outcome {
  int failures = 0;
  nlohmann::json result;
};

void run_rank(const StageOptions& options, Outcome& outcome) {
  std::optional<Session> session;
  try {
    session.emplace(nullptr, nullptr, Deadline::after(std::chrono::hours(1)));
    nlohmann::json result = run_stages(*session, options);
    if (session->rank() == 0) outcome.result = std::move(result);
  } catch (const Error& error) {
    ++outcome.failures;
    if (session && session->rank() == 0) std::fprintf(stderr, "launch_simulation: %s\n", error.what());
  }
  if (session) session->finalize(Deadline::after(std::chrono::hours(1)));
}

int simulate(int argc, char** argv) {
  const OptionTable table = option_table();
  const Options options = table.parse(argc, argv);
  if (options.flag("help")) {
    std::fputs(table.help().c_str(), stdout);
    return 0;
  }
  const int nodes = static_cast<int>(options.number("nodes", 1, 100'000));
  g_model.rate = real_number(options, "rate") * 1e6 / 8;
  g_model.backbone = real_number(options, "backbone") * 1e6 / 8;
  g_model.latency_s = real_number(options, "latency") * 1e-6;
  g_model.connect_s = real_number(options, "connect") * 1e-6;
  g_model.message_s = real_number(options, "message") * 1e-6;
  g_model.letter_s = real_number(options, "letter") * 1e-6;
  g_model.contents = options.text("contents") == "checked";
  g_model.damaged_at = static_cast<int>(options.number("damage", -1, 100'000));
  const StageOptions stages = stage_options(options);

  int one = 1;
  s4u::Engine engine(&one, argv);
  set_up_simgrid();
  const std::vector<s4u::Host*> hosts = build_platform(nodes);
  prepare_seam(nodes);
  Outcome outcome;
  for (int rank = 0; rank < nodes; ++rank) {
    auto actor = s4u::Actor::init("rank" + std::to_string(rank), hosts[static_cast<std::size_t>(rank)]);
    actor->start([&] { run_rank(stages, outcome); });
  }
  engine.run();
  if (outcome.failures > 0) {
    std::fprintf(stderr, "launch_simulation: %d of %d ranks failed\n", outcome.failures, nodes);
    return static_cast<int>(ExitStatus::environment);
  }
  outcome.result["checked_bytes"] = g_checked_bytes;
  std::cout << outcome.result.dump(2) << '\n';
  return 0;
}

}  // namespace
}  // namespace vmi

int main(int argc, char** argv) {
  try {
    return vmi::simulate(argc, argv);
  } catch (const vmi::Error& error) {
    std::fprintf(stderr, "launch_simulation: %s\n", error.what());
    return static_cast<int>(error.status());
  }
}
