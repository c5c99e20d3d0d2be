// SPDX-License-Identifier: Apache-2.0
// The stages of a launch on many simulated nodes: a star of links around a switch, one rank each, SMPI's MPI.
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
  for (const char* setting :
       {"network/model:SMPI", "network/TCP-gamma:0", "network/crosstraffic:no", "network/weight-S:0",
        "network/bandwidth-factor:1", "network/latency-factor:1", "smpi/bw-factor:0:1",
        "smpi/lat-factor:0:1;8193:0", "smpi/simulate-computation:no", "smpi/host-speed:1Gf",
        "smpi/errors-are-fatal:no", "smpi/test:0", "smpi/iprobe:0", "smpi/wtime:0", "smpi/init:0",
        "smpi/list-leaks:-1", "contexts/stack-size:256", "contexts/guard-size:0"}) {
    s4u::Engine::set_config(setting);
  }
}

std::vector<s4u::Host*> build_platform(int nodes) {
  s4u::NetZone* zone = s4u::create_star_zone("cluster");
  s4u::Link* backbone = nullptr;
  if (g_model.backbone > 0) {
    backbone = zone->create_link("backbone", g_model.backbone);
    backbone->set_latency(0)->seal();
  }
  std::vector<s4u::Host*> hosts;
  for (int node = 0; node < nodes; ++node) {
    const std::string name = "node" + std::to_string(node);
    s4u::Host* host = zone->create_host(name, 1e9);
    s4u::SplitDuplexLink* link = zone->create_split_duplex_link(name + "-link", g_model.rate);
    link->set_latency(g_model.latency_s)->seal();
    std::vector<s4u::LinkInRoute> route{{link, s4u::LinkInRoute::Direction::UP}};
    if (backbone != nullptr) route.emplace_back(backbone);
    zone->add_route(host->get_netpoint(), nullptr, nullptr, nullptr, route, true);
    hosts.push_back(host);
  }
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
    session.emplace(nullptr, nullptr, Deadline::after(options.timeout));
    nlohmann::json result = run_stages(*session, options);
    if (session->rank() == 0) outcome.result = std::move(result);
  } catch (const Error& error) {
    if (++outcome.failures == 1) std::fprintf(stderr, "launch_simulation: %s\n", error.what());
  }
  if (session) session->finalize(Deadline::after(options.timeout));
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
  g_model.letter_s = real_number(options, "letter") * 1e-6;
  g_model.contents = options.text("contents") == "checked";
  g_model.damaged_at = static_cast<int>(options.number("damage", -1, 100'000));
  const StageOptions stages = stage_options(options);

  int one = 1;
  s4u::Engine engine(&one, argv);
  set_up_simgrid();
  const std::vector<s4u::Host*> hosts = build_platform(nodes);
  SMPI_init();
  SMPI_app_instance_register("launch", nullptr, nodes);
  prepare_seam(nodes);
  Outcome outcome;
  for (int rank = 0; rank < nodes; ++rank) {
    auto actor = s4u::Actor::init("rank" + std::to_string(rank), hosts[static_cast<std::size_t>(rank)]);
    actor->set_property("instance_id", "launch");
    actor->set_property("rank", std::to_string(rank));
    actor->start([&] { run_rank(stages, outcome); });
  }
  engine.run();
  SMPI_finalize();
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
