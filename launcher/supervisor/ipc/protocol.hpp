// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a rank and its supervisor say to each other. Both ends are the same program, so there are no versions.
//
// The rank sends requests; each gets exactly one Reply with its id, in any order. Events of the VMs come in
// between, at any time after the request that causes them was sent. All times are CLOCK_MONOTONIC of this
// node in nanoseconds, taken where the thing happened; kNever where it did not.

#include "cachegen/build.hpp"
#include "cachegen/guest/aio.hpp"
#include "cachegen/guest/guest.hpp"
#include "cachegen/guest/ready.hpp"
#include "cachegen/support/cpu_set.hpp"
#include "cachegen/support/error.hpp"
#include "cachegen/support/units.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

namespace vmi {

inline constexpr std::int64_t kNever = -1;
inline constexpr std::int64_t kUnknown = -1;

enum class Backend { automatic, libvirt, qemu };
template <>
inline constexpr NameTable<Backend, 3> kNames<Backend>{
    "backend", {{{Backend::automatic, "auto"}, {Backend::libvirt, "libvirt"}, {Backend::qemu, "qemu"}}}};

/// One VM as the rank wants it.
struct VmSpec {
  int index = 0;          ///< its row in the record; names it in every event
  std::string name;       ///< unique in the launch: hypervisor name, file names
  std::string image_url;  ///< as QEMU opens it
  std::string image_format;
  Bytes virtual_bytes = 0;
  std::string
      cache;  ///< the boot cache's file; empty: none. May still be arriving: its metadata must be there.
  bool cache_writable = false;  ///< --cache cold: this VM fills it, its file to `quota` bytes at the most
  Bytes quota = 0;
  bool whole_copy = false;  ///< image_url is this node's own copy of the image: what it serves is a hit
  Driver driver = Driver::automatic;
  Aio aio = Aio::automatic;
  GuestSpec guest;
  ReadySpec ready;
  std::string hostname;  ///< empty: the guest's own
  std::string ssh_key;   ///< public key line; empty: none
  CpuSet cpus;           ///< to run on; empty: those of the supervisor
};

// ---- requests ----
//
// Each names what its reply carries: `Result`.

/// Of a request that is only done.
struct Done {};

struct InspectedImage {
  std::string url;     ///< as QEMU opens it
  std::string format;  ///< probed
  Bytes virtual_bytes = 0;
  std::string identity;            ///< image_identity() (cachegen/store/registry.hpp)
  bool single_local_file = false;  ///< one file of this node, without backing files
};
struct InspectImage {
  using Result = InspectedImage;
  static constexpr const char* kType = "inspect_image";
  std::string url;
  std::string format;  ///< empty: probed
};

/// What QEMU and libvirt are on this node, as far as a launch has to know.
struct HypervisorFacts {
  std::string qemu;  ///< full path
  std::string qemu_version;
  bool has_vmicache = false;
  bool has_sandbox = true;
  std::string libvirt_version;         ///< empty with the qemu backend
  std::string accel;                   ///< "kvm" or "tcg"
  Backend backend = Backend::libvirt;  ///< never `automatic`
  bool first_use = false;              ///< libvirt has to probe this emulator: under a second, once a machine
};
struct ProbeHypervisor {
  using Result = HypervisorFacts;
  static constexpr const char* kType = "probe_hypervisor";
  std::string qemu = "qemu-system-x86_64";
  std::string accel = "auto";
  std::string machine = "pc";
  std::string cpu_model;  ///< that the user has chosen: this node must have it (cachegen/guest/cpu_check.hpp)
  Backend backend = Backend::automatic;
  bool warns = false;  ///< of a QEMU without sandbox; set by one rank of all
};

/// Finds the image's boot cache in the store or profiles the image; Progress events meanwhile.
struct FindCache {
  using Result = FoundCache;  ///< cachegen/build.hpp
  static constexpr const char* kType = "find_cache";
  BuildRequest request;
};

/// Compares the cache with its base, as --verify-cache says.
struct CacheVerdict {
  std::vector<std::string> findings;  ///< with any of these the cache must not be used
  std::vector<std::string> warnings;
};
struct VerifyCache {
  using Result = CacheVerdict;
  static constexpr const char* kType = "verify_cache";
  std::string cache;
  std::string image_url;
  bool full = false;  ///< every cached byte; else a sample
};

/// Lets this supervisor, and whatever it starts from then on, run on these CPUs of the node, "0-3,8": the
/// rank, and the supervisor with it, may have been bound to one of them.
struct UseCpus {
  using Result = Done;
  static constexpr const char* kType = "use_cpus";
  std::string cpus;
};

/// Makes this supervisor's folder below `node_dir` (once; Prepare makes it too), where overlays go and where
/// the rank may put files of this launch. It goes with the supervisor, and is swept like a runtime folder.
struct NodeFolder {
  std::string path;
};
struct OpenNodeFolder {
  using Result = NodeFolder;
  static constexpr const char* kType = "open_node_folder";
  std::string node_dir;
};

/// The journal of the launch's record, which this rank (rank 0) writes. When the rank's end closes and its
/// journal is still there, the supervisor makes the record of it once the VMs have ended and the rank is
/// dead.
struct KeepRecord {
  using Result = Done;
  static constexpr const char* kType = "keep_record";
  std::string journal;  ///< absolute path; its header is there already
};

/// The domain's XML or QEMU's command as Prepare would use it. Starts nothing.
struct Description {
  std::string text;
};
struct Describe {
  using Result = Description;
  static constexpr const char* kType = "describe";
  Backend backend = Backend::automatic;
  std::string node_dir;
  VmSpec vm;
};

/// Makes the hypervisor ready for prepare: libvirt's driver opened and the emulator known. Optional; Prepare
/// does it too.
struct Warm {
  using Result = Done;
  static constexpr const char* kType = "warm";
  Backend backend = Backend::automatic;
  std::string qemu = "qemu-system-x86_64";
  std::string accel = "tcg";  ///< never "auto"
  std::string machine = "pc";
};

/// Makes overlays and starts the VMs paused. VmPrepared or VmFailed for each; the reply comes after the last
/// of them and is ok even when some VMs failed: the events say which. Several Prepares may be under way at
/// once, each with other VMs.
struct Prepare {
  using Result = Done;
  static constexpr const char* kType = "prepare";
  Backend backend = Backend::automatic;
  std::string node_dir;  ///< overlays go to a folder of this supervisor's below it
  std::string
      failure_log_dir;  ///< gets the serial logs of failed VMs, and is made for the first; empty: not kept
  std::int64_t create_timeout_ms = 120'000;  ///< per VM, from its own start
  std::vector<VmSpec> vms;
};

/// Resumes every prepared VM at once. VmRunning for each, later VmReady or VmFailed. The reply comes when all
/// were resumed.
struct ResumeAll {
  using Result = Done;
  static constexpr const char* kType = "resume_all";
  std::int64_t ready_timeout_ms = 300'000;  ///< from here; a VM not ready then has failed
};

/// Runs the user's command in its own process group with this supervisor's stdin, stdout and stderr. The
/// reply says that it started; CommandExited follows. One at a time.
struct RunCommand {
  using Result = Done;
  static constexpr const char* kType = "run_command";
  std::vector<std::string> argv;
  std::map<std::string, std::string> environment;
};

/// To the process group of the command; no command: ignored.
struct SignalCommand {
  using Result = Done;
  static constexpr const char* kType = "signal_command";
  int number = 15;
};

/// Ends every VM (SIGKILL to QEMU: overlays are thrown away; one that fills a cache and was ready gets 3 s to
/// close it). VmStopped for each VM that was spawned and has not ended yet, then the reply. Valid at any
/// time, also while a Prepare runs, which is then cut short.
struct StopAll {
  using Result = Done;
  static constexpr const char* kType = "stop_all";
};

/// --cache cold: the cache of this image that an earlier launch filled on this node, or a new, empty one.
struct ColdCache {
  std::string path;
  std::string keep_as;    ///< where it goes once it is filled
  bool filled = false;    ///< it was there already
  bool rejected = false;  ///< one that was there did not agree with the image, and was removed
};
struct OpenColdCache {
  using Result = ColdCache;
  static constexpr const char* kType = "open_cold_cache";
  std::string image_url;
  std::string kept_folder;  ///< of caches that were filled
  std::string new_file;     ///< path of the empty cache
  Bytes quota = 0;
  Bytes granularity = 0;  ///< cluster size, and the unit of fills
  bool sample = false;    ///< compare samples of a filled one with the image
  bool reject = false;    ///< another node has found that the image is not what it was
};

/// StopAll without statistics, then the supervisor replies and ends. Closing the socket does the same.
struct Shutdown {
  using Result = Done;
  static constexpr const char* kType = "shutdown";
};

using SupervisorRequest = std::variant<InspectImage, ProbeHypervisor, FindCache, VerifyCache, OpenColdCache,
                                       UseCpus, OpenNodeFolder, KeepRecord, Describe, Warm, Prepare,
                                       ResumeAll, RunCommand, SignalCommand, StopAll, Shutdown>;

struct RequestMessage {
  std::uint64_t id = 0;
  SupervisorRequest request;
};

// ---- events ----

struct Reply {
  static constexpr const char* kType = "reply";
  std::uint64_t id = 0;
  bool ok = true;
  ExitStatus status = ExitStatus::ok;
  std::string message;  ///< why not
  nlohmann::json result;
  /// Throws Error(status, message) unless ok.
  const Reply& checked() const;
};

/// How far request `id` has come; for people.
struct Progress {
  static constexpr const char* kType = "progress";
  std::uint64_t id = 0;
  std::string text;
  double fraction = -1;  ///< 0..1; -1: not known
};

struct VmPrepared {
  static constexpr const char* kType = "vm_prepared";
  int index = 0;
  int pid = 0;                      ///< of its QEMU
  std::int64_t t_prepare = kNever;  ///< work on this VM began
  std::int64_t t_spawn = kNever;    ///< its QEMU process answers, paused
  int ssh_port = 0;                 ///< on this host; 0: none
  std::string serial_log;
};

struct VmRunning {
  static constexpr const char* kType = "vm_running";
  int index = 0;
  std::int64_t t_running = kNever;
};

struct VmReady {
  static constexpr const char* kType = "vm_ready";
  int index = 0;
  std::int64_t t_ready = kNever;
  std::string ready_by;  ///< "serial", "agent", "ssh", "exit", "none"
};

/// At most one per VM; nothing but VmStopped follows it.
struct VmFailed {
  static constexpr const char* kType = "vm_failed";
  int index = 0;
  std::int64_t t_failed = kNever;
  std::string reason;  ///< one sentence
  bool timed_out = false;
  std::string last_lines;  ///< the serial log's end, and QEMU's stderr when that says more
  std::string kept_log;    ///< the copy in failure_log_dir; empty: none, or it printed nothing
};

/// A VM that was ready has ended by itself; its VmStopped follows.
struct VmExited {
  static constexpr const char* kType = "vm_exited";
  int index = 0;
  std::int64_t t_exited = kNever;
  std::string how;  ///< "exit status 0"
};

/// As far as the block driver can tell; kUnknown where it cannot.
struct VmStats {
  std::int64_t t_first_read = kNever;
  std::int64_t hits = kUnknown, misses = kUnknown;  ///< extents, see docs/adr/0005-driver-counters.md
  std::int64_t bytes_hit = kUnknown, bytes_miss = kUnknown;  ///< read from the cache file, from the base
  std::int64_t bytes_filled = kUnknown;                      ///< written to the cache file
  std::int64_t bytes_read = kUnknown;                        ///< by the guest; any QEMU tells
  double cpu_s = -1;                                         ///< user and system time of QEMU
  std::int64_t rss_bytes = kUnknown;                         ///< highest resident size of QEMU
};

/// The VM's QEMU is gone: after StopAll, after its failure, or because it ended by itself. Exactly once per
/// VmPrepared.
struct VmStopped {
  static constexpr const char* kType = "vm_stopped";
  int index = 0;
  std::int64_t t_stopped = kNever;
  VmStats stats;
  bool cache_closed = false;  ///< it filled a cache, was ready, and has written all of it
};

struct CommandExited {
  static constexpr const char* kType = "command_exited";
  int exit_status = 0;  ///< as a shell shows it: 128 + signal number when killed by one
};

/// SIGTERM reached the supervisor itself: it is stopping all VMs, as after StopAll.
struct Interrupted {
  static constexpr const char* kType = "interrupted";
  int signal = 0;
};

/// A log line of the supervisor; the client passes it to log().
struct LogLine {
  static constexpr const char* kType = "log";
  int level = 0;  ///< LogLevel
  std::string text;
};

using Event = std::variant<Reply, Progress, VmPrepared, VmRunning, VmReady, VmFailed, VmExited, VmStopped,
                           CommandExited, Interrupted, LogLine>;

/// One line of JSON. The parsers throw Error(environment) that shows the text: a peer that talks nonsense is
/// a bug.
std::string to_text(const RequestMessage& message);
RequestMessage parse_request(const std::string& text);
std::string to_text(const Event& event);
Event parse_event(const std::string& text);

/// What a reply carries, for Reply::result, and back. Every Result of a request has both.
nlohmann::json to_result(const Done& result);
nlohmann::json to_result(const InspectedImage& result);
nlohmann::json to_result(const HypervisorFacts& result);
nlohmann::json to_result(const FoundCache& result);
nlohmann::json to_result(const CacheVerdict& result);
nlohmann::json to_result(const NodeFolder& result);
nlohmann::json to_result(const Description& result);
nlohmann::json to_result(const ColdCache& result);

/// The result of a Request's reply. Throws the reply's Error, and Error(environment) where the two do not
/// belong together.
template <typename Request>
typename Request::Result result_of(const Reply& reply);

}  // namespace vmi
