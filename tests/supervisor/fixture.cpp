// SPDX-License-Identifier: Apache-2.0
#include "fixture.hpp"

#include "cachegen/guest/guest.hpp"

#include <charconv>
#include <fstream>

#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

constexpr Bytes kDisk = 1 * MiB;

void make_disk(const fs::path& boot_sector, const fs::path& disk) {
  fs::copy_file(boot_sector, disk);
  fs::resize_file(disk, kDisk);
}

}  // namespace

Fixture::Fixture(Backend backend)
    : backend_(backend),
      folder_(temp_root(), "node, dir "),
      runtime_root_("/dev/shm", "st-"),
      supervisor_(Supervisor::start({.runtime_root = runtime_root_.path()})) {
  for (const char* guest : {"READY", "SILENT", "POWEROFF", "SPIN"}) {
    make_disk(fs::path(GUEST_FOLDER) / (std::string(guest) + ".boot"),
              folder() / (std::string(guest) + ".raw"));
  }
}

std::vector<VmSpec> Fixture::vms(int count, const std::string& guest, int first) const {
  std::vector<VmSpec> specs;
  for (int i = first; i < first + count; ++i) {
    VmSpec spec;
    spec.index = i;
    spec.name = "vm" + std::to_string(i);
    spec.image_url = folder() / (guest + ".raw");
    spec.image_format = "raw";
    spec.virtual_bytes = kDisk;
    spec.guest = to_json(GuestSpec{.accel = Accel::tcg, .memory = 64 * MiB});
    spec.ready = "serial:^READY";
    specs.push_back(spec);
  }
  return specs;
}

Prepare Fixture::prepare(std::vector<VmSpec> specs) const {
  Prepare request;
  request.backend = backend_;
  request.node_dir = folder();
  request.failure_log_dir = folder() / "kept";
  request.vms = std::move(specs);
  return request;
}

Reply Fixture::call(SupervisorRequest request) {
  return supervisor_.call(std::move(request), Deadline::after(60s),
                          [this](const Event& event) { events_.push_back(event); });
}

std::string Fixture::leftovers() const {
  std::string text;
  for (const fs::path& root : {folder(), runtime_root()}) {
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
    std::ifstream file(entry.path() / "cmdline", std::ios::binary);
    const std::string line((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (line.find(text) != std::string::npos) result.push_back(line);
  }
  return result;
}
