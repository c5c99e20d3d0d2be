// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/hypervisor/libvirt_root.hpp"

#include <cstdlib>

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::supervisor;

namespace {

/// $XDG_CACHE_HOME, for the time of a test.
class CacheHome {
 public:
  explicit CacheHome(const fs::path& path) { setenv("XDG_CACHE_HOME", path.c_str(), 1); }
  CacheHome(const CacheHome&) = delete;
  CacheHome& operator=(const CacheHome&) = delete;
  ~CacheHome() { unsetenv("XDG_CACHE_HOME"); }
};

const QemuFacts kQemu{.path = "/bin/sh", .version = "7.2"};

}  // namespace

TEST_CASE("what libvirt learnt in one root is there in the next") {
  const TempFolder folder(temp_root(), "probe-test-");
  const CacheHome home(folder.path() / "home");
  const fs::path first = folder.path() / "first", second = folder.path() / "second";
  CHECK_FALSE(ProbeCache(kQemu).known());
  ProbeCache(kQemu).seed(first);
  fs::create_directories(first / "cache/qemu/capabilities");
  write_text_atomically(first / "cache/qemu/capabilities/abc.xml", "<learnt/>");
  ProbeCache(kQemu).keep(first);
  CHECK(ProbeCache(kQemu).known());
  ProbeCache(kQemu).seed(second);
  CHECK(read_text(second / "cache/qemu/capabilities/abc.xml") == "<learnt/>");

  QemuFacts newer = kQemu;
  newer.version = "7.3";
  CHECK_FALSE(ProbeCache(newer).known());
}

TEST_CASE("a home that cannot be written to is no error") {
  const TempFolder folder(temp_root(), "probe-test-");
  write_text_atomically(folder.path() / "file", "");
  const CacheHome home(folder.path() / "file");
  fs::create_directories(folder.path() / "root/cache/qemu/capabilities");
  write_text_atomically(folder.path() / "root/cache/qemu/capabilities/abc.xml", "<learnt/>");
  ProbeCache(kQemu).keep(folder.path() / "root");
  CHECK_FALSE(ProbeCache(kQemu).known());
}
