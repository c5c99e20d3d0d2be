// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/qemu_lookup.hpp"

#include "cachegen/guest/guest.hpp"

#include <fstream>

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

/// An install with a QEMU of its own, as CMAKE_INSTALL_LIBEXECDIR's default lays it out.
struct Install {
  TempFolder folder{temp_root(), "lookup-test-"};
  fs::path program = folder.path() / "bin/vmilaunch";
  fs::path qemu = folder.path() / "libexec/vmilaunch/qemu/bin/qemu-system-x86_64";

  Install() {
    fs::create_directories(program.parent_path());
    fs::create_directories(qemu.parent_path());
    std::ofstream(qemu).close();
    fs::permissions(qemu, fs::perms::owner_all);
  }
};

}  // namespace

TEST_CASE("the QEMU that is installed beside a program is its default") {
  const Install install;
  CHECK(default_qemu(install.program) == install.qemu);
}

TEST_CASE("a program without a QEMU of its own takes the one on PATH") {
  const Install install;
  fs::remove(install.qemu);
  CHECK(default_qemu(install.program) == "qemu-system-x86_64");
  CHECK(default_qemu("") == "qemu-system-x86_64");
}

TEST_CASE("stock QEMU is warned of where the cache-enabled one is installed, and nowhere else") {
  const Install install;
  const QemuFacts stock{.path = "/usr/bin/qemu-system-x86_64", .version = "7.2"};
  const QemuFacts other{.path = "/opt/qemu", .version = "7.2", .has_vmicache = true};
  CHECK_THAT(stock_qemu_warning(stock, install.program),
             Catch::Contains(stock.path.string()) && Catch::Contains(install.qemu.string()));
  CHECK(stock_qemu_warning(other, install.program).empty());
  fs::remove(install.qemu);
  CHECK(stock_qemu_warning(stock, install.program).empty());
}
