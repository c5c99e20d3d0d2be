// SPDX-License-Identifier: Apache-2.0
// KVM or TCG. That /dev/kvm opens is not enough: there are machines where it does while the CPU offers no
// virtualization and KVM emulates every instruction, slower than TCG, or hangs the guest.
#include "cachegen/guest/guest.hpp"
#include "cachegen/support/log.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <fcntl.h>

namespace vmi {
namespace {

bool cpu_flags_have_virtualization() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word == "vmx" || word == "svm") return true;
    }
    return false;  // all CPUs of a machine offer the same
  }
  return false;
}

bool offers_kvm(const AccelFacts& facts) {
  return facts.kvm_problem.empty() && facts.cpu_offers_virtualization;
}

}  // namespace

AccelFacts read_accel_facts() {
  AccelFacts facts{.cpu_offers_virtualization = cpu_flags_have_virtualization()};
  try {
    open_file("/dev/kvm", O_RDWR);
  } catch (const Error& error) {
    facts.kvm_problem = error.what();
  }
  return facts;
}

Accel resolve_accel(Accel wanted, const AccelFacts& facts) {
  if (wanted == Accel::tcg) return wanted;
  if (wanted == Accel::kvm) {
    if (facts.kvm_problem.empty()) return wanted;
    throw Error(ExitStatus::environment, "KVM was asked for: " + facts.kvm_problem +
                                             "; use --accel tcg, or ask for access to /dev/kvm");
  }
  if (offers_kvm(facts)) return Accel::kvm;
  log_warning("using the slow tcg accelerator: " +
              (facts.kvm_problem.empty() ? "/dev/kvm opens, but the CPU offers neither vmx nor svm"
                                         : facts.kvm_problem));
  return Accel::tcg;
}

Accel resolve_accel(Accel wanted) {
  return wanted == Accel::tcg ? wanted : resolve_accel(wanted, read_accel_facts());
}

}  // namespace vmi
