// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/ipc/protocol.hpp"

namespace vmi {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(VmSpec, index, name, image_url, image_format, virtual_bytes, cache,
                                   cache_writable, quota, whole_copy, driver, aio, guest, ready, hostname,
                                   ssh_key, cpus)

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(InspectImage, url, format)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ProbeHypervisor, qemu, accel, machine, cpu_model, backend, warns)
static void to_json(nlohmann::json& json, const FindCache& request) {
  json = {{"request", to_json(request.request)}};
}
static void from_json(const nlohmann::json& json, FindCache& request) {
  request.request = build_request_from_json(json.at("request"));
}
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

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(InspectedImage, url, format, virtual_bytes, identity, single_local_file)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(HypervisorFacts, qemu, qemu_version, has_vmicache, has_sandbox,
                                   libvirt_version, accel, backend, first_use)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(CacheVerdict, findings, warnings)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NodeFolder, path)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Description, text)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ColdCache, path, keep_as, filled, rejected)
static void to_json(nlohmann::json& json, const FoundCache& found) {
  json = {{"path", found.path.string()}, {"built", found.built}};
}
static void from_json(const nlohmann::json& json, FoundCache& found) {
  found.path = json.at("path").get<std::string>();
  json.at("built").get_to(found.built);
}
static void to_json(nlohmann::json&, const Done&) {
}
static void from_json(const nlohmann::json&, Done&) {
}

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

nlohmann::json to_result(const Done& result) {
  return result;
}
nlohmann::json to_result(const InspectedImage& result) {
  return result;
}
nlohmann::json to_result(const HypervisorFacts& result) {
  return result;
}
nlohmann::json to_result(const FoundCache& result) {
  return result;
}
nlohmann::json to_result(const CacheVerdict& result) {
  return result;
}
nlohmann::json to_result(const NodeFolder& result) {
  return result;
}
nlohmann::json to_result(const Description& result) {
  return result;
}
nlohmann::json to_result(const ColdCache& result) {
  return result;
}

namespace {

template <typename Result>
Result typed_result(const Reply& reply) {
  try {
    Result result;
    from_json(reply.checked().result, result);
    return result;
  } catch (const nlohmann::json::exception& error) {
    throw_nonsense(reply.result.dump(), error);
  }
}

}  // namespace

template <typename Request>
typename Request::Result result_of(const Reply& reply) {
  return typed_result<typename Request::Result>(reply);
}

// Of each request.
template Done result_of<UseCpus>(const Reply&);
template Done result_of<KeepRecord>(const Reply&);
template Done result_of<Warm>(const Reply&);
template Done result_of<Prepare>(const Reply&);
template Done result_of<ResumeAll>(const Reply&);
template Done result_of<RunCommand>(const Reply&);
template Done result_of<SignalCommand>(const Reply&);
template Done result_of<StopAll>(const Reply&);
template Done result_of<Shutdown>(const Reply&);
template InspectedImage result_of<InspectImage>(const Reply&);
template HypervisorFacts result_of<ProbeHypervisor>(const Reply&);
template FoundCache result_of<FindCache>(const Reply&);
template CacheVerdict result_of<VerifyCache>(const Reply&);
template NodeFolder result_of<OpenNodeFolder>(const Reply&);
template Description result_of<Describe>(const Reply&);
template ColdCache result_of<OpenColdCache>(const Reply&);

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
