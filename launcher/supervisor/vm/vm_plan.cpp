// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/vm/vm_plan.hpp"

#include "cachegen/cache/overlay.hpp"
#include "cachegen/guest/block_chain.hpp"
#include "cachegen/guest/ready.hpp"
#include "launcher/supervisor/event_loop.hpp"
#include "launcher/supervisor/vm/identity.hpp"

namespace vmi::supervisor {
namespace {

constexpr auto kQemuProbeTime = std::chrono::seconds(20);

ChainSpec chain_of(const VmSpec& spec, const VmPlan& plan, const QemuFacts& qemu, HostFacts& facts) {
  return {.overlay = plan.overlay,
          .cache_path = spec.cache,
          .cache_writable = spec.cache_writable,
          .quota = spec.quota,
          .image_url = spec.image_url,
          .image_format = spec.image_format,
          .driver = resolve_driver(spec.driver, qemu, spec.cache_writable),
          .aio = facts.aio(spec.aio, qemu),
          .page_cache = spec.aio == Aio::automatic && qemu.has_vmipagecache,
          .lock_cache = spec.cache.empty() || facts.can_lock(spec.cache),
          .lock_base = facts.can_lock(spec.image_url)};
}

}  // namespace

QemuFacts HostFacts::qemu(const std::string& program) {
  const std::lock_guard lock(mutex_);
  const auto known = qemu_.find(program);
  if (known != qemu_.end()) return known->second;
  assert_may_block("a look at QEMU");
  return qemu_[program] = probe_qemu(program, Deadline::after(kQemuProbeTime));
}

Accel HostFacts::accel(Accel wanted) {
  const std::lock_guard lock(mutex_);
  const auto known = accel_.find(wanted);
  if (known != accel_.end()) return known->second;
  return accel_[wanted] = resolve_accel(wanted);
}

bool HostFacts::can_lock(const std::string& url_or_path) {
  const std::lock_guard lock(mutex_);
  const auto known = can_lock_.find(url_or_path);
  if (known != can_lock_.end()) return known->second;
  return can_lock_[url_or_path] = vmi::can_lock(url_or_path);
}

Aio HostFacts::aio(Aio wanted, const QemuFacts& qemu) {
  const std::lock_guard lock(mutex_);
  if (!io_uring_problem_) io_uring_problem_ = io_uring_problem();
  return resolve_aio(wanted, qemu, *io_uring_problem_);
}

VmPlan plan_vm(const VmSpec& spec, const VmFolders& folders, HostFacts& facts) {
  VmPlan plan{.name = spec.name, .guest = spec.guest, .cpus = spec.cpus};
  const QemuFacts qemu = facts.qemu(plan.guest.qemu);
  plan.guest.qemu = qemu.path;
  plan.guest.accel = facts.accel(plan.guest.accel);

  // Files are named by the index: names may be long, and socket paths must be short.
  const std::string number = std::to_string(spec.index);
  plan.folder = folders.runtime / "vm" / number;
  plan.overlay = folders.overlays / ("overlay-" + number + ".qcow2");
  plan.files = {.serial_log = plan.folder / "serial.log"};

  if (spec.ready.needs_agent_channel()) plan.files.agent_socket = plan.folder / "agent.sock";
  if (spec.ready.needs_ssh_forward() && spec.guest.net != Net::user) {
    throw Error(ExitStatus::usage, "--ready ssh needs a network to reach the guest by; add --net user");
  }
  CommandExtras extras;
  extras.forward_ssh = spec.guest.net == Net::user;
  extras.sandbox = qemu.has_sandbox;
  extras.kernel_args = kernel_args_of(spec);
  extras.credentials = credentials_of(spec);
  if (!spec.guest.firmware_vars.empty()) plan.files.firmware_vars = plan.folder / "vars.fd";
  if (!spec.guest.user_data.empty()) plan.seed = plan.folder / "seed.img";
  extras.seed = plan.seed;
  plan.command = qemu_command(plan.guest, spec.name, blockdev_chain(chain_of(spec, plan, qemu, facts)),
                              plan.files, extras);
  return plan;
}

void make_files(const VmSpec& spec, const VmPlan& plan) {
  fs::create_directories(plan.folder);
  create_overlay(plan.overlay, spec.virtual_bytes);
  copy_firmware_vars(plan.guest, plan.files);
  if (!plan.seed.empty()) write_seed(spec, plan.seed);
}

}  // namespace vmi::supervisor
