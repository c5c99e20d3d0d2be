// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/ipc/protocol.hpp"

namespace vmi {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VmSpec, index, name, image_url, image_format, virtual_bytes, cache,
                                   cache_writable, quota, whole_copy, driver, aio, guest, ready, hostname,
                                   ssh_key, cpus)

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(InspectImage, url, format)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ProbeEnvironment, qemu, accel, machine, cpu_model, backend)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(FindCache, request)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VerifyCache, cache, image_url, full)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OpenColdCache, image_url, kept_folder, new_file, quota, granularity,
                                   sample, reject)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(UseCpus, cpus)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OpenNodeFolder, node_dir)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(KeepRecord, journal)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Describe, backend, node_dir, vm)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Warm, backend, qemu, accel, machine)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Prepare, backend, node_dir, failure_log_dir, create_timeout_ms, vms)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ResumeAll, ready_timeout_ms)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RunCommand, argv, environment)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SignalCommand, number)
static void to_json(nlohmann::json&, const StopAll&) {
}
static void from_json(const nlohmann::json&, StopAll&) {
}
static void to_json(nlohmann::json&, const Shutdown&) {
}
static void from_json(const nlohmann::json&, Shutdown&) {
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Reply, id, ok, status, message, result)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Progress, id, text, fraction)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VmPrepared, index, pid, t_prepare, t_spawn, ssh_port, serial_log)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VmRunning, index, t_running)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VmReady, index, t_ready, ready_by)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VmFailed, index, t_failed, reason, timed_out, last_lines, kept_log)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VmExited, index, t_exited, how)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VmStats, t_first_read, hits, misses, bytes_hit, bytes_miss, bytes_filled,
                                   bytes_read, cpu_s, rss_bytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VmStopped, index, t_stopped, stats, cache_closed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(CommandExited, exit_status)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Interrupted, signal)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(LogLine, level, text)

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Environment, qemu, qemu_version, has_vmicache, libvirt_version, accel,
                                   backend, first_use)

namespace {

/// {"type": the alternative's name, the alternative's own members...}
template <typename Variant>
nlohmann::json tagged(const Variant& variant) {
  return std::visit(
      [](const auto& body) {
        nlohmann::json json = nlohmann::json::object();
        to_json(json, body);
        json["type"] = body.kType;
        return json;
      },
      variant);
}

template <typename Variant, std::size_t I = 0>
Variant untagged(const nlohmann::json& json, const std::string& type) {
  if constexpr (I == std::variant_size_v<Variant>) {
    throw Error(ExitStatus::environment, "unknown message type '" + type + "'");
  } else {
    using Body = std::variant_alternative_t<I, Variant>;
    if (type != Body::kType) return untagged<Variant, I + 1>(json, type);
    Body body;
    from_json(json, body);
    return body;
  }
}

template <typename Variant>
Variant parse_tagged(const nlohmann::json& json) {
  return untagged<Variant>(json, json.at("type").get<std::string>());
}

/// Guests print what they like, so log lines may hold bytes that are no UTF-8: those are replaced.
std::string dump(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

[[noreturn]] void throw_nonsense(const std::string& text, const std::exception& error) {
  throw Error(ExitStatus::environment, std::string("a damaged message between rank and supervisor (") +
                                           error.what() + "): " + text.substr(0, 500));
}

}  // namespace

nlohmann::json to_result(const Environment& environment) {
  return environment;
}

Environment environment_of(const Reply& reply) {
  return reply.checked().result.get<Environment>();
}

const Reply& Reply::checked() const {
  if (!ok) throw Error(status, message);
  return *this;
}

std::string to_text(const RequestMessage& message) {
  nlohmann::json json = tagged(message.request);
  json["id"] = message.id;
  return dump(json);
}

RequestMessage parse_request(const std::string& text) {
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    return {json.at("id").get<std::uint64_t>(), parse_tagged<SupervisorRequest>(json)};
  } catch (const std::exception& error) {
    throw_nonsense(text, error);
  }
}

std::string to_text(const Event& event) {
  return dump(tagged(event));
}

Event parse_event(const std::string& text) {
  try {
    return parse_tagged<Event>(nlohmann::json::parse(text));
  } catch (const std::exception& error) {
    throw_nonsense(text, error);
  }
}

}  // namespace vmi
