// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/cpu_check.hpp"

#include "cachegen/guest/paused_qemu.hpp"
#include "cachegen/guest/qmp.hpp"
#include "cachegen/guest/ready.hpp"

#include <algorithm>
#include <csignal>
#include <regex>
#include <sstream>

#include <sys/mman.h>

namespace vmi {
namespace {

constexpr int kComplaintLines = 5;
constexpr const char* kBaseline = "qemu64";

std::string base_model(const std::string& model) {
  return model.substr(0, model.find(','));
}

/// "TCG doesn't support requested feature: CPUID.01H:ECX.sse4.1 [bit 19]" gives "sse4.1". QEMU repeats itself
/// for every CPU.
std::vector<std::string> missing_features(const std::string& words) {
  static const std::regex feature(
      R"(doesn't support requested feature: (?:CPUID\.\w+:\w+|MSR\(\w+\))\.?(\S*))");
  std::vector<std::string> names;
  std::istringstream lines(words);
  for (std::string line; std::getline(lines, line);) {
    std::smatch found;
    if (!std::regex_search(line, found, feature) || found[1].length() == 0) continue;
    if (std::find(names.begin(), names.end(), found[1]) == names.end()) names.push_back(found[1]);
  }
  return names;
}

bool has_enlightenments(const std::string& model) {
  return model.find(",hv-") != std::string::npos || model.find(",hv_") != std::string::npos ||
         model.find(",+hv") != std::string::npos;
}

std::string joined(const std::vector<std::string>& words, const std::string& separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

}  // namespace

std::string cpu_option(const GuestSpec& guest) {
  const std::string model = cpu_model_of(guest);
  // Where a CPU has ERMS, Linux clears and copies pages by `rep stosb` and `rep movsb`, which TCG does byte
  // by byte: a tiny boot took 6 % more CPU time than with QEMU's default CPU, and without ERMS no more.
  if (model == "max" && guest.accel == Accel::tcg) return "max,erms=off";
  const bool up_to_user =
      model.find(",enforce") != std::string::npos || model.find(",check") != std::string::npos;
  const bool whatever_there_is = model == "host" || model == "max" || base_model(model) == kBaseline;
  return up_to_user || whatever_there_is ? model : model + ",enforce";
}

std::string cpu_problem(const GuestSpec& guest, const std::string& words) {
  const std::string model = cpu_model_of(guest);
  const std::string what = "this node cannot give its guests the CPU '" + model + "' with accelerator " +
                           to_text(guest.accel) + ": ";
  const std::vector<std::string> missing = missing_features(words);
  if (!missing.empty()) {
    return what + "it lacks " + joined(missing, ", ") + "; choose another --cpu, or leave these out: --cpu " +
           model + ",-" + joined(missing, ",-");
  }
  const std::string tail = printable_tail(words, kComplaintLines);
  return what + (tail.empty() ? "QEMU ended without a word" : tail) + "; '" +
         fs::path(guest.qemu).filename().string() + " -cpu help' lists the models it knows";
}

void check_cpu(const GuestSpec& guest, Deadline deadline) {
  if (guest.cpu_model.empty()) return;
  if (guest.accel == Accel::tcg && has_enlightenments(guest.cpu_model)) {
    throw Error(ExitStatus::environment,
                "--cpu '" + guest.cpu_model +
                    "': Hyper-V's enlightenments (hv-...) need KVM, and this node runs its "
                    "guests with tcg, which would leave them out without a word");
  }
  const Fd words(memfd_create("qemu-stderr", MFD_CLOEXEC));
  if (!words) throw_errno(ExitStatus::environment, "cannot make a file in memory");
  auto [qemu, monitor] =
      spawn_paused({guest.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-machine",
                    to_text(guest.machine), "-accel", to_text(guest.accel), "-cpu", cpu_option(guest)},
                   {.stderr_fd = words.get(), .new_session = true, .death_signal = SIGKILL});
  try {
    Qmp(std::move(monitor), deadline).execute("quit", deadline);
  } catch (const Error& error) {
    if (error.status() == ExitStatus::timed_out) throw error.in("looking for CPU '" + guest.cpu_model + "'");
    qemu.wait(deadline);
    const std::string text = read_text("/proc/self/fd/" + std::to_string(words.get()));
    throw Error(ExitStatus::environment, cpu_problem(guest, text));
  }
  qemu.wait(deadline);
}

}  // namespace vmi
