// SPDX-License-Identifier: Apache-2.0
// `vmicache build` and `trace` as a user has them, ended in all ways.
#include "cachegen/profile/boot.hpp"
#include "cachegen/support/process.hpp"
#include "tests/profile/boot_sector.hpp"
#include "tests/test_image.hpp"

#include <csignal>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/wait.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

const std::string kVmicache = VMICACHE_PROGRAM;

/// Waits for a condition that nothing announces.
bool eventually(const std::function<bool()>& condition) {
  for (const Deadline end = Deadline::after(60s); !end.passed(); poll(nullptr, 0, 5)) {
    if (condition()) return true;
  }
  return condition();
}

/// Processes with `text` among their arguments, this one and the dead excepted.
int processes_with(const std::string& text) {
  int count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline", std::ios::binary);
    std::stringstream words;
    words << file.rdbuf();
    if (words.str().find(text) != std::string::npos) ++count;
  }
  return count;
}

/// A build of a guest that is never ready, going on in a folder of its own.
struct RunningBuild {
  TempFolder folder{temp_root(), "build-command-"};
  fs::path temp = folder.path() / "tmp";
  fs::path output = folder.path() / "c.vmic";
  fs::path err = folder.path() / "stderr";
  Child child;

  explicit RunningBuild(bool own_session) {
    fs::create_directory(temp);
    const fs::path disk = boot_sector(folder.path(), kSayR);
    const Fd err_fd = open_file(err, O_WRONLY | O_CREAT | O_CLOEXEC);
    child = spawn(
        {kVmicache, "build", "--image", disk, "--output", output, "--accel", "tcg", "--ready",
         "serial:never"},
        {.stderr_fd = err_fd.get(), .environment = {{"TMPDIR", temp.string()}}, .new_session = own_session});
    REQUIRE(eventually([&] { return guest_has_spoken(); }));
  }
  bool guest_has_spoken() const {
    for (const fs::directory_entry& entry : fs::directory_iterator(temp)) {
      std::error_code ignored;
      if (fs::file_size(entry.path() / "serial.log", ignored) > 0 && !ignored) return true;
    }
    return false;
  }
  int exit_status() {
    const std::optional<int> status = child.wait(Deadline::after(10s));
    REQUIRE(status);
    REQUIRE(WIFEXITED(*status));
    return WEXITSTATUS(*status);
  }
};

}  // namespace

TEST_CASE("a signal ends a build with its status and leaves nothing") {
  for (const auto& [number, status] : {std::pair(SIGINT, 130), std::pair(SIGTERM, 143)}) {
    RunningBuild build(false);
    build.child.signal(number);
    CHECK(build.exit_status() == status);
    CHECK(fs::is_empty(build.temp));
    CHECK_FALSE(fs::exists(build.output));
    CHECK(processes_with(build.temp) == 0);
  }
}

TEST_CASE("Ctrl-C reaches the whole foreground group and ends the build in the same way") {
  RunningBuild build(true);
  kill(-build.child.pid(), SIGINT);
  CHECK(build.exit_status() == 130);
  CHECK(fs::is_empty(build.temp));
  CHECK_THAT(read_text(build.err), Catch::Contains("interrupted") && !Catch::Contains("QEMU ended"));
}

TEST_CASE("a killed build takes its QEMU with it, and the next profile clears its folder") {
  RunningBuild build(false);
  build.child.kill_and_reap();
  CHECK(eventually([&] { return processes_with(build.temp) == 0; }));
  CHECK_FALSE(fs::is_empty(build.temp));

  const RunResult next = run({kVmicache, "build", "--image", build.folder.path() / "disk.raw", "--output",
                              build.output, "--accel", "tcg", "--ready", "none", "--settle", "100ms"},
                             Deadline::after(60s), {{"TMPDIR", build.temp.string()}});
  INFO(next.err);
  CHECK(next.ok());
  CHECK(fs::is_empty(build.temp));
  CHECK(fs::exists(build.output));
}

TEST_CASE("a deadline is told by its own status") {
  const TempFolder folder(temp_root(), "build-command-");
  const RunResult result =
      run({kVmicache, "build", "--image", boot_sector(folder.path(), kSayR), "--output", folder.path() / "c",
           "--accel", "tcg", "--ready", "serial:never", "--timeout", "2s"},
          Deadline::after(60s));
  CHECK(WEXITSTATUS(result.wait_status) == 124);
  CHECK_THAT(result.err, Catch::Contains("not ready") && Catch::Contains("\nR"));
  CHECK_FALSE(fs::exists(folder.path() / "c"));
}

TEST_CASE("a full temporary folder is reported, whatever it cuts short") {
  const auto image = test_image("tiny");
  if (!image) return;
  const TempFolder folder(temp_root(), "build-command-");
  fs::create_directory(folder.path() / "tmp");
  const std::string script = "mount -t tmpfs -o size=1m none \"$TMPDIR\" && exec \"$@\"";
  const RunResult result =
      run({"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", kVmicache, "build",
           "--image", *image, "--output", folder.path() / "c", "--accel", "tcg"},
          Deadline::after(300s), {{"TMPDIR", (folder.path() / "tmp").string()}});
  if (result.err.find("unshare failed") != std::string::npos) {
    if (std::getenv("CI") != nullptr) FAIL(result.err);
    WARN("SKIPPED: no user namespaces here: " << result.err);
    return;
  }
  CHECK(WEXITSTATUS(result.wait_status) == 4);
  CHECK_THAT(result.err, Catch::Contains("TMPDIR"));
  CHECK_FALSE(fs::exists(folder.path() / "c"));
}

TEST_CASE("build and trace print JSON for scripts") {
  const TempFolder folder(temp_root(), "build-command-");
  const fs::path output = folder.path() / "c.vmic";
  const fs::path trace = folder.path() / "t.h5";
  const fs::path disk = boot_sector(folder.path(), kSayR);
  const auto json_of = [](const Argv& argv) {
    return nlohmann::json::parse(run_checked(argv, Deadline::after(60s)));
  };

  const auto summary =
      json_of({kVmicache, "build", "--image", disk, "--output", output, "--trace-out", trace, "--accel",
               "tcg", "--ready", "serial:R", "--settle", "0s", "--runs", "2", "--json"});
  CHECK(summary["cache"] == output.string());
  CHECK(summary["image"]["format"] == "raw");
  CHECK(summary["profile"]["boots"].size() == 2);
  CHECK(summary["profile"]["ready"] == "serial:R");

  const auto order = json_of({kVmicache, "trace", "--json", output});
  REQUIRE_FALSE(order.empty());
  CHECK(order[0]["offset"] == 0);
  const auto requests = json_of({kVmicache, "trace", "--json", trace});
  REQUIRE_FALSE(requests.empty());
  CHECK(requests[0]["op"] == "read");
  CHECK(requests[0]["run"] == 0);
  CHECK(requests[0]["hit"] == -1);
  CHECK(requests.back()["run"] == 1);

  CHECK_THAT(run_checked({kVmicache, "trace", output}, Deadline::after(30s)), Catch::Contains("offset"));
  CHECK_THAT(run_checked({kVmicache, "trace", trace}, Deadline::after(30s)), Catch::Contains("t_submit"));
}

TEST_CASE("help names every option, and bad usage says what to do") {
  const auto status_of = [](const Argv& argv, const std::string& expected) {
    const RunResult result = run(argv, Deadline::after(30s));
    CHECK_THAT(result.err, Catch::Contains(expected));
    return WEXITSTATUS(result.wait_status);
  };
  const std::string help = run_checked({kVmicache, "build", "--help"}, Deadline::after(30s));
  for (const char* option : {"image", "output", "quota", "runs", "granularity", "ready", "timeout", "settle",
                             "memory", "cpus", "accel", "qemu", "trace-out", "machine", "json"}) {
    CHECK_THAT(help, Catch::Contains("--" + std::string(option)));
  }
  CHECK(status_of({kVmicache, "build", "--output", "/tmp/x"}, "--image") == 2);
  CHECK(status_of({kVmicache, "build", "--image", "/x"}, "--output") == 2);
  CHECK(status_of({kVmicache, "build", "--image", "/no/such", "--output", "/tmp/x"}, "/no/such") == 3);
  CHECK(status_of({kVmicache, "build", "--image", "/x", "--output", "/tmp/x", "--ready", "soon"}, "'soon'") ==
        2);
  CHECK(status_of({kVmicache, "build", "--image", "/x", "--output", "/tmp/x", "--granularity", "3K"},
                  "powers of two") == 2);
  CHECK(status_of({kVmicache, "build", "--image", "/x", "--output", "/tmp/x", "--cpus", "0"}, "--cpus") == 2);
  CHECK(status_of({kVmicache, "build", "--image", "/x", "--output", "/no/such/folder/x"},
                  "/no/such/folder") == 4);
  CHECK(status_of({kVmicache, "trace"}, "name a cache") == 2);
  CHECK(status_of({kVmicache, "trace", "/no/such"}, "/no/such") == 3);
  CHECK(status_of({kVmicache, "trace", "/etc/passwd"}, "/etc/passwd") == 3);
}
