// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/guest/guest.hpp"
#include "cachegen/guest/qemu_command.hpp"
#include "cachegen/support/deadline.hpp"
#include "cachegen/support/file.hpp"
#include "cachegen/support/process.hpp"

#include <memory>
#include <string>

#include <nlohmann/json.hpp>

namespace vmi::supervisor {

/// One VM as a hypervisor gets it: the same command whichever hypervisor runs it.
struct VmPlan {
  std::string name;
  GuestSpec guest;  ///< accel resolved, qemu a full path
  fs::path
      folder;  ///< this VM's own, below the runtime folder; part of the command, so that its QEMU can be told
  fs::path overlay;
  fs::path seed;  ///< of cloud-init; empty: none
  VmFiles files;
  CpuSet cpus;   ///< to run on; empty: on those of this process
  Argv command;  ///< qemu_command() with -S
};

/// A VM that exists. Calls may come from any thread.
class Domain {
 public:
  virtual ~Domain() = default;
  virtual int pid() const = 0;
  virtual void resume(Deadline deadline) = 0;
  /// A QMP command.
  virtual nlohmann::json execute(const std::string& command, const nlohmann::json& arguments,
                                 Deadline deadline) = 0;
};

/// What creates VMs. Every call blocks, throws Error, and may come from several threads at once. Ending a VM
/// is not its business: that is done with SIGKILL, which needs nobody's help.
class Hypervisor {
 public:
  virtual ~Hypervisor() = default;
  /// Does what is needed once before the first create for this emulator.
  virtual void warm(const GuestSpec& guest) = 0;
  /// The VM's QEMU answers, its guest is paused.
  virtual std::unique_ptr<Domain> create_paused(const VmPlan& vm, Deadline deadline) = 0;
  /// What QEMU itself printed about this VM; empty: nothing.
  virtual std::string complaints(const VmPlan& vm) = 0;
  /// What create_paused() would start, for people.
  virtual std::string describe(const VmPlan& vm) = 0;
};

}  // namespace vmi::supervisor
