// SPDX-License-Identifier: Apache-2.0
#include "fixture.hpp"

#include "cachegen/guest/guest.hpp"

#include <charconv>
#include <cstdlib>

#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

constexpr Bytes kDisk = 1 * MiB;

fs::path guest_folder() {
  const char* elsewhere = std::getenv("GUEST_FOLDER");
  return elsewhere != nullptr ? elsewhere : GUEST_FOLDER;
}

}  // namespace

void make_disks(const fs::path& folder) {
  for (const char* guest : {"READY", "SILENT", "POWEROFF", "SPIN", "CPU"}) {
    const fs::path disk = folder / (std::string(guest) + ".raw");
    fs::copy_file(guest_folder() / (std::string(guest) + ".boot"), disk);
    fs::resize_file(disk, kDisk);
  }
}

std::vector<VmSpec> make_vms(const fs::path& folder, int count, const std::string& guest, int first) {
  std::vector<VmSpec> specs;
  for (int i = first; i < first + count; ++i) {
    VmSpec spec;
    spec.index = i;
    spec.name = "vm" + std::to_string(i);
    spec.image_url = folder / (guest + ".raw");
    spec.image_format = "raw";
    spec.virtual_bytes = kDisk;
    spec.guest = {.accel = Accel::tcg, .memory = 64 * MiB};
    spec.ready = ReadySpec::parse("serial:^READY");
    specs.push_back(spec);
  }
  return specs;
}

Prepare prepare_request(Backend backend, const fs::path& node_dir, std::vector<VmSpec> specs) {
  Prepare request;
  request.backend = backend;
  request.node_dir = node_dir;
  request.failure_log_dir = node_dir / "kept";
  request.vms = std::move(specs);
  return request;
}

Fixture::Fixture(Backend backend)
    : backend_(backend),
      folder_(temp_root(), "node, dir "),
      runtime_root_("/dev/shm", "st-"),
      supervisor_(Supervisor::start({.runtime_root = runtime_root_.path()})) {
  make_disks(folder());
}

Reply Fixture::call(SupervisorRequest request) {
  return supervisor_.call(std::move(request), Deadline::after(60s),
                          [this](const Event& event) { events_.push_back(event); });
}

std::string what_is_left(const std::vector<fs::path>& roots) {
  std::string text;
  for (const fs::path& root : roots) {
    for (const auto& entry : fs::directory_iterator(root)) {
      if (entry.path().filename().string().starts_with("vmilaunch-")) text += entry.path().string() + "\n";
    }
    for (const std::string& process : processes_with(root.string() + "/vmilaunch-")) text += process + "\n";
  }
  return text;
}

std::vector<std::string> processes_with(const std::string& text) {
  std::vector<std::string> result;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    int pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc{} || pid == getpid())
      continue;
    std::string line;
    try {
      line = read_text(entry.path() / "cmdline");
    } catch (const Error&) {
      continue;  // it has ended
    }
    if (line.find(text) != std::string::npos) result.push_back(line);
  }
  return result;
}
