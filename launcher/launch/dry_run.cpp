// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/dry_run.hpp"

#include "launcher/launch/prepare.hpp"

#include <algorithm>
#include <iostream>

namespace vmi {
namespace {

using namespace std::chrono_literals;
constexpr auto kSmallStep = 120s;

nlohmann::json to_json(const NodeLayout& layout, const LaunchPlan& plan, const FitReport& fit,
                       const std::string& domain) {
  nlohmann::json vms = nlohmann::json::array();
  for (const PlacedVm& vm : plan.placed) {
    vms.push_back({{"name", vm.name},
                   {"rank", vm.rank},
                   {"node", layout.node_of(vm.rank)},
                   {"image", plan.image_of(vm).url}});
  }
  return {{"vms", vms},
          {"nodes", layout.node_keys},
          {"driver", to_text(plan.driver)},
          {"sandbox", plan.hypervisor.has_sandbox},
          {"accel", plan.hypervisor.accel},
          {"cpu_model", cpu_model_of(plan.guest)},
          {"fits", fit.fits},
          {"domain", domain}};
}

std::string to_text(const NodeLayout& layout, const LaunchOptions& options, const LaunchPlan& plan,
                    const CacheSupply& supply, const FitReport& fit, const std::string& domain) {
  std::string text = std::to_string(plan.placed.size()) + " VMs on " + std::to_string(layout.nodes) +
                     " nodes, " + std::to_string(layout.ranks) + " ranks; backend " +
                     vmi::to_text(plan.hypervisor.backend) + ", accelerator " + plan.hypervisor.accel +
                     ", CPU " + cpu_model_of(plan.guest) + ", driver " + vmi::to_text(plan.driver) +
                     ", sandbox " + (plan.hypervisor.has_sandbox ? "on" : "off") + ", cache " +
                     options.cache->name + "\n";
  for (int rank = 0; rank < layout.ranks; ++rank) {
    text += "  rank " + std::to_string(rank) + " on " +
            layout.node_keys[static_cast<std::size_t>(layout.node_of(rank))] + ": " +
            std::to_string(std::ranges::count(plan.placed, rank, &PlacedVm::rank)) + " VMs\n";
  }
  for (const NodeFit& node : fit.fits) text += "  node " + node.node + ": " + node.text() + "\n";
  if (const std::string remark = supply.remark(); !remark.empty()) text += "  " + remark + "\n";
  return text + "\n" + plan.placed.front().name + ":\n" + domain + "\n";
}

}  // namespace

void print_dry_run(Rank& rank, const LaunchOptions& options, const LaunchPlan& plan,
                   const CacheSupply& supply, const FitReport& fit, const VmCpus& cpus) {
  // As without a cache: none has been looked for.
  VmSpec shown = vm_spec(options, plan, plan.placed.front(), supply, cpus.at(plan.placed.front().index));
  const std::string domain = rank.call(Describe{plan.hypervisor.backend, options.node_dir.string(), shown},
                                       kSmallStep, "a domain's description")
                                 .text;
  if (options.json) {
    std::cout << to_json(rank.layout(), plan, fit, domain).dump(2) << "\n";
  } else {
    std::cout << to_text(rank.layout(), options, plan, supply, fit, domain);
  }
  if (!std::cout.flush()) throw Error(ExitStatus::environment, "cannot write to standard output");
}

}  // namespace vmi
