// SPDX-License-Identifier: Apache-2.0
// VMs whose life is a shell script: what becomes of them is decided by VmSet, not by any hypervisor.
#include "launcher/supervisor/vm/vm_set.hpp"

#include "launcher/supervisor/vm/file_watch.hpp"
#include "tests/eventually.hpp"

#include <algorithm>
#include <csignal>
#include <future>
#include <set>

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::supervisor;
using vmi::testing::eventually;
using namespace std::chrono_literals;

namespace {

/// "Paused" is a script that has stopped itself; resuming continues it.
class ScriptDomain : public Domain {
 public:
  ScriptDomain(Child child, std::function<void()> on_resume)
      : child_(std::move(child)), on_resume_(std::move(on_resume)) {}
  ~ScriptDomain() override { child_.release(); }  // VmSet has reaped it
  int pid() const override { return child_.pid(); }
  void resume(Deadline) override {
    if (on_resume_) on_resume_();
    child_.signal(SIGCONT);
    if (after_resume) after_resume();
  }
  nlohmann::json execute(const std::string& command, const nlohmann::json&, Deadline) override {
    if (command == "query-status") return {{"status", "io-error"}};
    if (command == "quit") child_.signal(SIGTERM);
    return nlohmann::json::array();
  }
  std::function<void()> after_resume;

 private:
  Child child_;
  std::function<void()> on_resume_;
};

using Actions = std::map<std::string, std::function<void()>>;

std::function<void()> value_of(const Actions& actions, const std::string& name) {
  const auto found = actions.find(name);
  return found == actions.end() ? std::function<void()>() : found->second;
}

class ScriptHypervisor : public Hypervisor {
 public:
  std::map<std::string, std::string> scripts;  ///< by VM name; else `ready`
  Actions on_create;                           ///< may throw
  Actions on_resume;                           ///< may throw
  Actions after_resume;

  void warm(const GuestSpec&) override {}
  std::unique_ptr<Domain> create_paused(const VmPlan& vm, Deadline) override {
    if (on_create.contains(vm.name)) on_create.at(vm.name)();
    const std::string script =
        scripts.contains(vm.name) ? scripts.at(vm.name) : "echo READY >>\"$1\"; exec sleep 600";
    Child child = spawn({"sh", "-c", "kill -STOP $$; " + script, "sh", vm.files.serial_log.string()});
    const fs::path stat = fs::path("/proc") / std::to_string(child.pid()) / "stat";
    const bool stopped = eventually([&] { return read_text(stat).find(") T ") != std::string::npos; });
    if (!stopped)
      throw Error(ExitStatus::environment, "the script of " + vm.name + " has not stopped itself");
    auto domain = std::make_unique<ScriptDomain>(std::move(child), value_of(on_resume, vm.name));
    domain->after_resume = value_of(after_resume, vm.name);
    return domain;
  }
  std::string complaints(const VmPlan&) override { return "what QEMU said"; }
  std::string describe(const VmPlan&) override { return {}; }
};

struct World {
  explicit World(std::chrono::milliseconds interval = 1h) : look_interval(interval) {}

  std::chrono::milliseconds look_interval;
  TempFolder folder{temp_root(), "vm-set-test-"};
  EventLoop loop;
  WorkerPool pool{4};
  Reaper reaper;
  std::vector<Event> events;
  std::shared_ptr<ScriptHypervisor> hypervisor = std::make_shared<ScriptHypervisor>();
  VmSet vms{{.loop = loop,
             .pool = pool,
             .background = pool,
             .reaper = reaper,
             .emit = [this](const Event& event) { events.push_back(event); },
             .kill_in = [](const fs::path&) {},
             .look_interval = look_interval}};

  ~World() {
    stop();
    pool.close(Deadline::after(20s));
  }

  bool filling = false;  ///< the VMs fill caches

  void prepare(int count, const std::string& ready = "serial:READY") {
    Prepare request{.failure_log_dir = folder.path() / "kept"};
    for (int i = 0; i < count; ++i) {
      request.vms.push_back({.index = i,
                             .name = "vm" + std::to_string(i),
                             .cache_writable = filling,
                             .ready = ReadySpec::parse(ready)});
    }
    bool done = false;
    vms.prepare(
        request, [this](const VmSpec& spec) { return make(spec); }, [&done] { done = true; });
    CHECK(loop.run_until([&] { return done; }, Deadline::after(20s)));
  }
  VmSet::Made make(const VmSpec& spec) const {
    VmPlan plan{.name = spec.name, .folder = folder.path() / spec.name};
    plan.files.serial_log = plan.folder / "serial.log";
    fs::create_directories(plan.folder);
    write_text_atomically(plan.files.serial_log, "");
    return {plan, hypervisor};
  }
  void resume(std::chrono::milliseconds timeout = 60s) {
    vms.resume_all(timeout, [] {});
  }
  void stop() {
    bool done = false;
    vms.stop_all(true, [&done] { done = true; });
    CHECK(loop.run_until([&] { return done; }, Deadline::after(20s)));
  }
  template <typename Kind>
  std::vector<Kind> all() const {
    std::vector<Kind> result;
    for (const Event& event : events) {
      if (const auto* kind = std::get_if<Kind>(&event)) result.push_back(*kind);
    }
    return result;
  }
  template <typename Kind>
  bool wait_for(std::size_t count) {
    return loop.run_until([&] { return all<Kind>().size() >= count; }, Deadline::after(20s));
  }
};

void refuse() {
  throw Error(ExitStatus::environment, "the hypervisor does not want to");
}

}  // namespace

TEST_CASE("a VM that cannot be created fails with the reason, the others are prepared") {
  World world;
  world.hypervisor->on_create["vm1"] = refuse;
  world.prepare(3);
  CHECK(world.all<VmPrepared>().size() == 2);
  REQUIRE(world.all<VmFailed>().size() == 1);
  CHECK(world.all<VmFailed>()[0].index == 1);
  CHECK_THAT(world.all<VmFailed>()[0].reason, Catch::Contains("does not want to"));
  world.stop();
  CHECK(world.all<VmStopped>().size() == 2);  // only what was spawned
}

TEST_CASE("a VM that cannot be resumed fails, the others become ready") {
  World world;
  world.hypervisor->on_resume["vm0"] = refuse;
  world.prepare(2);
  world.resume();
  CHECK(world.wait_for<VmReady>(1));
  CHECK(world.wait_for<VmStopped>(1));
  CHECK(world.all<VmFailed>().at(0).index == 0);
}

TEST_CASE("a VM that is slow to resume delays nobody else") {
  World world;
  std::mutex gate;
  std::unique_lock closed(gate);
  world.hypervisor->on_resume["vm0"] = [&gate] { const std::lock_guard wait(gate); };
  world.prepare(3);
  world.resume();
  CHECK(world.wait_for<VmReady>(2));
  CHECK(world.all<VmRunning>().size() == 2);
  closed.unlock();
  CHECK(world.wait_for<VmReady>(3));
}

TEST_CASE("a guest that is ready before the hypervisor's answer was read has its times in order") {
  World world;
  std::promise<void> ready_was_seen;
  bool in_time = false;
  world.hypervisor->after_resume["vm0"] = [&] {
    in_time = ready_was_seen.get_future().wait_for(20s) == std::future_status::ready;
  };
  world.prepare(1);
  const fs::path log = world.folder.path() / "vm0/serial.log";
  FileWatch files(world.loop);
  const auto watch = files.watch(log, [&, told = false]() mutable {
    if (fs::file_size(log) == 0 || std::exchange(told, true)) return;
    // In the loop's next round but one it has also read the VM set's own notice of the same change.
    world.loop.post([&] { world.loop.post([&] { ready_was_seen.set_value(); }); });
  });
  world.resume();
  REQUIRE(world.wait_for<VmReady>(1));
  CHECK(in_time);
  REQUIRE(std::holds_alternative<VmRunning>(world.events[1]));
  CHECK(world.all<VmRunning>()[0].t_running <= world.all<VmReady>()[0].t_ready);
}

TEST_CASE("a VM that does not get ready in time fails with its last words, its log kept, and is ended") {
  World world;
  world.hypervisor->scripts["vm0"] = "exec sleep 600";
  world.prepare(2);
  // Written for it: its script may not have come so far by then.
  write_text_atomically(world.folder.path() / "vm0/serial.log", "still booting\n");
  world.resume(100ms);
  REQUIRE(world.wait_for<VmFailed>(1));
  const VmFailed failed = world.all<VmFailed>()[0];
  CHECK(failed.index == 0);
  CHECK(failed.timed_out);
  CHECK_THAT(failed.reason, Catch::Contains("serial:READY") && Catch::Contains("--node-dir full"));
  CHECK(failed.last_lines == "still booting");
  CHECK(read_text(failed.kept_log) == "still booting\n");
  CHECK(world.wait_for<VmStopped>(1));
}

TEST_CASE("a VM that fails without a word leaves no log") {
  World world;
  world.hypervisor->scripts["vm0"] = "exec sleep 600";
  world.prepare(1);
  world.resume(100ms);
  REQUIRE(world.wait_for<VmFailed>(1));
  CHECK(world.all<VmFailed>()[0].kept_log.empty());
  CHECK_FALSE(fs::exists(world.folder.path() / "kept"));
}

TEST_CASE("a guest that QEMU has stopped for good is not waited for") {
  World world(1ms);
  world.hypervisor->scripts["vm0"] = "exec sleep 600";
  world.prepare(1);
  world.resume(1h);
  REQUIRE(world.wait_for<VmFailed>(1));
  CHECK_FALSE(world.all<VmFailed>()[0].timed_out);
  CHECK_THAT(world.all<VmFailed>()[0].reason, Catch::Contains("--node-dir full"));
}

TEST_CASE("how a VM ended by itself decides what it is called") {
  World world;
  world.hypervisor->scripts["vm0"] = "exit 0";                       // powered off
  world.hypervisor->scripts["vm1"] = "kill -KILL $$";                // QEMU died
  world.hypervisor->scripts["vm2"] = "echo READY >>\"$1\"; exit 0";  // ready, and off at once
  world.prepare(3);
  world.resume();
  REQUIRE(world.wait_for<VmStopped>(3));
  const auto failed = world.all<VmFailed>();
  REQUIRE(failed.size() == 2);
  for (const VmFailed& vm : failed) {
    CHECK_THAT(vm.reason, vm.index == 0 ? Catch::Contains("powered off before it was ready")
                                        : Catch::Contains("killed by signal 9"));
  }
  CHECK(world.all<VmReady>().at(0).index == 2);
  CHECK(world.all<VmExited>().at(0).index == 2);
  for (const VmStopped& vm : world.all<VmStopped>()) CHECK(vm.stats.cpu_s >= 0);
}

TEST_CASE("with ready 'exit' powering off is readiness, dying is not") {
  World world;
  world.hypervisor->scripts["vm0"] = "exit 0";
  world.hypervisor->scripts["vm1"] = "exit 1";
  world.prepare(2, "exit");
  world.resume();
  REQUIRE(world.wait_for<VmStopped>(2));
  CHECK(world.all<VmReady>().at(0).index == 0);
  CHECK(world.all<VmReady>().at(0).ready_by == "exit");
  CHECK(world.all<VmFailed>().at(0).index == 1);
}

TEST_CASE("a VM that dies while paused has failed") {
  World world;
  world.prepare(1);
  kill(world.all<VmPrepared>().at(0).pid, SIGKILL);
  REQUIRE(world.wait_for<VmStopped>(1));
  CHECK(world.all<VmFailed>().size() == 1);
}

TEST_CASE("stopping while VMs are created ends those that begin and forgets those that wait") {
  World world;
  std::mutex gate;
  std::unique_lock closed(gate);
  for (int i = 0; i < 8; ++i) {
    world.hypervisor->on_create["vm" + std::to_string(i)] = [&gate] { const std::lock_guard wait(gate); };
  }
  Prepare request;
  for (int i = 0; i < 8; ++i)
    request.vms.push_back(
        {.index = i, .name = "vm" + std::to_string(i), .ready = {.kind = ReadySpec::Kind::none}});
  bool prepared = false, stopped = false;
  world.vms.prepare(
      request, [&](const VmSpec& spec) { return world.make(spec); }, [&] { prepared = true; });
  world.vms.stop_all(true, [&] { stopped = true; });
  closed.unlock();
  CHECK(world.loop.run_until([&] { return prepared && stopped; }, Deadline::after(20s)));
  CHECK(world.all<VmPrepared>().size() == world.all<VmStopped>().size());
  CHECK(world.all<VmFailed>().empty());
  CHECK(world.vms.all_ended());
}

TEST_CASE("a VM that was not there yet when all were stopped is not created either") {
  World world;
  std::promise<void> looked, stopped;
  bool created = false, ended = false;
  world.hypervisor->on_create["vm0"] = [&created] { created = true; };
  const auto make = [&](const VmSpec& spec) {
    VmSet::Made made = world.make(spec);
    made.make_files = [&] {
      looked.set_value();
      stopped.get_future().wait_for(20s);
    };
    return made;
  };
  world.vms.prepare({.vms = {{.index = 0, .name = "vm0", .ready = {.kind = ReadySpec::Kind::none}}}}, make,
                    [] {});
  REQUIRE(looked.get_future().wait_for(20s) == std::future_status::ready);
  world.vms.stop_all(true, [&ended] { ended = true; });
  stopped.set_value();
  CHECK(world.loop.run_until([&ended] { return ended; }, Deadline::after(20s)));
  CHECK_FALSE(created);
  CHECK(world.all<VmPrepared>().empty());
  CHECK(world.all<VmFailed>().empty());
}

TEST_CASE("a VM that filled a cache and was ready may close it, and one that hangs is killed") {
  World world;
  world.filling = true;
  const std::string quits = "trap 'exit 0' TERM; ";
  const std::string ready = "echo READY >>\"$1\"; ";
  const std::string lives = "while :; do sleep 0.02; done";
  world.hypervisor->scripts = {
      {"vm0", quits + ready + lives}, {"vm1", "trap '' TERM; " + ready + lives}, {"vm2", quits + lives}};
  world.prepare(3);
  world.resume();
  REQUIRE(world.wait_for<VmReady>(2));
  world.stop();
  std::map<int, bool> closed;
  for (const VmStopped& vm : world.all<VmStopped>()) closed[vm.index] = vm.cache_closed;
  CHECK(closed == std::map<int, bool>{{0, true}, {1, false}, {2, false}});
  CHECK(world.all<VmFailed>().empty());
}

TEST_CASE("a VM is not prepared twice, but again once it has ended") {
  World world;
  world.prepare(1);
  const auto again = [&] {
    world.vms.prepare(
        {.vms = {{.index = 0, .name = "vm0", .ready = {.kind = ReadySpec::Kind::none}}}},
        [&](const VmSpec& spec) { return world.make(spec); }, [] {});
  };
  CHECK_THROWS_WITH(again(), Catch::Contains("prepared already"));
  world.stop();
  world.prepare(1);
  CHECK(world.all<VmPrepared>().size() == 2);
}

TEST_CASE("stopping nothing is done at once") {
  World world;
  world.stop();
  CHECK(world.events.empty());
}
