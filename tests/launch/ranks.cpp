// SPDX-License-Identifier: Apache-2.0
#include "tests/launch/ranks.hpp"

#include "cachegen/cache/cache_image.hpp"
#include "cachegen/cache/layout.hpp"

#include <span>
#include <thread>

#include <fcntl.h>

namespace vmi::test {

Seat::Seat(FakeWorld& world, int number, const fs::path& folder, LaunchOptions given)
    : team(world, number),
      supervisor(folder / ("rank" + std::to_string(number))),
      options(std::move(given)),
      rank(team, supervisor, options.keep_going, host.view()) {
  options.node_dir = folder / team.layout().node_key;
  options.cache_dir = folder / "store";
  options.output = folder / "run.h5";
  fs::create_directories(folder / ("rank" + std::to_string(number)));
  rank.report_to(reporter);
  // A node of 8 processors and 64 GiB.
  host.write("proc/meminfo", "MemTotal: 67108864 kB\nMemAvailable: 67108864 kB\n");
  host.write("sys/devices/system/cpu/online", "0-7\n");
}

Ranks::Ranks(std::vector<int> node_of_rank, const LaunchOptions& options) : world_(std::move(node_of_rank)) {
  for (int rank = 0; rank < world_.ranks(); ++rank)
    seats_.push_back(std::make_unique<Seat>(world_, rank, folder_.path(), options));
}

void Ranks::run(const std::function<void(Seat&)>& stage) {
  std::vector<std::thread> threads;
  for (const std::unique_ptr<Seat>& seat : seats_) {
    threads.emplace_back([&stage, &seat] { seat->thrown = attempt([&] { stage(*seat); }); });
  }
  for (std::thread& thread : threads) thread.join();
}

std::vector<int> Ranks::launch() {
  std::vector<int> statuses(seats_.size(), -1);
  run([&](Seat& seat) {
    // The launch owns its reporter; the seat's hears the same.
    struct Passing final : ListeningReporter {
      explicit Passing(ListeningReporter& to) : to_(to) {}
      ~Passing() override { to_ = *this; }
      ListeningReporter& to_;
    };
    Launch launch(seat.rank, seat.options,
                  [&](const LaunchClock&) { return std::make_unique<Passing>(seat.reporter); });
    statuses[static_cast<std::size_t>(seat.team.rank())] = launch.run();
  });
  return statuses;
}

bool Ranks::nobody_threw() const {
  for (const std::unique_ptr<Seat>& seat : seats_) {
    if (seat->thrown) return false;
  }
  return true;
}

LaunchOptions options_for(int vms, const std::string& cache) {
  LaunchOptions options;
  options.images = {{"a.raw", 0}};
  options.vms = vms;
  options.hostname_prefix = "vm";
  options.timeout = std::chrono::seconds(5);
  options.ready = ReadySpec::parse("serial:READY");
  options.quota = 16 * MiB;
  options.guest.memory = 64 * MiB;
  options.cache = &cache_mode(cache);
  if (options.cache->takes_path) options.cache_path = cache;
  return options;
}

CachedImage::CachedImage(const fs::path& folder) : image(folder / "a.raw"), cache(folder / "a.vmic") {
  const std::string content(4 * MiB, 'x');
  write_text_atomically(image, content);
  // As write_cache() makes it, but that reads the image by qemu-nbd.
  const Geometry geometry{content.size(), 4 * KiB};
  Trailer trailer;
  ImageInfo base;
  base.url = image.string();
  base.format = "raw";
  base.virtual_bytes = content.size();
  trailer.base = BaseIdentity{base, {}};
  trailer.facts = nlohmann::json::object();
  Plan plan(geometry, 0, trailer.base, trailer.facts);
  const std::uint64_t clusters = MiB / geometry.cluster_bytes;
  for (std::uint64_t cluster = 0; cluster < clusters; ++cluster) plan.add(cluster, false, 0);
  const Fd file = open_file(cache, O_RDWR | O_CREAT | O_EXCL);
  CacheImage written(file, cache, geometry, plan.layout(), plan.l2_tables());
  for (std::uint64_t cluster = 0; cluster < clusters; ++cluster)
    written.put_data(cluster, std::as_bytes(std::span(content).first(geometry.cluster_bytes)));
  trailer.order = plan.order();
  qcow2::FirstCluster first;
  first.backing_name = image.string();
  written.finish(std::move(first), 0, trailer);
}

}  // namespace vmi::test
