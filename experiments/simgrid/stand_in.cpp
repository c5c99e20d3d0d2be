// SPDX-License-Identifier: Apache-2.0
#include "experiments/simgrid/stand_in.hpp"

#include "launcher/launch/letter.hpp"

#include <algorithm>
#include <random>

namespace vmi {
namespace {

std::int64_t to_ns(double seconds) {
  return static_cast<std::int64_t>(seconds * 1e9);
}

double seconds_since(std::int64_t begin_ns) {
  return static_cast<double>(monotonic_ns() - begin_ns) * 1e-9;
}

/// One of `choices`, always the same for a rank.
double own(const std::vector<double>& choices, int rank) {
  if (choices.empty()) return 0;
  std::minstd_rand random(static_cast<unsigned>(rank) + 1);
  random.discard(3);
  return choices[random() % choices.size()];
}

}  // namespace

StandInSupervisor::StandInSupervisor(const StageOptions& options, int rank)
    : options_(options),
      prepare_s_(own(options.prepare_s, rank)),
      boot_s_(own(options.boot_s, rank)),
      alarm_(make_alarm()) {
}

void StandInSupervisor::say(const Event& event, double in_s) {
  due_.emplace(monotonic_ns() + to_ns(in_s), event);
  alarm_->set(due_.begin()->first);
}

std::optional<SupervisorPort::Heard> StandInSupervisor::receive() {
  if (due_.empty() || due_.begin()->first > monotonic_ns()) return std::nullopt;
  Event event = std::move(due_.extract(due_.begin()).mapped());
  if (!due_.empty()) alarm_->set(due_.begin()->first);
  std::string text = to_text(event);
  return Heard{std::move(event), std::move(text)};
}

std::uint64_t StandInSupervisor::send(SupervisorRequest request) {
  const std::uint64_t id = next_id_++;
  if (std::holds_alternative<ProbeHypervisor>(request)) {
    const HypervisorFacts facts{.qemu = "qemu-system-x86_64", .accel = "kvm", .backend = Backend::qemu};
    say(Reply{.id = id, .result = to_result(facts)}, 0);
  } else if (const auto* look = std::get_if<InspectImage>(&request)) {
    const InspectedImage image{.url = look->url, .format = "raw", .virtual_bytes = GiB};
    say(Reply{.id = id, .result = to_result(image)}, 0);
  } else if (std::holds_alternative<OpenNodeFolder>(request)) {
    say(Reply{.id = id, .result = to_result(NodeFolder{options_.folder})}, 0);
  } else if (const auto* prepare = std::get_if<Prepare>(&request)) {
    for (const VmSpec& vm : prepare->vms) {
      vms_.push_back(vm.index);
      say(VmPrepared{.index = vm.index}, prepare_s_);
    }
    done(id, prepare_s_);
  } else if (std::holds_alternative<ResumeAll>(request)) {
    for (const int vm : vms_) {
      say(VmRunning{.index = vm}, 0);
      say(VmReady{.index = vm, .ready_by = "serial"}, boot_s_);
    }
    done(id, 0);
  } else if (std::holds_alternative<StopAll>(request)) {
    for (const int vm : vms_) say(VmStopped{.index = vm}, 0);
    done(id, 0);
  } else {
    done(id, 0);
  }
  return id;
}

StandInSupply::StandInSupply(const SupplySetting& setting, const StageOptions& options, BringTimes& times)
    : DeliveringSupply(setting), options_(options), times_(times) {
}

void StandInSupply::find(ImagePlan& image) {
  Outgoing cache = make_cache(options_);
  image.payload = cache.path;
  image.payload_bytes = cache.payload.size;
  image.metadata_bytes = cache.payload.metadata_bytes;
  image.digest = cache.payload.digest;
  image.hashes = std::move(cache.payload.hashes);
}

std::optional<Error> StandInSupply::bring(const Begin& begin) {
  const std::int64_t begun = monotonic_ns();
  const bool wanted = offer_all(begin);
  times_.offer_s = seconds_since(begun);
  std::optional<Error> failure = move_all(wanted, begin);
  // Until all nodes have theirs; a launch agrees on this only with its VMs' creation.
  setting().rank.team().agree(failure, std::chrono::hours(1), "distributing the caches");
  times_.move_s = seconds_since(begun) - times_.offer_s;
  return failure;
}

void StageReporter::phase(const std::string& name, const std::string& /*text*/) {
  begin_ns[name] = monotonic_ns();
}

void StageReporter::take(int /*rank*/, const std::string& text) {
  const Letter letter = parse_letter(text);
  if (const auto* row = std::get_if<NodeRow>(&letter)) wire_bytes = std::max(wire_bytes, row->wire_bytes);
  ++letters;
  letter_taken();
}

int StageReporter::conclude(const LaunchEnd& end, ExitStatus own_status) {
  failure = end.failure;
  return static_cast<int>(own_status);
}

}  // namespace vmi
