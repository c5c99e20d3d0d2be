// SPDX-License-Identifier: Apache-2.0
// What it costs to have N paused VMs: by hand (the same QEMU commands started from a loop, until each monitor
// answers), and through a supervisor with either backend. Ways alternate within each round, since other work
// on a machine comes and goes; the table has medians over the rounds, and the ratios are medians of each
// round's own ratio.
#include "cachegen/guest/paused_qemu.hpp"
#include "cachegen/guest/qmp.hpp"
#include "cachegen/support/options.hpp"
#include "launcher/supervisor/ipc/client.hpp"
#include "launcher/supervisor/vm/vm_plan.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

constexpr int kAtOnce = 8;  // as the supervisor has it
const char* const kWays[] = {"by hand", "qemu", "libvirt"};

struct Cost {
  double create_s = 0;     ///< wall time until all are paused
  double resume_s = 0;     ///< wall time until all run
  double stop_s = 0;       ///< wall time until all are gone
  double own_cpu_ms = 0;   ///< CPU time per VM of supervisor and client, for all three, without the QEMUs
  double qemu_cpu_ms = 0;  ///< CPU time per VM of the QEMUs until all are paused
};

double seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
}

double cpu_of(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// User and system time of a living process, fields 14 and 15 of proc(5)'s stat: its children not counted.
double cpu_of_process(int pid) {
  const std::string text = read_text("/proc/" + std::to_string(pid) + "/stat");
  unsigned long user = 0, system = 0;
  std::sscanf(text.c_str() + text.rfind(')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
              &user, &system);
  return static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

/// CPU time of a living process's threads until now, precise where proc(5)'s stat counts ticks.
double cpu_of_threads(int pid) {
  double total_ns = 0;
  for (const auto& thread : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    total_ns += std::stod(read_text(thread.path() / "schedstat"));
  }
  return total_ns * 1e-9;
}

class Stopwatch {
 public:
  double lap() {
    const std::int64_t now = monotonic_ns();
    const double result = static_cast<double>(now - last_) * 1e-9;
    last_ = now;
    return result;
  }

 private:
  std::int64_t last_ = monotonic_ns();
};

/// What the VMs are: the least that boots a disk, or more as options say.
struct Fleet {
  fs::path image;
  GuestSpec guest{.accel = Accel::tcg};
};

std::vector<VmSpec> specs(const Fleet& fleet, int count) {
  std::vector<VmSpec> result;
  for (int i = 0; i < count; ++i) {
    VmSpec spec{
        .index = i, .name = "vm" + std::to_string(i), .image_url = fleet.image, .image_format = "raw"};
    spec.virtual_bytes = 1 * GiB;
    spec.guest = fleet.guest;
    spec.ready.kind = ReadySpec::Kind::none;
    result.push_back(spec);
  }
  return result;
}

/// Waits until the supervisor has nothing left to do: libvirt tidies up after its domains are gone.
void settle(const Supervisor& supervisor) {
  double before = -1;
  while (before != cpu_of_process(supervisor.pid())) {
    before = cpu_of_process(supervisor.pid());
    std::this_thread::sleep_for(300ms);
  }
}

Cost with_supervisor(Supervisor& supervisor, Backend backend, const fs::path& folder, const Fleet& fleet,
                     int count) {
  Cost cost;
  const double before = cpu_of_process(supervisor.pid()) + cpu_of(RUSAGE_SELF);
  std::vector<int> qemus;
  const auto on_event = [&](const Event& event) {
    if (const auto* prepared = std::get_if<VmPrepared>(&event)) qemus.push_back(prepared->pid);
    if (const auto* failed = std::get_if<VmFailed>(&event))
      throw Error(ExitStatus::vm_failed, failed->reason);
  };
  Prepare prepare{.backend = backend, .node_dir = folder, .vms = specs(fleet, count)};
  Stopwatch watch;
  supervisor.call(prepare, Deadline::after(300s), on_event);
  cost.create_s = watch.lap();
  for (const int pid : qemus) cost.qemu_cpu_ms += 1e3 * cpu_of_threads(pid) / count;
  watch.lap();
  supervisor.call(ResumeAll{}, Deadline::after(300s), on_event);
  cost.resume_s = watch.lap();
  supervisor.call(StopAll{}, Deadline::after(300s), on_event);
  cost.stop_s = watch.lap();
  settle(supervisor);
  cost.own_cpu_ms = 1e3 * (cpu_of_process(supervisor.pid()) + cpu_of(RUSAGE_SELF) - before) / count;
  return cost;
}

/// Calls `work(i)` for i < count from kAtOnce threads.
void in_parallel(int count, const std::function<void(int)>& work) {
  std::atomic<int> next = 0;
  std::vector<std::thread> threads;
  threads.reserve(kAtOnce);
  for (int t = 0; t < kAtOnce; ++t) {
    threads.emplace_back([&] {
      for (int i = next++; i < count; i = next++) work(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

Cost by_hand(const Fleet& fleet, int count) {
  Cost cost;
  const TempFolder work("/dev/shm", "hand-");
  supervisor::HostFacts facts;
  std::vector<supervisor::VmPlan> plans;
  for (const VmSpec& spec : specs(fleet, count)) {
    plans.push_back(plan_vm(spec, {.runtime = work.path(), .overlays = work.path()}, facts));
    make_files(spec, plans.back());
  }
  std::vector<Child> children(plans.size());
  std::vector<std::unique_ptr<Qmp>> monitors(plans.size());
  const double before = cpu_of(RUSAGE_SELF);
  Stopwatch watch;
  in_parallel(count, [&](int index) {
    const auto i = static_cast<std::size_t>(index);
    // A session of its own, as libvirt and the supervisor give it: the scheduler shares CPUs out by session.
    auto [child, monitor] = spawn_paused(plans[i].command, {.new_session = true});
    children[i] = std::move(child);
    monitors[i] = std::make_unique<Qmp>(std::move(monitor), Deadline::after(60s));
  });
  cost.create_s = watch.lap();
  for (const Child& child : children) cost.qemu_cpu_ms += 1e3 * cpu_of_threads(child.pid()) / count;
  watch.lap();
  in_parallel(count,
              [&](int i) { monitors[static_cast<std::size_t>(i)]->execute("cont", Deadline::after(60s)); });
  cost.resume_s = watch.lap();
  for (const Child& child : children) child.signal(SIGKILL);
  children.clear();
  cost.stop_s = watch.lap();
  cost.own_cpu_ms = 1e3 * (cpu_of(RUSAGE_SELF) - before) / count;
  return cost;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

using Costs = std::map<std::string, std::vector<Cost>>;  ///< by way, one a round

double median_of(const std::vector<Cost>& costs, double Cost::*member) {
  std::vector<double> values;
  values.reserve(costs.size());
  for (const Cost& cost : costs) values.push_back(cost.*member);
  return median(values);
}

double median_ratio(const Costs& costs, const std::string& way) {
  std::vector<double> ratios;
  for (std::size_t round = 0; round < costs.at(way).size(); ++round)
    ratios.push_back(costs.at(way)[round].create_s / costs.at(kWays[0])[round].create_s);
  return median(ratios);
}

void print(int count, const Costs& costs, bool as_json) {
  for (const char* way : kWays) {
    const auto& rounds = costs.at(way);
    const double create = median_of(rounds, &Cost::create_s), resume = median_of(rounds, &Cost::resume_s),
                 stop = median_of(rounds, &Cost::stop_s);
    const double own = median_of(rounds, &Cost::own_cpu_ms), qemu = median_of(rounds, &Cost::qemu_cpu_ms),
                 ratio = median_ratio(costs, way);
    if (as_json) {
      const nlohmann::json line = {{"vms", count},
                                   {"way", way},
                                   {"create_s", create},
                                   {"create_ratio", ratio},
                                   {"resume_s", resume},
                                   {"stop_s", stop},
                                   {"own_cpu_ms_per_vm", own},
                                   {"qemu_cpu_ms_per_vm", qemu},
                                   {"rounds", rounds.size()}};
      std::puts(line.dump().c_str());
    } else {
      std::printf("%4d  %-8s %8.3f %8.2f %8.3f %8.3f %10.1f %10.1f\n", count, way, create, ratio, resume,
                  stop, own, qemu);
    }
    std::fflush(stdout);
  }
}

int bench(int argc, char** argv) {
  OptionTable table("bench_backends", "[options]", "Compares ways to start paused VMs");
  table.add({.name = "rounds",
             .metavar = "N",
             .default_value = "5",
             .help = "Rounds of every way and number of VMs."});
  table.add({.name = "vms",
             .metavar = "N",
             .default_value = "",
             .help = "Number of VMs; default: 1, 16 and 64.",
             .repeatable = true});
  table.add({.name = "machine",
             .metavar = "M",
             .default_value = "pc",
             .help = "Machine.",
             .choices = {"pc", "q35"}});
  table.add({.name = "net",
             .metavar = "N",
             .default_value = "none",
             .help = "Network.",
             .choices = {"none", "user"}});
  table.add({.name = "json", .help = "One JSON object a line."});
  const Options options = table.parse(argc, argv);
  const long long rounds = options.number("rounds", 1, 1000);
  std::vector<int> counts;
  for (const std::string& text : options.all("vms")) counts.push_back(std::stoi(text));
  if (counts.empty()) counts = {1, 16, 64};

  const TempFolder folder("/dev/shm", "bench-");
  Fleet fleet{.image = folder.path() / "empty.raw"};
  write_text_atomically(fleet.image, "");
  fs::resize_file(fleet.image, 1 * GiB);
  fleet.guest.machine = parse_name<Machine>(options.text("machine"));
  fleet.guest.net = parse_name<Net>(options.text("net"));
  Supervisor supervisor = Supervisor::start({});
  Stopwatch watch;
  supervisor.call(Warm{.backend = Backend::libvirt, .accel = "tcg", .machine = options.text("machine")},
                  Deadline::after(120s));
  const bool as_json = options.flag("json");
  if (!as_json) {
    std::printf("libvirt's driver opened and warm in %.3f s\n", watch.lap());
    std::printf(" VMs  way        create    ratio   resume     stop   own CPU   QEMU CPU\n");
    std::printf("                      s  to hand        s        s ms per VM  ms per VM\n");
  }
  for (const int count : counts) {
    Costs costs;
    for (long long round = 0; round < rounds; ++round) {
      costs["by hand"].push_back(by_hand(fleet, count));
      costs["qemu"].push_back(with_supervisor(supervisor, Backend::qemu, folder.path(), fleet, count));
      costs["libvirt"].push_back(with_supervisor(supervisor, Backend::libvirt, folder.path(), fleet, count));
    }
    print(count, costs, as_json);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (const std::optional<int> status = run_as_supervisor(argc, argv)) return *status;
  log_identity("bench_backends");
  try {
    return bench(argc, argv);
  } catch (const Error& error) {
    log_error(error.what());
    return static_cast<int>(error.status());
  }
}
