// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/launch_options.hpp"

#include "cachegen/guest/guest_options.hpp"
#include "cachegen/store/store.hpp"
#include "cachegen/support/error.hpp"
#include "cachegen/support/file.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <regex>

#include <unistd.h>

namespace vmi {
namespace {

/// With less than this free (containers often have 64 MiB in all), /dev/shm is no place for caches and
/// overlays.
constexpr Bytes kLeastSharedMemory = 32 * MiB;

Error usage(const std::string& message) {
  return {ExitStatus::usage, message};
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

fs::path default_node_dir() {
  const std::string leaf = "vmilaunch-" + std::to_string(getuid());
  const bool in_memory = access("/dev/shm", W_OK | X_OK) == 0 && free_bytes("/dev/shm") >= kLeastSharedMemory;
  return (in_memory ? fs::path("/dev/shm") : temp_root()) / leaf;
}

std::string user_config() {
  if (const std::string xdg = environment("XDG_CONFIG_HOME"); !xdg.empty()) return xdg + "/vmilaunch/config";
  return environment("HOME") + "/.config/vmilaunch/config";
}

/// "IMG:COUNT"; a colon that is followed by anything but a number belongs to the image's path or URL.
/// A URL's port is no count: "nbd://host:10809" has its colon within the authority.
ImageRequest parse_image(const std::string& text) {
  if (text.empty()) throw usage("--image: the name is empty");
  const std::size_t colon = text.rfind(':');
  const std::size_t scheme = text.find("://");
  const bool in_authority = scheme != std::string::npos && text.find('/', scheme + 3) == std::string::npos &&
                            text.find(':', scheme + 3) == colon;
  if (colon == std::string::npos || colon == 0 || colon == scheme || in_authority ||
      colon + 1 == text.size() || text.find_first_not_of("0123456789", colon + 1) != std::string::npos) {
    return {text, 0};
  }
  int count = 0;
  const char* const begin = text.data() + colon + 1;
  const char* const end = text.data() + text.size();
  if (std::from_chars(begin, end, count).ec != std::errc() || count < 1 || count > 1'000'000) {
    throw usage("--image: '" + text +
                "': the number behind the colon is not a count of VMs from 1 to 1000000");
  }
  return {text.substr(0, colon), count};
}

void read_images(const Options& options, LaunchOptions& launch) {
  for (const std::string& text : options.all("image")) launch.images.push_back(parse_image(text));
  if (launch.images.empty()) throw usage("no image given; name one with --image IMG");
  launch.vms = options.has("vms") ? static_cast<int>(options.number("vms", 1, 1'000'000)) : 0;
  launch.vms_per_node =
      options.has("vms-per-node") ? static_cast<int>(options.number("vms-per-node", 1, 100'000)) : 0;
  if (launch.vms > 0 && launch.vms_per_node > 0)
    throw usage("--vms and --vms-per-node exclude each other; give one of them");

  const auto counted =
      std::ranges::count_if(launch.images, [](const ImageRequest& image) { return image.vms > 0; });
  if (counted > 0 && static_cast<std::size_t>(counted) < launch.images.size()) {
    throw usage("--image: give every image its count (IMG:COUNT) or none");
  }
  if (counted > 0) {
    int total = 0;
    for (const ImageRequest& image : launch.images) total += image.vms;
    if (launch.vms_per_node > 0)
      throw usage("--vms-per-node: the images' own counts say how many VMs there are; drop one of the two");
    if (launch.vms > 0 && launch.vms != total) {
      throw usage("--vms " + std::to_string(launch.vms) + ": the images' counts add up to " +
                  std::to_string(total));
    }
    launch.vms = total;
  }
  if (launch.vms == 0 && launch.vms_per_node == 0 && !options.flag("warm"))
    throw usage("how many VMs? give --vms N or --vms-per-node N");
}

void read_placement(const Options& options, LaunchOptions& launch) {
  const std::string placement = options.text("cache-placement");
  if (placement == "node") return;
  launch.placement = Placement::shared;
  if (placement == "shared") return;
  if (placement.find("://") == std::string::npos) {
    throw usage("--cache-placement: '" + placement +
                "' is not known; say node, shared or the URL at which the cache's file is served");
  }
  if (launch.images.size() > 1)
    throw usage("--cache-placement URL serves one image's cache; with several images use shared or node");
  launch.cache_url = placement;
}

void read_cache(const Options& options, LaunchOptions& launch) {
  const std::string cache = options.text("cache");
  launch.cache = &cache_mode(cache);
  if (launch.cache->takes_path) {
    launch.cache_path = fs::absolute(cache);
    if (launch.images.size() > 1)
      throw usage("--cache PATH is one image's cache; with several images use --cache auto");
  }
  read_placement(options, launch);
  launch.verify = parse_name<VerifyChoice>(options.text("verify-cache"));
  if (launch.placement == Placement::shared && !launch.cache->can_be_shared) {
    throw usage("--cache-placement shared is for a boot cache that was made beforehand, and --cache " +
                cache + " uses none; drop one of the two");
  }
  launch.quota = options.size("quota");
  if (launch.quota == 0)
    throw usage("--quota: a cache needs room; use --cache none for a launch without one");
  launch.profile_runs = static_cast<int>(options.number("runs", 1, 100));
  launch.cache_dir = Store::folder_for(options.given("cache-dir"));
  launch.node_dir = fs::absolute(options.given("node-dir").value_or(default_node_dir().string()));
  if (options.has("node-budget")) launch.node_budget = options.size("node-budget");
  launch.granularity = options.size("granularity");
  launch.driver = parse_name<Driver>(options.text("driver"));
  launch.aio = parse_name<Aio>(options.text("aio"));
  if (launch.driver == Driver::qcow2 && launch.cache->fills)
    throw usage(
        "--driver qcow2 reads caches and cannot fill one; for --cache cold use vmicache or copy-on-read");
}

void read_guest(const Options& options, LaunchOptions& launch) {
  GuestChoice choice = guest_choice(options);
  launch.guest = std::move(choice.guest);
  launch.ready = std::move(choice.ready);
  launch.timeout = choice.timeout;
  launch.backend = parse_name<Backend>(options.text("backend"));
}

void read_guest_identity(const Options& options, LaunchOptions& launch) {
  if (const std::optional<std::string> key = options.given("ssh-key")) {
    try {
      launch.ssh_key = read_text(*key);
    } catch (const Error& error) {
      throw usage(std::string("--ssh-key: ") + error.what());
    }
    if (!launch.ssh_key.starts_with("ssh-") && !launch.ssh_key.starts_with("ecdsa-") &&
        !launch.ssh_key.starts_with("sk-")) {
      throw usage("--ssh-key: '" + *key + "' is not an OpenSSH public key; give the file that ends in .pub");
    }
  }
  launch.hostname_prefix = options.text("hostname-prefix");
  static const std::regex label("[A-Za-z0-9]([A-Za-z0-9-]{0,50})?");
  if (!std::regex_match(launch.hostname_prefix, label)) {
    throw usage("--hostname-prefix: '" + launch.hostname_prefix +
                "' cannot begin a host name; use up to 50 letters, digits and hyphens");
  }
}

void read_end(const Options& options, LaunchOptions& launch) {
  launch.output = fs::absolute(options.given("output").value_or(default_output().string()));
  for (const std::string& note : options.all("note")) {
    const std::size_t equals = note.find('=');
    if (equals == std::string::npos || equals == 0) throw usage("--note: '" + note + "' is not KEY=VALUE");
    launch.notes[note.substr(0, equals)] = note.substr(equals + 1);
  }
  launch.hold = options.flag("hold");
  launch.command = options.command();
  if (launch.command && launch.command->empty()) throw usage("there is no command behind '--'");
  if (launch.hold && launch.command)
    throw usage("--hold and a command exclude each other: VMs are kept while the command runs");
  if (launch.command && launch.ready.kind == ReadySpec::Kind::exit) {
    throw usage("--ready exit means that the VMs have ended; a command would find none");
  }
  launch.overcommit = parse_name<Overcommit>(options.text("overcommit"));
  launch.mpi_settings = options.text("mpi-settings") == "auto";
  launch.dry_run = options.flag("dry-run");
  launch.warm = options.flag("warm");
  launch.keep_going = options.flag("keep-going");
  launch.json = options.flag("json");
}

}  // namespace

const OptionTable& launch_option_table() {
  static const OptionTable table = [] {
    OptionTable t("vmilaunch", "[options] --image IMG --vms N [-- CMD...]",
                  "Starts VMs on all ranks of an MPI job at once, from a boot cache of their image.");
    t.environment_prefix("VMILAUNCH_").config_file(user_config()).config_file("/etc/vmilaunch/config");
    t.group("What to start")
        .add({.name = "image",
              .letter = 'i',
              .metavar = "IMG[:COUNT]",
              .help = "Base image: a path or any URL that QEMU opens.",
              .repeatable = true})
        .add({.name = "vms",
              .letter = 'n',
              .metavar = "N",
              .help = "VMs in all, spread evenly over the nodes."})
        .add({.name = "vms-per-node", .metavar = "N", .help = "VMs on each node, instead of --vms."});
    add_guest_options(t.group("Guests"));
    add_ready_options(t);
    t.add({.name = "ssh-key",
           .metavar = "FILE",
           .help = "Public key that the guests' root accepts (systemd credential)."})
        .add({.name = "hostname-prefix",
              .metavar = "NAME",
              .default_value = "vm",
              .help = "VM i is called NAMEi."});
    t.group("Boot cache")
        .add({.name = "cache",
              .metavar = "auto|none|cold|full|PATH",
              .default_value = "auto",
              .help = cache_modes_help()})
        .add({.name = "cache-placement",
              .metavar = "node|shared|URL",
              .default_value = "node",
              .help = "node: copied to each node; shared: used where it lies; a URL: read from there."})
        .add({.name = "verify-cache",
              .metavar = "HOW",
              .default_value = "sample",
              .help = "Compare the cache with its base before use.",
              .choices = names_of<VerifyChoice>()})
        .add({.name = "quota",
              .metavar = "SIZE",
              .default_value = "256M",
              .help = "Most bytes that a cache file may occupy."})
        .add({.name = "granularity",
              .metavar = "SIZE",
              .default_value = "4K",
              .help = "Cluster size of caches that have to be made."})
        .add({.name = "runs",
              .metavar = "K",
              .default_value = "1",
              .help = "Boots to profile when a cache has to be made."})
        .add({.name = "cache-dir",
              .metavar = "DIR",
              .help = "Store of caches, shared by nodes [~/.cache/vmilaunch/store]."})
        .add({.name = "node-dir",
              .metavar = "DIR",
              .help = "Node-local folder for cache copies and overlays [/dev/shm/vmilaunch-UID, or below "
                      "TMPDIR where that is full]."})
        .add({.name = "node-budget",
              .metavar = "SIZE",
              .help = "Most bytes of caches that stay on a node; 0: none [a quarter of the file system of "
                      "--node-dir, at most 4G]."})
        .add({.name = "driver",
              .metavar = "DRIVER",
              .default_value = "auto",
              .help = "How QEMU uses the cache.",
              .choices = names_of<Driver>()})
        .add({.name = "aio",
              .metavar = "KIND",
              .default_value = "auto",
              .help = "How QEMU reads and writes the node's files.",
              .choices = names_of<Aio>()});
    t.group("Run")
        .add({.name = "output",
              .letter = 'o',
              .metavar = "RUN.h5",
              .help = "The record [vmilaunch-JOB.h5 or vmilaunch-TIME.h5]."})
        .add({.name = "note",
              .metavar = "KEY=VALUE",
              .help = "Attribute to keep in the record.",
              .repeatable = true})
        .add({.name = "hold", .help = "Keep the VMs until a signal or the job's end."})
        .add({.name = "overcommit",
              .metavar = "WHAT",
              .default_value = "cpus",
              .help =
                  "What VMs may want more of than a node's allocation has: none, CPUs, or all (memory and "
                  "--node-dir too).",
              .choices = names_of<Overcommit>()})
        .add({.name = "keep-going", .help = "Go on with the other VMs when some fail."})
        .add({.name = "backend",
              .metavar = "BACKEND",
              .default_value = "auto",
              .help = "What starts QEMU.",
              .choices = names_of<Backend>()})
        .add({.name = "mpi-settings",
              .metavar = "WHAT",
              .default_value = "auto",
              .help = "auto: spare Open MPI the search for networks that this node lacks; none: leave all to "
                      "MPI.",
              .choices = {"auto", "none"}})
        .add({.name = "dry-run", .help = "Print the plan and one domain's XML; start nothing."})
        .add({.name = "warm",
              .help = "Copy the images' caches from the store to this node's pool, for later launches; start "
                      "nothing. Without MPI, once on each node."})
        .add({.name = "json", .help = "Print the result as JSON."});
    return t;
  }();
  return table;
}

LaunchOptions launch_options(const Options& options) {
  LaunchOptions launch;
  read_images(options, launch);
  read_guest(options, launch);
  read_cache(options, launch);
  read_guest_identity(options, launch);
  read_end(options, launch);
  return launch;
}

BuildRequest build_request(const LaunchOptions& options, const std::string& image) {
  BuildRequest request;
  request.image = image;
  request.guest = options.guest;
  request.ready = options.ready;
  request.quota = options.quota;
  request.runs = options.profile_runs;
  request.granularity = options.granularity;
  request.timeout = options.timeout;
  request.store = options.cache_dir;
  return request;
}

fs::path logs_folder(const fs::path& output) {
  return output.string() + ".logs";
}

fs::path default_output() {
  if (const std::string job = environment("SLURM_JOB_ID"); !job.empty()) {
    const std::string step = environment("SLURM_STEP_ID");
    // A requeued job runs again under its number, and has a record for each time.
    const std::string restart = environment("SLURM_RESTART_COUNT");
    return "vmilaunch-" + job + (step.empty() || step == "0" ? "" : "." + step) +
           (restart.empty() || restart == "0" ? "" : "-restart" + restart) + ".h5";
  }
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  const std::size_t used = std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc);
  return "vmilaunch-" + std::string(text, used) + ".h5";
}

}  // namespace vmi
