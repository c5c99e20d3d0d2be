// SPDX-License-Identifier: Apache-2.0
// write_sample OUT.h5 [VMS] [cached|plain] [killed|running]: the record of a made-up launch, for the tests of
// vmireport. "killed" ends this process by SIGKILL before the launch's end, so that only the journal is left.
// "running" says so on stdout when VMs are booting, and ends the launch when stdin ends.
#include "tests/record/sample.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

int main(int argc, char** argv) {
  using namespace vmi;
  SampleOptions options;
  bool killed = false;
  bool running = false;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "plain") options.cached = false;
    if (word == "clean") options.with_failures = false;
    if (word == "killed") killed = true;
    if (word == "running") running = true;
    if (std::atoi(argv[i]) > 0) options.vms = std::atoi(argv[i]);
  }
  try {
    Journal journal = Journal::create(argc > 1 ? argv[1] : "", sample_attributes(options));
    tell_sample(journal, options);
    if (killed) std::raise(SIGKILL);
    if (running) {
      std::puts("running");
      std::fflush(stdout);
      while (std::getchar() != EOF) {
      }
    }
    tell_sample_end(journal, options);
    journal.finish();
  } catch (const Error& error) {
    std::fprintf(stderr, "write_sample: %s\n", error.what());
    return static_cast<int>(error.status());
  }
}
