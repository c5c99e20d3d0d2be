// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/vm/early_vms.hpp"

#include "cachegen/support/log.hpp"
#include "cachegen/support/socket.hpp"
#include "launcher/supervisor/vm/vm_plan.hpp"

#include <csignal>

#include <poll.h>
#include <sys/wait.h>

namespace vmi::supervisor {
namespace {

constexpr auto kEndTime = std::chrono::seconds(5);  // of a QEMU that was killed

/// The same QEMU, which would be started with the same files.
bool are_same(const VmPlan& one, const VmPlan& other) {
  return one.command == other.command && one.cpus == other.cpus && one.overlay == other.overlay &&
         one.virtual_bytes == other.virtual_bytes && one.seed == other.seed;
}

void end(EarlyVm& vm) {
  if (vm.pidfd) {
    pidfd_kill(vm.pidfd, SIGKILL);
    wait_fd(vm.pidfd.get(), POLLIN, Deadline::after(kEndTime));
  }
  // libvirt's is an orphan, which the loop reaps.
  waitpid(vm.domain->pid(), nullptr, WNOHANG);
  remove_files(vm.plan);
}

}  // namespace

void EarlyVms::create(int index, Create create) {
  auto task = std::make_shared<std::packaged_task<std::shared_ptr<EarlyVm>()>>(std::move(create));
  {
    const std::lock_guard lock(mutex_);
    vms_[index] = task->get_future().share();
  }
  pool_.submit([task] { (*task)(); });
}

std::shared_ptr<EarlyVm> EarlyVms::take(int index, const VmPlan& plan, const Hypervisor& hypervisor,
                                        const std::string& cpus, Deadline deadline) {
  Coming coming;
  {
    const std::lock_guard lock(mutex_);
    auto found = vms_.extract(index);
    if (!found) return nullptr;
    coming = std::move(found.mapped());
  }
  if (coming.wait_for(deadline.left()) != std::future_status::ready) {
    end_later(std::move(coming));
    return nullptr;
  }
  try {
    std::shared_ptr<EarlyVm> vm = coming.get();
    if (vm->hypervisor.get() == &hypervisor && vm->cpus == cpus && are_same(vm->plan, plan)) {
      log_info(plan.name + " was created ahead");
      return vm;
    }
    log_info(plan.name + " was created ahead, and otherwise than it is wanted: it is created anew");
    end(*vm);
  } catch (const std::exception& error) {
    log_debug(plan.name + " could not be created ahead: " + error.what());
  }
  return nullptr;
}

void EarlyVms::wait(Deadline deadline) {
  std::map<int, Coming> vms;
  {
    const std::lock_guard lock(mutex_);
    vms = vms_;
  }
  for (const auto& [index, coming] : vms) coming.wait_for(deadline.left());
}

void EarlyVms::end_all() {
  std::map<int, Coming> vms;
  {
    const std::lock_guard lock(mutex_);
    vms.swap(vms_);
  }
  for (auto& [index, coming] : vms) end_later(std::move(coming));
}

bool EarlyVms::none() const {
  const std::lock_guard lock(mutex_);
  return vms_.empty() && ending_ == 0;
}

void EarlyVms::end_later(Coming coming) {
  {
    const std::lock_guard lock(mutex_);
    ++ending_;
  }
  pool_.submit([this, coming = std::move(coming)] {
    try {
      end(*coming.get());
    } catch (const std::exception&) {
      // It could not be created.
    }
    {
      const std::lock_guard lock(mutex_);
      if (--ending_ > 0) return;
    }
    none_left_();
  });
}

}  // namespace vmi::supervisor
