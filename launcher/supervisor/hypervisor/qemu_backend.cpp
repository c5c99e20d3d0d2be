// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/hypervisor/qemu_backend.hpp"

#include "cachegen/guest/paused_qemu.hpp"
#include "cachegen/guest/qmp.hpp"
#include "cachegen/guest/ready.hpp"

#include <csignal>
#include <mutex>

#include <fcntl.h>

namespace vmi::supervisor {
namespace {

constexpr int kComplaintLines = 10;

fs::path stderr_log(const VmPlan& vm) {
  return vm.folder / "stderr.log";
}

class QemuDomain : public Domain {
 public:
  QemuDomain(int pid, Qmp qmp) : pid_(pid), qmp_(std::move(qmp)) {}
  int pid() const override { return pid_; }
  void resume(Deadline deadline) override { execute("cont", {}, deadline); }
  nlohmann::json execute(const std::string& command, const nlohmann::json& arguments,
                         Deadline deadline) override {
    const std::lock_guard lock(mutex_);
    return qmp_.execute(command, arguments, deadline);
  }

 private:
  int pid_;
  std::mutex mutex_;
  Qmp qmp_;
};

}  // namespace

std::unique_ptr<Domain> QemuBackend::create_paused(const VmPlan& vm, Deadline deadline) {
  const Fd log = open_file(stderr_log(vm), O_WRONLY | O_CREAT | O_APPEND, 0600);
  auto [child, monitor] = spawn_paused(vm.command, {.stdout_fd = log.get(),
                                                    .stderr_fd = log.get(),
                                                    .new_session = true,
                                                    .death_signal = SIGKILL,
                                                    .cpus = vm.cpus});
  try {
    Qmp qmp(std::move(monitor), deadline);
    return std::make_unique<QemuDomain>(child.release(), std::move(qmp));
  } catch (const Error& error) {
    const std::optional<int> status = child.wait(Deadline::after(std::chrono::milliseconds(200)));
    const std::string words = complaints(vm);
    if (!status)
      throw error.in("QEMU does not answer" + (words.empty() ? "" : " (it printed: " + words + ")"));
    throw Error(ExitStatus::environment, "QEMU ended at its start (" + describe_wait_status(*status) +
                                             "): " + (words.empty() ? "it printed nothing" : words));
  }
}

std::string QemuBackend::complaints(const VmPlan& vm) {
  std::error_code error;
  if (!fs::exists(stderr_log(vm), error)) return {};
  return printable_tail(read_text(stderr_log(vm)), kComplaintLines);
}

std::string QemuBackend::describe(const VmPlan& vm) {
  return shell_quoted(vm.command);
}

}  // namespace vmi::supervisor
