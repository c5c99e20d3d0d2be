// SPDX-License-Identifier: Apache-2.0
// What becomes of VMs created ahead that nobody takes; each is a `sleep` here.
#include "launcher/supervisor/vm/early_vms.hpp"

#include <csignal>

#include <catch2/catch.hpp>
#include <sys/wait.h>

using namespace vmi;
using namespace vmi::supervisor;
using namespace std::chrono_literals;

namespace {

class SleepDomain : public Domain {
 public:
  explicit SleepDomain(int pid) : pid_(pid) {}
  int pid() const override { return pid_; }
  void resume(Deadline) override {}
  nlohmann::json execute(const std::string&, const nlohmann::json&, Deadline) override { return {}; }

 private:
  int pid_;
};

class SleepHypervisor : public Hypervisor {
 public:
  void warm(const GuestSpec&) override {}
  std::unique_ptr<Domain> create_paused(const VmPlan&, Deadline) override {
    return std::make_unique<SleepDomain>(spawn({"sleep", "600"}).release());
  }
  std::string complaints(const VmPlan&) override { return {}; }
  std::string describe(const VmPlan&) override { return {}; }
};

/// Its VMs are created once `allowed` is set.
struct World {
  std::shared_ptr<SleepHypervisor> hypervisor = std::make_shared<SleepHypervisor>();
  std::promise<void> allowed;
  std::promise<int> made;  ///< the pid
  std::promise<void> none_left;
  WorkerPool pool{2};
  EarlyVms vms{pool, [this] { none_left.set_value(); }};

  ~World() { CHECK(pool.close(Deadline::after(20s))); }

  void create() {
    vms.create(0, [this] {
      allowed.get_future().wait_for(60s);
      auto vm = std::make_shared<EarlyVm>();
      vm->hypervisor = hypervisor;
      vm->domain = hypervisor->create_paused(vm->plan, Deadline::after(20s));
      vm->pidfd = open_pidfd(vm->domain->pid());
      made.set_value(vm->domain->pid());
      return vm;
    });
  }
  std::shared_ptr<EarlyVm> take(std::chrono::milliseconds patience) {
    return vms.take(0, {}, *hypervisor, "", Deadline::after(patience));
  }
  void check_that_it_ends() {
    std::future<void> gone = none_left.get_future();
    CHECK_FALSE(vms.none());
    CHECK(gone.wait_for(0s) == std::future_status::timeout);
    allowed.set_value();
    REQUIRE(gone.wait_for(20s) == std::future_status::ready);
    CHECK(vms.none());
    CHECK(kill(made.get_future().get(), 0) != 0);  // killed, and reaped
  }
};

}  // namespace

TEST_CASE("VMs that are still being created ahead when all are to end are ended too") {
  World world;
  CHECK(world.vms.none());
  world.create();
  CHECK_FALSE(world.vms.none());
  world.vms.end_all();
  world.check_that_it_ends();
}

TEST_CASE("a VM that is created ahead too late for who waited for it is ended") {
  World world;
  world.create();
  CHECK(world.take(10ms) == nullptr);
  world.check_that_it_ends();
}

TEST_CASE("a VM that could not be created ahead is none that has to end") {
  World world;
  world.vms.create(0, []() -> std::shared_ptr<EarlyVm> { throw Error(ExitStatus::environment, "no"); });
  std::future<void> gone = world.none_left.get_future();
  world.vms.end_all();
  CHECK(gone.wait_for(20s) == std::future_status::ready);
  CHECK(world.vms.none());
}

TEST_CASE("a VM created ahead and taken is no longer one that is to end") {
  World world;
  world.create();
  world.allowed.set_value();
  const std::shared_ptr<EarlyVm> vm = world.take(20s);
  REQUIRE(vm != nullptr);
  CHECK(world.vms.none());
  world.vms.end_all();
  CHECK(kill(vm->domain->pid(), 0) == 0);
  pidfd_kill(vm->pidfd, SIGKILL);
  CHECK(waitpid(vm->domain->pid(), nullptr, 0) == vm->domain->pid());
}
