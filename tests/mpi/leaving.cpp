// SPDX-License-Identifier: Apache-2.0
// How ranks leave when things went wrong; run by CTest, which looks at the output and the exit status.
//   leaving interrupted   rank 1 announces a stop in the middle of a distribution: all leave MPI in order,
//   status 143 leaving late          the last rank does not come to the end: the others give up and end it,
//   nobody hangs
#include "cachegen/support/hash.hpp"
#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/distribute.hpp"
#include "launcher/mpi/nodes.hpp"
#include "launcher/mpi/session.hpp"

#include <cstdio>
#include <optional>

#include <unistd.h>

using namespace vmi;
using namespace std::chrono_literals;

namespace {

void distribute_until_stopped(Session& session) {
  const TempFolder folder(temp_root(), "leaving-test-");
  std::optional<Outgoing> outgoing;
  if (session.rank() == 0) {
    const std::string content(64 * MiB, 'x');
    outgoing.emplace();
    outgoing->path = folder.path() / "source";
    write_text_atomically(outgoing->path, content);
    Payload& payload = outgoing->payload;
    payload.name = "cache.vmic";
    payload.size = content.size();
    payload.hashes = chunk_hashes(open_file(outgoing->path, 0), payload.size);
    payload.digest = digest_of(payload.hashes);
  }
  TransferHooks hooks;
  if (session.rank() > 0) hooks.target = [&](const Payload&) { return folder.path() / "target"; };
  hooks.on_progress = [&](Bytes done, Bytes total) {
    if (session.rank() == 1 && done > total / 8)
      session.control().announce({ExitStatus::terminated, "interrupted by signal 15"});
  };
  const Waiter waiter{Deadline::after(30s), [&] {
                        session.control().poll();
                        if (const auto& stop = session.control().announced()) throw *stop;
                      }};
  Distribution distribution(session.world(), outgoing, hooks, {.compression = Compression::off}, waiter);
  distribution.find_places(waiter);
  distribution.run(waiter);
  // Some ranks may be done before they hear of it.
  barrier(session.world(), waiter, "the others");
}

int interrupted(Session& session) {
  Comm aftermath = duplicate(session.world(), {Deadline::after(30s)}, "all ranks to begin");
  const auto failure = attempt([&] { distribute_until_stopped(session); });
  const auto agreed = attempt([&] { agree(aftermath, failure, {Deadline::after(10s)}, "distributing"); });
  if (session.rank() == 0) std::printf("%s\n", agreed ? agreed->what() : "nothing stopped it");
  aftermath = Comm();
  session.finalize(Deadline::after(10s));
  return agreed ? static_cast<int>(agreed->status()) : 0;
}

int late(Session& session) {
  if (session.rank() == session.ranks() - 1) {
    alarm(50);  // should the others not end it
    pause();
  }
  session.finalize(Deadline::after(300ms));
  return 0;
}

int failing(Session& session) {
  if (session.rank() == 1) throw Error(ExitStatus::unusable, "rank 1 has had enough");
  barrier(session.world(), {Deadline::after(30s)}, "rank 1");
  return 0;
}

int run(const std::string& mode, int* argc, char*** argv) {
  Session session(argc, argv, Deadline::after(60s));
  return mode == "late" ? late(session) : mode == "failing" ? failing(session) : interrupted(session);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? argv[1] : "interrupted", &argc, &argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.status());
  }
}
