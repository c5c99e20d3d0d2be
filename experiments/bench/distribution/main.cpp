// SPDX-License-Identifier: Apache-2.0
// How near the distribution comes to what the links allow: its time over (bytes that each node must get /
// rate of one plain TCP stream over the same link in the same run). MPI_Bcast as the library does it is
// measured beside it. Every rank acts as a node; `run` (in this folder) gives each a network namespace with a
// shaped link.
#include "cachegen/support/hash.hpp"
#include "cachegen/support/log.hpp"
#include "cachegen/support/options.hpp"
#include "experiments/bench/distribution/link_rate.hpp"
#include "launcher/mpi/agree.hpp"
#include "launcher/mpi/collective.hpp"
#include "launcher/mpi/distribute.hpp"
#include "launcher/mpi/scheme.hpp"
#include "launcher/mpi/session.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <sstream>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/stat.h>

namespace vmi {
namespace {

OptionTable option_table() {
  OptionTable table("distribution_bench", "[options]",
                    "Measures the distribution of a file against the link's rate.");
  table.add({"size", 0, "BYTES", "64M", "size of the payload"})
      .add({"content",
            0,
            "KIND",
            "random",
            "random: does not compress; text: compresses to about a third",
            {"random", "text"}})
      .add({"payload", 0, "FILE", "", "what to distribute, of rank 0, instead of --size bytes of --content"})
      .add({"schemes", 0, "LIST", "chain,two_trees,automatic,bcast",
            "what to measure, in turn: SCHEME[:PIECE[:WINDOW]]; bcast is MPI_Bcast"})
      .add({"compress", 0, "MODE", "off", "compression of chunks", {"auto", "on", "off"}})
      .add({"repeat", 0, "N", "3", "how often to measure each"})
      .add({"dir", 0, "DIR", "/dev/shm", "where the payload and the copies are written"})
      .add({"interface", 0, "NAME", "eth0", "network interface over which the link's rate is measured"})
      .add({"timeout", 0, "TIME", "300s", "for each measurement"})
      .add({"json", 0, "FILE", "", "write the results there too"});
  return table;
}

/// "two_trees:120K:4": scheme, bytes of one message, messages in flight to each neighbour.
DistributeOptions parse_scheme(const std::string& text) {
  std::stringstream parts(text);
  std::string name, piece = "0", window = "0";
  std::getline(parts, name, ':');
  std::getline(parts, piece, ':');
  std::getline(parts, window, ':');
  DistributeOptions options;
  if (name == "chain")
    options.scheme = Scheme::chain;
  else if (name == "two_trees")
    options.scheme = Scheme::two_trees;
  else if (name != "automatic")
    throw Error(ExitStatus::usage, "no scheme is called '" + name + "'");
  options.piece_bytes = parse_size(piece);
  options.window = std::stoi(window);
  return options;
}

/// random: as incompressible as encrypted data; text: about a third when compressed.
void write_payload(const fs::path& path, Bytes size, const std::string& content) {
  const Fd file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  std::mt19937_64 random(1);
  std::vector<std::byte> block(kDigestChunk);
  for (Bytes at = 0; at < size; at += block.size()) {
    for (std::size_t i = 0; i < block.size(); i += 8) {
      std::uint64_t word = random();
      if (content == "text") word = 0x2020202020202020 | (word & 0x4f00004f004f0000);
      std::memcpy(&block[i], &word, sizeof word);
    }
    pwrite_all(file, std::span(block).first(std::min<Bytes>(block.size(), size - at)), at, path);
  }
}

Outgoing outgoing_of(const fs::path& path, Bytes size) {
  Outgoing outgoing;
  outgoing.path = path;
  outgoing.payload.name = path.filename();
  outgoing.payload.size = size;
  outgoing.payload.hashes = chunk_hashes(open_file(path, O_RDONLY), size);
  outgoing.payload.digest = digest_of(outgoing.payload.hashes);
  return outgoing;
}

double seconds_since(std::int64_t begin) {
  return static_cast<double>(monotonic_ns() - begin) / 1e9;
}

class Bench {
 public:
  Bench(Session& session, const Options& options)
      : session_(session),
        options_(options),
        size_(options.size("size")),
        folder_(options.text("dir"), "distribution-bench-") {}

  nlohmann::json run();

 private:
  Waiter waiter() const { return {Deadline::after(options_.duration("timeout"))}; }
  void make_payload();
  double bcast_seconds();
  nlohmann::json distribute(const std::string& scheme);
  double slowest(double seconds) {
    return static_cast<double>(
               all_max(session_.world(), static_cast<std::int64_t>(seconds * 1e9), waiter(), "times")) /
           1e9;
  }

  Session& session_;
  const Options& options_;
  Bytes size_;
  TempFolder folder_;
  fs::path payload_;  // on rank 0
  bool holds_payload_ =
      false;  // MPI_Bcast has had it in memory: peaks say nothing about the distribution any more
  std::int64_t peak_kib_ = 0;
};

/// On rank 0; all ranks then know its size.
void Bench::make_payload() {
  agree(session_.world(), attempt([&] {
          if (session_.rank() != 0) return;
          payload_ = options_.text("payload");
          if (!payload_.empty()) {
            struct stat info {};
            fstat(open_file(payload_, O_RDONLY).get(), &info);
            size_ = static_cast<Bytes>(info.st_size);
          } else {
            payload_ = folder_.path() / "payload";
            write_payload(payload_, size_, options_.text("content"));
          }
        }),
        waiter(), "making the payload");
  const Bytes size = session_.rank() == 0 ? size_ : 0;
  size_ = static_cast<Bytes>(
      all_max(session_.world(), static_cast<std::int64_t>(size), waiter(), "the payload's size"));
}

/// The blocking call, in memory only: no disk, no checks.
double Bench::bcast_seconds() {
  holds_payload_ = true;
  std::vector<std::byte> memory(size_);
  barrier(session_.world(), waiter(), "a broadcast to begin");
  const std::int64_t begin = monotonic_ns();
  check_mpi(MPI_Bcast(memory.data(), static_cast<int>(size_), MPI_BYTE, 0, session_.world().get()),
            "MPI_Bcast");
  return slowest(seconds_since(begin));
}

nlohmann::json Bench::distribute(const std::string& scheme) {
  const std::string compress = options_.text("compress");
  DistributeOptions options = parse_scheme(scheme);
  options.compression = compress == "on"     ? Compression::on
                        : compress == "auto" ? Compression::automatic
                                             : Compression::off;
  TransferHooks hooks;
  if (session_.rank() > 0) hooks.target = [&](const Payload&) { return folder_.path() / "received"; };
  std::optional<Outgoing> outgoing;
  if (session_.rank() == 0) outgoing = outgoing_of(payload_, size_);

  barrier(session_.world(), waiter(), "the offer to begin");
  const std::int64_t offered = monotonic_ns();
  Distribution distribution(session_.world(), outgoing, hooks, options, waiter());
  distribution.find_places(waiter());
  barrier(session_.world(), waiter(), "the distribution to begin");
  const double offer = slowest(seconds_since(offered));
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  const std::int64_t begin = monotonic_ns();
  DistributeResult result;
  const auto failure = attempt([&] { result = distribution.run(waiter()); });
  agree(session_.world(), failure, waiter(), "distributing");
  const double seconds = slowest(seconds_since(begin));
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  if (!holds_payload_) peak_kib_ = after.ru_maxrss;
  const auto cpu = [](const rusage& usage) {
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
  };
  const auto cpu_us = all_sum(session_.world(), cpu(after) - cpu(before), waiter(), "the processor's time");
  const auto wire =
      all_max(session_.world(), static_cast<std::int64_t>(result.wire_bytes), waiter(), "the bytes");
  return {{"seconds", seconds},
          {"offer_seconds", offer},
          {"wire_bytes", wire},
          {"cpu_seconds", static_cast<double>(cpu_us) / 1e6},
          {"used", to_text(result.scheme)}};
}

nlohmann::json Bench::run() {
  make_payload();
  const double rate = measure_link_rate(session_.world(), options_.text("interface"),
                                        std::min<Bytes>(size_, 64 * MiB), waiter());
  nlohmann::json runs = nlohmann::json::array();
  for (int repeat = 0; repeat < options_.number("repeat", 1, 1000); ++repeat) {
    std::stringstream schemes(options_.text("schemes"));
    for (std::string scheme; std::getline(schemes, scheme, ',');) {
      nlohmann::json entry =
          scheme == "bcast"
              ? nlohmann::json{{"seconds", bcast_seconds()}, {"wire_bytes", size_}, {"used", "MPI_Bcast"}}
              : distribute(scheme);
      const double limit = entry["wire_bytes"].get<double>() / rate;
      entry["scheme"] = scheme;
      entry["ratio"] = entry["seconds"].get<double>() / limit;
      runs.push_back(entry);
    }
  }
  const auto peak = all_max(session_.world(), peak_kib_, waiter(), "the peak memory");
  return {{"nodes", session_.ranks()},
          {"link_bytes_per_second", rate},
          {"payload_bytes", size_},
          {"content", options_.text("payload").empty() ? options_.text("content") : options_.text("payload")},
          {"compression", options_.text("compress")},
          {"peak_rank_rss_kib", peak},
          {"runs", runs}};
}

void print_table(const nlohmann::json& result) {
  std::printf("%d nodes, link %.1f Mbit/s, payload %s (%s), compression %s\n", result["nodes"].get<int>(),
              result["link_bytes_per_second"].get<double>() * 8e-6,
              format_size(result["payload_bytes"]).c_str(), result["content"].get<std::string>().c_str(),
              result["compression"].get<std::string>().c_str());
  std::printf("peak memory of a rank %s\n",
              format_size(result["peak_rank_rss_kib"].get<Bytes>() * KiB).c_str());
  std::printf("%-20s %-10s %9s %9s %13s %9s %8s\n", "scheme", "used", "time s", "offer s", "wire bytes",
              "cpu s", "ratio");
  for (const auto& run : result["runs"]) {
    std::printf("%-20s %-10s %9.3f %9.3f %13lld %9.2f %8.2f\n", run["scheme"].get<std::string>().c_str(),
                run["used"].get<std::string>().c_str(), run["seconds"].get<double>(),
                run.value("offer_seconds", 0.0), run["wire_bytes"].get<long long>(),
                run.value("cpu_seconds", 0.0), run["ratio"].get<double>());
  }
}

}  // namespace
}  // namespace vmi

int main(int argc, char** argv) {
  using namespace vmi;
  std::optional<Session> session;
  try {
    const OptionTable table = option_table();
    const Options options = table.parse(argc, argv);
    if (options.flag("help")) {
      std::fputs(table.help().c_str(), stdout);
      return 0;
    }
    session.emplace(&argc, &argv, Deadline::after(std::chrono::seconds(60)));
    if (session->ranks() < 2)
      throw Error(ExitStatus::usage, "needs two ranks or more; see experiments/bench/distribution/run");
    const nlohmann::json result = Bench(*session, options).run();
    if (session->rank() == 0) {
      print_table(result);
      if (options.has("json")) write_text_atomically(options.text("json"), result.dump(2) + "\n");
    }
    session->finalize(Deadline::after(std::chrono::seconds(30)));
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "distribution_bench: %s\n", error.what());
    return static_cast<int>(error.status());
  }
}
