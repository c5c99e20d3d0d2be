// SPDX-License-Identifier: Apache-2.0
#include "tests/launch/fake_supervisor.hpp"

namespace vmi::test {

std::uint64_t FakeSupervisor::send(SupervisorRequest request) {
  const std::uint64_t id = next_id_++;
  const std::string kind = std::visit([](const auto& body) { return std::string(body.kType); }, request);
  requests_.push_back(request);
  try {
    if (const auto found = answers_.find(kind); found != answers_.end()) {
      found->second(id, request);
    } else {
      const nlohmann::json result = answer(request);
      say(Reply{.id = id, .result = result});
    }
  } catch (const Error& error) {
    say(Reply{.id = id, .ok = false, .status = error.status(), .message = error.what()});
  }
  return id;
}

std::optional<SupervisorPort::Heard> FakeSupervisor::receive() {
  if (heard_.empty()) return std::nullopt;
  Heard next = std::move(heard_.front());
  heard_.pop_front();
  return next;
}

nlohmann::json FakeSupervisor::answer(const SupervisorRequest& request) {
  if (std::holds_alternative<ProbeHypervisor>(request)) {
    return to_result(HypervisorFacts{.qemu = "/usr/bin/qemu-system-x86_64",
                                     .qemu_version = "7.2",
                                     .has_vmicache = true,
                                     .accel = "tcg",
                                     .backend = Backend::qemu});
  }
  if (const auto* look = std::get_if<InspectImage>(&request)) {
    return to_result(InspectedImage{.url = look->url,
                                    .format = "raw",
                                    .virtual_bytes = 64 * MiB,
                                    .identity = "0123",
                                    .single_local_file = true});
  }
  if (std::holds_alternative<OpenNodeFolder>(request)) return to_result(NodeFolder{folder_});
  if (std::holds_alternative<VerifyCache>(request)) return to_result(CacheVerdict{});
  if (std::holds_alternative<Describe>(request)) return to_result(Description{"<domain/>"});
  if (const auto* prepare = std::get_if<Prepare>(&request)) {
    for (const VmSpec& vm : prepare->vms) {
      vms_.push_back(vm);
      say(VmPrepared{.index = vm.index, .pid = 1, .t_prepare = 1, .t_spawn = 2, .ssh_port = 2200 + vm.index});
    }
  } else if (std::holds_alternative<ResumeAll>(request)) {
    resume_all();
  } else if (std::holds_alternative<RunCommand>(request)) {
    say(CommandExited{.exit_status = 0});
  } else if (std::holds_alternative<StopAll>(request)) {
    for (const VmSpec& vm : vms_) say(VmStopped{.index = vm.index, .t_stopped = 5});
    vms_.clear();
  } else if (!std::holds_alternative<UseCpus>(request) && !std::holds_alternative<Warm>(request) &&
             !std::holds_alternative<KeepRecord>(request) &&
             !std::holds_alternative<SignalCommand>(request)) {
    throw Error(ExitStatus::environment, "the test has no answer to this request");
  }
  return to_result(Done{});
}

void FakeSupervisor::resume_all() {
  for (const VmSpec& vm : vms_) {
    say(VmRunning{.index = vm.index, .t_running = 3});
    say(outcome ? outcome(vm.index) : Event(VmReady{.index = vm.index, .t_ready = 4, .ready_by = "serial"}));
  }
}

}  // namespace vmi::test
