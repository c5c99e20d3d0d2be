// SPDX-License-Identifier: Apache-2.0
#include "cachegen/support/cpu_set.hpp"

#include <cstdio>
#include <sstream>

namespace vmi {
namespace {

constexpr int kMostCpus = 1 << 16;  // above any kernel's NR_CPUS: no list makes us count for ever

}  // namespace

CpuSet parse_cpu_list(const std::string& text) {
  CpuSet cpus;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    int first = 0;
    int last = 0;
    const int found = std::sscanf(part.c_str(), "%d-%d", &first, &last);
    if (found < 1) continue;
    if (found == 1) last = first;
    if (first < 0 || last >= kMostCpus) continue;
    for (int cpu = first; cpu <= last; ++cpu) cpus.insert(cpu);
  }
  return cpus;
}

std::string to_cpu_list(const CpuSet& cpus) {
  std::string text;
  for (auto cpu = cpus.begin(); cpu != cpus.end();) {
    const int first = *cpu;
    int last = first;
    while (++cpu != cpus.end() && *cpu == last + 1) last = *cpu;
    if (!text.empty()) text += ',';
    text += std::to_string(first);
    if (last > first) text += "-" + std::to_string(last);
  }
  return text;
}

std::vector<unsigned long> to_cpu_mask(const CpuSet& cpus) {
  constexpr std::size_t kBits = 8 * sizeof(unsigned long);
  std::vector<unsigned long> mask(cpus.empty() ? 0 : static_cast<std::size_t>(*cpus.rbegin()) / kBits + 1);
  for (const int cpu : cpus) {
    const auto bit = static_cast<std::size_t>(cpu);
    mask[bit / kBits] |= 1UL << (bit % kBits);
  }
  return mask;
}

}  // namespace vmi
