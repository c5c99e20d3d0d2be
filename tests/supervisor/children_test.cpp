// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/vm/children.hpp"

#include "cachegen/support/process.hpp"
#include "tests/eventually.hpp"

#include <algorithm>
#include <csignal>
#include <string>

#include <catch2/catch.hpp>
#include <sys/prctl.h>
#include <sys/wait.h>

using namespace vmi;
using vmi::testing::eventually;
using namespace vmi::supervisor;
using namespace std::chrono_literals;

namespace {

bool is_zombie(int pid) {
  const auto children = list_children();
  return std::ranges::any_of(children,
                             [pid](const ChildProcess& child) { return child.pid == pid && child.zombie; });
}

}  // namespace

TEST_CASE("orphans are reaped and remembered, children that somebody waits for are not") {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  Child direct = spawn({"true"});
  // A daemon as QEMU makes one: a new session, whose leader ends first, or the shell might reap it.
  const std::string daemon = "(while kill -0 $$; do sleep 0.01; done; exit 7) >/dev/null 2>&1 & echo $!";
  const RunResult started = run({"setsid", "sh", "-c", daemon}, Deadline::after(20s));
  const int orphan = std::stoi(started.out);
  CHECK(eventually([&] { return is_zombie(direct.pid()) && is_zombie(orphan); }));

  Reaper reaper;
  reaper.reap_orphans();
  CHECK_FALSE(is_zombie(orphan));
  CHECK(is_zombie(direct.pid()));
  CHECK(WEXITSTATUS(reaper.collect(orphan).value().wait_status) == 7);
  CHECK_FALSE(reaper.collect(orphan));
  CHECK(direct.wait(Deadline::after(1s)) == 0);
}

TEST_CASE("every child is killed, and the children of those") {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  Child shell = spawn({"sh", "-c", "sleep 600 & sleep 600 & wait"});
  CHECK(eventually([&] {
    return run({"pgrep", "-P", std::to_string(shell.pid())}, Deadline::after(20s)).out.size() > 4;
  }));
  CHECK(kill_children(Deadline::after(20s)));
  const auto left = list_children();
  CHECK(std::ranges::all_of(left, &ChildProcess::zombie));
}
