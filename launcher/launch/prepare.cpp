// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/prepare.hpp"

namespace vmi {
namespace {

using namespace std::chrono_literals;
constexpr auto kCreateTime = 600s;

/// The VMs of `image` that this rank starts.
Prepare prepare_of(const Rank& rank, const LaunchOptions& options, const LaunchPlan& plan,
                   const CacheSupply& supply, const VmCpus& cpus, const ImagePlan& image) {
  Prepare prepare;
  prepare.backend = plan.hypervisor.backend;
  prepare.node_dir = options.node_dir.string();
  prepare.failure_log_dir = logs_folder(options.output).string();
  for (const PlacedVm& vm : plan.placed) {
    if (vm.rank == rank.layout().rank && vm.image == image.index)
      prepare.vms.push_back(vm_spec(options, plan, vm, supply, cpus.at(vm.index)));
  }
  return prepare;
}

}  // namespace

VmSpec vm_spec(const LaunchOptions& options, const LaunchPlan& plan, const PlacedVm& vm,
               const CacheSupply& supply, const std::string& cpus) {
  const ImagePlan& image = plan.image_of(vm);
  VmSpec spec;
  spec.index = vm.index;
  spec.name = vm.name;
  spec.virtual_bytes = image.virtual_bytes;
  spec.image_url = image.url;
  spec.image_format = image.format;
  spec.quota = options.quota;
  spec.driver = plan.driver;
  spec.aio = options.aio;
  spec.guest = plan.guest;
  spec.ready = options.ready;
  spec.hostname = vm.name;
  spec.ssh_key = options.ssh_key;
  spec.cpus = parse_cpu_list(cpus);
  supply.serve(image, spec);
  return spec;
}

void distribute_and_prepare(Rank& rank, const LaunchOptions& options, const LaunchPlan& plan,
                            CacheSupply& supply, const VmCpus& cpus) {
  rank.reporter().phase("distribute", "distributing and preparing");
  std::vector<Pending<Prepare>> prepares;
  std::optional<Error> failure = supply.bring([&](const ImagePlan& image) {
    Prepare prepare = prepare_of(rank, options, plan, supply, cpus, image);
    if (!prepare.vms.empty()) prepares.push_back(rank.ask(std::move(prepare)));
  });
  std::string_view stage = "distributing the caches";
  if (!failure) {
    stage = "preparing the VMs";
    failure = attempt([&] {
      for (const Pending<Prepare> prepare : prepares) rank.await(prepare, kCreateTime, "VMs to be created");
    });
  }
  // One agreement on both, since VMs wait for each. Others may still be receiving.
  rank.team().agree(failure, time_to_send(plan.images) + kCreateTime, stage);
}

}  // namespace vmi
