// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/owner.hpp"

#include <array>
#include <fstream>
#include <sstream>

#include <unistd.h>

namespace vmi {
namespace {

std::string current_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  file >> id;
  return id.empty() ? "unknown" : id;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

std::optional<unsigned long long> start_ticks_of(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // The command name, field 2, may hold anything; fields are counted from its closing bracket.
  const std::size_t bracket = line.rfind(')');
  if (bracket == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(bracket + 1));
  std::string field;
  fields >> field;
  if (field == "Z" || field == "X") return std::nullopt;  // it has ended, and nobody has waited for it yet
  for (int number = 4; number <= 22; ++number) fields >> field;
  unsigned long long ticks = 0;
  return std::istringstream(field) >> ticks ? std::optional(ticks) : std::nullopt;
}

}  // namespace

std::optional<Owner> Owner::of(int pid) {
  const std::optional<unsigned long long> ticks = start_ticks_of(pid);
  if (!ticks) return std::nullopt;
  return Owner{pid, *ticks, current_boot_id(), host_name()};
}

Owner Owner::self() {
  const std::optional<Owner> owner = of(getpid());
  if (!owner) throw Error(ExitStatus::environment, "cannot read /proc/self/stat: is /proc mounted?");
  return *owner;
}

std::string Owner::to_text() const {
  return std::to_string(pid) + " " + std::to_string(start_ticks) + " " + boot_id + " " + host;
}

std::optional<Owner> Owner::from_text(const std::string& text) {
  std::istringstream fields(text);
  Owner owner;
  if (!(fields >> owner.pid >> owner.start_ticks >> owner.boot_id >> owner.host)) return std::nullopt;
  return owner;
}

Owner::State Owner::state() const {
  if (host != host_name()) return State::unknown;
  if (boot_id != current_boot_id()) return State::dead;
  return start_ticks_of(pid) == start_ticks ? State::alive : State::dead;
}

void write_owner(const fs::path& folder) {
  write_text_atomically(folder / "owner", Owner::self().to_text() + "\n");
}

std::optional<Owner> read_owner(const fs::path& folder) {
  std::ifstream file(folder / "owner");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return Owner::from_text(line);
}

}  // namespace vmi
