// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/paused_qemu.hpp"

#include "cachegen/guest/qmp.hpp"

#include <catch2/catch.hpp>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

Deadline soon() {
  return Deadline::after(30s);
}

/// A shell in QEMU's place: its words are "$1" and so on.
PausedQemu spawn_shell(const std::string& script) {
  return spawn_paused({"bash", "-c", script, "qemu"}, {});
}

}  // namespace

TEST_CASE("a paused QEMU is given its end of the monitor, connected") {
  auto [qemu, monitor] = spawn_shell(R"(
    fd=${3##*fd=}
    exec 3<&$fd 4>&$fd
    echo '{"QMP": {}}' >&4
    read -r negotiation <&3
    echo '{"return": {}, "id": 1}' >&4
    read -r command <&3
    echo '{"return": "'"$1 $2 $4 $5"'", "id": 2}' >&4
  )");
  Qmp qmp(std::move(monitor), soon());
  CHECK(qmp.execute("words", soon()) == "-S -chardev -mon chardev=qmp,mode=control");
  CHECK(qemu.wait(soon()) == 0);
}

TEST_CASE("a monitor is closed once its QEMU has ended") {
  auto [qemu, monitor] = spawn_shell("exit 3");
  CHECK_THROWS_WITH(Qmp(std::move(monitor), soon()),
                    Catch::Contains("closed its monitor") && Catch::Contains("greeting"));
}
