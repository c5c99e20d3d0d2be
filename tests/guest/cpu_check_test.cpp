// SPDX-License-Identifier: Apache-2.0
#include "cachegen/guest/cpu_check.hpp"

#include <catch2/catch.hpp>

using namespace vmi;

namespace {

const GuestSpec kSkylake{.qemu = "/usr/bin/qemu", .accel = Accel::kvm, .cpu_model = "Skylake-Server"};

}  // namespace

TEST_CASE("a model that is asked for is given whole or not at all") {
  const auto option = [](const std::string& model) {
    return cpu_option({.accel = Accel::kvm, .cpu_model = model});
  };
  CHECK(option("Nehalem") == "Nehalem,enforce");
  CHECK(option("Nehalem,+aes") == "Nehalem,+aes,enforce");
  CHECK(option("max,+avx512f") == "max,+avx512f,enforce");
  CHECK(option("max") == "max");
  CHECK(option("host") == "host");
  CHECK(option("qemu64") == "qemu64");  // to fall back on
  CHECK(option("Nehalem,enforce=off") == "Nehalem,enforce=off");
  CHECK(option("Nehalem,check=off") == "Nehalem,check=off");
}

TEST_CASE("what a node lacks of a model is named once, as --cpu takes it") {
  const std::string words =
      "qemu: warning: host doesn't support requested feature: CPUID.01H:ECX.sse4.1 [bit 19]\n"
      "qemu: warning: host doesn't support requested feature: CPUID.07H:EBX.avx512f [bit 16]\n"
      "qemu: warning: host doesn't support requested feature: MSR(10AH).rdctl-no [bit 0]\n"
      "qemu: warning: host doesn't support requested feature: CPUID.07H:EBX.avx512f [bit 16]\n"
      "qemu: Host doesn't support requested features\n";
  CHECK_THAT(cpu_problem(kSkylake, words),
             Catch::Contains("'Skylake-Server'") && Catch::Contains("kvm") &&
                 Catch::Contains("lacks sse4.1, avx512f, rdctl-no;") &&
                 Catch::Contains("--cpu Skylake-Server,-sse4.1,-avx512f,-rdctl-no"));
}

TEST_CASE("enlightenments that TCG would ignore are refused") {
  for (const char* model : {"max,hv-relaxed", "qemu64,+hv_vapic", "max,hv_time=on"}) {
    const GuestSpec guest{.accel = Accel::tcg, .cpu_model = model};
    CHECK_THROWS_WITH(check_cpu(guest, Deadline::after(std::chrono::seconds(1))),
                      Catch::Contains("need KVM"));
  }
}

TEST_CASE("what QEMU says besides is passed on") {
  CHECK_THAT(cpu_problem(kSkylake, "qemu: unable to find CPU model 'x'\n"),
             Catch::Contains("qemu: unable to find CPU model 'x'") && Catch::Contains("qemu -cpu help"));
  CHECK_THAT(cpu_problem(kSkylake, ""), Catch::Contains("without a word"));
}
