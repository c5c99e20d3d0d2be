// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/fit.hpp"

#include <algorithm>

namespace vmi {
namespace {

// Measured with QEMU 7.2, stock and with the driver; docs/adr/0006 has the figures.
constexpr Bytes kQemu = 48 * MiB;            // heap, stacks, page tables of a running VM
constexpr Bytes kTranslatedCode = 64 * MiB;  // with TCG: tb-size of qemu_command(), which a boot fills
constexpr Bytes kRank = 32 * MiB;            // a rank and its supervisor, libvirt included
constexpr Bytes kOverlay = 4 * MiB;          // what a guest has written by the time it is ready

/// Needs are rounded up, so that what a message asks for is enough.
std::string mib(Bytes bytes) {
  return std::to_string((bytes + MiB - 1) / MiB) + " MiB";
}

std::string mib_at_most(Bytes bytes) {
  return std::to_string(bytes / MiB) + " MiB";
}

std::string counted(int number, const std::string& thing) {
  return std::to_string(number) + " " + thing + (number == 1 ? "" : "s");
}

Bytes overlay_of(const NodeLoad& load) {
  return std::min(kOverlay, load.disk);
}

std::string memory_text(const NodeLoad& load, const GuestSpec& guest) {
  std::string text = counted(load.vms, "VM") + " x (" + mib(guest.memory) + " memory + " +
                     mib(qemu_overhead(guest)) + " QEMU with " + to_text(guest.accel);
  if (load.node_dir_in_memory) text += " + " + mib(overlay_of(load)) + " overlay in memory";
  text += ") + " + counted(load.ranks, "rank") + " x " + mib(kRank);
  if (const Bytes cache = load.cache + load.filling; load.node_dir_in_memory && cache > 0)
    text += " + " + mib(cache) + " cache in memory";
  return text;
}

Bytes memory_of(const NodeLoad& load, const GuestSpec& guest) {
  const Bytes in_memory = load.node_dir_in_memory ? overlay_of(load) : 0;
  return static_cast<Bytes>(load.vms) * (guest.memory + qemu_overhead(guest) + in_memory) +
         static_cast<Bytes>(load.ranks) * kRank + (load.node_dir_in_memory ? load.cache + load.filling : 0);
}

std::string memory_problem(const NodeFit& fit) {
  const Allocation& allocation = fit.allocation;
  if (allocation.memory_source.empty() || fit.memory <= allocation.memory) return {};
  return "node " + fit.node + ": " + fit.memory_text + " = " + mib(fit.memory) + ", and there are " +
         mib_at_most(allocation.memory) + " (" + allocation.memory_source + "); " +
         (allocation.in_slurm ? "ask for --mem=" + std::to_string((fit.memory + MiB - 1) / MiB) + "M"
                              : "free some") +
         ", start fewer or smaller VMs (--memory), or say --overcommit all";
}

std::string space_problem(const NodeFit& fit, const NodeLoad& load) {
  if (fit.space <= load.node_dir_free) return {};
  return "node " + fit.node + ": " + counted(load.vms, "overlay") + " x " + mib(overlay_of(load)) + " + " +
         mib(load.cache) + " cache = " + mib(fit.space) + ", and --node-dir '" + load.node_dir + "' has " +
         mib_at_most(load.node_dir_free) +
         " free; name another folder with --node-dir, or say --overcommit all";
}

std::string cpu_problem(const NodeFit& fit, const NodeLoad& load, const GuestSpec& guest) {
  const Allocation& allocation = fit.allocation;
  if (allocation.cpus_source.empty() || fit.cpus <= allocation.cpus) return {};
  return "node " + fit.node + ": " + counted(load.vms, "VM") + " x " + counted(guest.cpus, "CPU") + " = " +
         std::to_string(fit.cpus) + ", and there are " + std::to_string(allocation.cpus) + " (" +
         allocation.cpus_source + "); ask for more CPUs or start fewer VMs";
}

}  // namespace

Bytes qemu_overhead(const GuestSpec& guest) {
  return kQemu + (guest.accel == Accel::kvm ? 0 : kTranslatedCode);
}

NodeFit fit_of(const NodeLoad& load, const GuestSpec& guest) {
  NodeFit fit;
  fit.node = load.node;
  fit.allocation = load.allocation;
  if (load.vms == 0) return fit;
  fit.memory = memory_of(load, guest);
  fit.memory_text = memory_text(load, guest);
  fit.space = static_cast<Bytes>(load.vms) * overlay_of(load) + load.cache;
  fit.cpus = load.vms * guest.cpus;
  fit.memory_problem = memory_problem(fit);
  fit.space_problem = space_problem(fit, load);
  fit.cpu_problem = cpu_problem(fit, load, guest);
  return fit;
}

std::string NodeFit::text() const {
  std::string text = memory_text + " = " + mib(memory);
  if (!allocation.memory_source.empty())
    text += " of " + mib_at_most(allocation.memory) + " (" + allocation.memory_source + ")";
  text += "; " + counted(cpus, "virtual CPU");
  if (!allocation.cpus_source.empty())
    text += " on " + std::to_string(allocation.cpus) + " (" + allocation.cpus_source + ")";
  return text;
}

const NodeFit& tighter(const NodeFit& one, const NodeFit& other) {
  if (one.node.empty() || other.node.empty()) return one.node.empty() ? other : one;
  if (one.allocation.memory_source.empty()) return other;
  if (other.allocation.memory_source.empty()) return one;
  return other.allocation.memory < one.allocation.memory ? other : one;
}

}  // namespace vmi
