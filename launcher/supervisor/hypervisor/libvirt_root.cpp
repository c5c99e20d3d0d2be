// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor/hypervisor/libvirt_root.hpp"

#include "cachegen/support/folder.hpp"
#include "cachegen/support/hash.hpp"
#include "cachegen/support/log.hpp"

#include <fstream>

#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace vmi::supervisor {
namespace {

constexpr const char* kCapabilities = "cache/qemu/capabilities";

std::string cpu_model() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) return line;
  }
  return {};
}

/// What libvirt takes for another emulator or machine: homes are shared by machines that differ.
std::string key_of(const QemuFacts& qemu) {
  struct stat info {};
  if (stat(qemu.path.c_str(), &info) != 0)
    throw_errno(ExitStatus::environment, "cannot look at '" + qemu.path.string() + "'");
  utsname system{};
  uname(&system);
  const std::string kvm = access("/dev/kvm", R_OK | W_OK) == 0 ? "kvm" : "no kvm";
  const std::string text = qemu.path.string() + "\n" + std::to_string(info.st_mtim.tv_sec) + "." +
                           std::to_string(info.st_mtim.tv_nsec) + "\n" + qemu.version + "\n" +
                           system.release + "\n" + cpu_model() + "\n" + kvm;
  return hash128_hex(std::as_bytes(std::span(text)));
}

/// Copies files that are new or differ, each whole or not at all.
void copy_files(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) {
    if (entry.path().extension() != ".xml") continue;
    const fs::path target = to / entry.path().filename();
    const std::string text = read_text(entry.path());
    if (fs::exists(target, error) && read_text(target) == text) continue;
    fs::create_directories(to);
    write_text_atomically(target, text, 0600);
  }
}

}  // namespace

void write_libvirt_root(const fs::path& root) {
  std::string conf =
      "stdio_handler = \"file\"\n"  // no virtlogd
      "security_driver = \"none\"\n"
      "dynamic_ownership = 0\n"  // images stay whose they are
      "remember_owner = 0\n"
      "cgroup_controllers = []\n"  // QEMU stays in the job's cgroup
      "namespaces = []\n"
      // No seccomp_sandbox: by default, libvirt gives each QEMU that has it the -sandbox of qemu_command().
      // With 1, a QEMU without seccomp would not start.
      "capability_filters = [\"cpu-unavailable-features\"]\n";  // 0.2 s of QMP round trips per domain
  if (geteuid() == 0) {
    // Else it wants to become the user libvirt-qemu, who need not exist and could not read the job's files.
    for (const char* who : {"user", "swtpm_user"}) conf += std::string(who) + " = \"+0\"\n";
    for (const char* who : {"group", "swtpm_group"})
      conf += std::string(who) + " = \"+" + std::to_string(getegid()) + "\"\n";
  }
  fs::create_directories(root / "etc");
  write_text_atomically(root / "etc/qemu.conf", conf);
}

std::map<std::string, std::string> libvirt_environment(const fs::path& root) {
  std::map<std::string, std::string> variables = {
      {"LIBVIRT_LOG_OUTPUTS", "3:file:" + (root / "libvirt.log").string()}};
  // Without it an ordinary user's libvirt needs a home that can be written to.
  if (geteuid() != 0) variables["XDG_RUNTIME_DIR"] = root / "xdg";
  return variables;
}

ProbeCache::ProbeCache(const QemuFacts& qemu) {
  const fs::path cache = user_cache_folder();
  if (!cache.empty()) folder_ = cache / "libvirt-probe" / key_of(qemu);
}

bool ProbeCache::known() const {
  std::error_code error;
  return !folder_.empty() && fs::exists(folder_, error) && !fs::is_empty(folder_, error);
}

void ProbeCache::seed(const fs::path& root) const {
  if (folder_.empty()) return;
  try {
    copy_files(folder_, root / kCapabilities);
  } catch (const std::exception& error) {
    log_debug("what libvirt knew about the emulator cannot be read: " + std::string(error.what()));
  }
}

void ProbeCache::keep(const fs::path& root) const {
  if (folder_.empty()) return;
  try {
    copy_files(root / kCapabilities, folder_);
  } catch (const std::exception& error) {
    log_info("libvirt's probing of the emulator (about 1 s a launch) cannot be kept: " +
             std::string(error.what()));
  }
}

}  // namespace vmi::supervisor
