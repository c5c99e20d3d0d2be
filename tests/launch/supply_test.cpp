// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch/prepare.hpp"
#include "launcher/launch/run.hpp"
#include "tests/launch/ranks.hpp"

#include <set>

#include <catch2/catch.hpp>

using namespace vmi;
using namespace vmi::test;
using Catch::Contains;

namespace {

/// One rank's launch from its plan to VMs that run.
struct Brought {
  std::optional<LaunchPlan> plan;
  std::optional<NodePool> pool;
  std::unique_ptr<CacheSupply> supply;
};

void bring(Seat& seat, Brought& brought) {
  brought.plan = plan_launch(seat.rank, seat.options, LaunchClock::of(0));
  brought.pool.emplace(seat.options.node_dir, seat.options.node_budget);
  brought.supply = make_supply({seat.rank, seat.options, *brought.plan, *brought.pool});
  const VmCpus cpus = bind_to_job(seat.rank, *brought.plan);
  find_caches(seat.rank, *brought.supply, brought.plan->images);
  distribute_and_prepare(seat.rank, seat.options, *brought.plan, *brought.supply, cpus);
  start_vms(seat.rank, seat.options, *brought.supply);
}

std::vector<Brought> bring_all(Ranks& ranks) {
  std::vector<Brought> all(static_cast<std::size_t>(ranks.count()));
  ranks.run([&](Seat& seat) { bring(seat, all[static_cast<std::size_t>(seat.team.rank())]); });
  for (int rank = 0; rank < ranks.count(); ++rank) {
    if (ranks.at(rank).thrown) UNSCOPED_INFO(ranks.at(rank).thrown->what());
  }
  return all;
}

std::vector<VmSpec> vms_of(const Seat& seat) {
  std::vector<VmSpec> vms;
  for (const Prepare& prepare : seat.supervisor.asked<Prepare>())
    vms.insert(vms.end(), prepare.vms.begin(), prepare.vms.end());
  return vms;
}

/// Has the supervisors find this cache for every image.
void have_cache(Ranks& ranks, const fs::path& cache) {
  ranks.at(0).supervisor.on<FindCache>([cache](const FindCache&) { return FoundCache{cache, false}; });
}

}  // namespace

TEST_CASE("every cache mode has a name, a help text and a supply") {
  std::set<std::string> names;
  for (const CacheMode& mode : cache_modes()) {
    CAPTURE(mode.name);
    CHECK(names.insert(mode.name).second);
    CHECK_FALSE(mode.help.empty());
    CHECK(mode.make != nullptr);
    CHECK(&cache_mode(mode.takes_path ? "some/file.vmic" : mode.name) == &mode);
    CHECK_THAT(cache_modes_help(), Contains(mode.help));
  }
  CHECK_THROWS_WITH(cache_mode(""), Contains("--cache") && Contains("auto"));
}

TEST_CASE("auto: every node gets the cache that rank 0 finds, and keeps it") {
  Ranks ranks({0, 1, 1}, options_for(4));
  const CachedImage files(ranks.folder());
  have_cache(ranks, files.cache);
  const std::vector<Brought> all = bring_all(ranks);
  REQUIRE(ranks.nobody_threw());
  const std::string digest = all[0].plan->images[0].digest;
  CHECK(all[2].plan->images[0].digest == digest);
  for (int rank = 0; rank < 3; ++rank) {
    CHECK(all[static_cast<std::size_t>(rank)].pool->has(digest));
    for (const VmSpec& vm : vms_of(ranks.at(rank))) {
      CHECK(vm.image_url == "a.raw");
      CHECK_THAT(vm.cache, Contains(digest));
      CHECK_FALSE(vm.cache_writable);
    }
  }
  CHECK(vms_of(ranks.at(0)).size() == 2);
  // The ranks of one node read one file.
  CHECK(vms_of(ranks.at(1)).at(0).cache == vms_of(ranks.at(2)).at(0).cache);
  CHECK(ranks.at(0).supervisor.asked<VerifyCache>().empty());  // the store sampled it
}

TEST_CASE("auto: the record hears what the cache is") {
  Ranks ranks({0}, options_for(1));
  const CachedImage files(ranks.folder());
  have_cache(ranks, files.cache);
  const std::vector<Brought> all = bring_all(ranks);
  REQUIRE(ranks.nobody_threw());
  const ImageRow& row = ranks.at(0).reporter.images.back();
  CHECK(row.cache_digest == all[0].plan->images[0].digest);
  CHECK(row.file_bytes == static_cast<std::int64_t>(fs::file_size(files.cache)));
}

TEST_CASE("auto: a profile that fails ends the launch on every rank with its own status") {
  Ranks ranks({0, 1}, options_for(2));
  ranks.at(0).supervisor.on<FindCache>(
      [](const FindCache&) -> FoundCache { throw Error(ExitStatus::timed_out, "never ready"); });
  bring_all(ranks);
  for (int rank = 0; rank < 2; ++rank) {
    REQUIRE(ranks.at(rank).thrown);
    CHECK(ranks.at(rank).thrown->status() == ExitStatus::timed_out);
    CHECK_THAT(ranks.at(rank).thrown->what(), Contains("finding the boot cache") && Contains("never ready"));
  }
}

TEST_CASE("auto: --verify-cache full compares the store's cache again") {
  LaunchOptions options = options_for(1);
  options.verify = VerifyChoice::full;
  Ranks ranks({0}, options);
  const CachedImage files(ranks.folder());
  have_cache(ranks, files.cache);
  bring_all(ranks);
  REQUIRE(ranks.nobody_threw());
  REQUIRE(ranks.at(0).supervisor.asked<VerifyCache>().size() == 1);
  CHECK(ranks.at(0).supervisor.asked<VerifyCache>()[0].full);
}

TEST_CASE("path: a cache that does not belong to its image is refused with 3") {
  Ranks ranks({0, 1}, options_for(2, "some.vmic"));
  const CachedImage files(ranks.folder());
  for (int rank = 0; rank < 2; ++rank) ranks.at(rank).options.cache_path = files.cache;
  ranks.at(0).supervisor.on<VerifyCache>(
      [](const VerifyCache&) { return CacheVerdict{.findings = {"byte 4096 differs"}, .warnings = {}}; });
  bring_all(ranks);
  for (int rank = 0; rank < 2; ++rank) {
    REQUIRE(ranks.at(rank).thrown);
    CHECK(ranks.at(rank).thrown->status() == ExitStatus::unusable);
    CHECK_THAT(ranks.at(rank).thrown->what(), Contains("byte 4096 differs") && Contains("vmicache build"));
  }
}

TEST_CASE("path: --verify-cache none compares nothing") {
  LaunchOptions options = options_for(1, "some.vmic");
  options.verify = GENERATE(VerifyChoice::none, VerifyChoice::sample);
  Ranks ranks({0}, options);
  const CachedImage files(ranks.folder());
  ranks.at(0).options.cache_path = files.cache;
  bring_all(ranks);
  REQUIRE(ranks.nobody_threw());
  CHECK(ranks.at(0).supervisor.asked<VerifyCache>().size() ==
        (options.verify == VerifyChoice::none ? 0U : 1U));
}

TEST_CASE("a node without VMs of an image gets no file of it") {
  Ranks ranks({0, 1, 2}, options_for(1));
  const CachedImage files(ranks.folder());
  have_cache(ranks, files.cache);
  const std::vector<Brought> all = bring_all(ranks);
  REQUIRE(ranks.nobody_threw());
  const std::string digest = all[0].plan->images[0].digest;
  CHECK(all[0].pool->has(digest));
  CHECK_FALSE(all[1].pool->has(digest));
  CHECK(vms_of(ranks.at(1)).empty());
}

TEST_CASE("a cache larger than the node budget serves this launch and is not kept") {
  LaunchOptions options = options_for(2);
  options.node_budget = 1;
  Ranks ranks({0, 1}, options);
  const CachedImage files(ranks.folder());
  have_cache(ranks, files.cache);
  const std::vector<Brought> all = bring_all(ranks);
  REQUIRE(ranks.nobody_threw());
  CHECK_FALSE(all[0].pool->has(all[0].plan->images[0].digest));
  CHECK_FALSE(vms_of(ranks.at(1)).at(0).cache.empty());
}

TEST_CASE("full: the image's own bytes go to the nodes") {
  Ranks ranks({0, 1}, options_for(2, "full"));
  const CachedImage files(ranks.folder());
  ranks.at(0).supervisor.on<InspectImage>([&](const InspectImage&) {
    return InspectedImage{.url = files.image.string(),
                          .format = "raw",
                          .virtual_bytes = 4 * MiB,
                          .identity = "1",
                          .single_local_file = true};
  });
  bring_all(ranks);
  REQUIRE(ranks.nobody_threw());
  const VmSpec vm = vms_of(ranks.at(1)).at(0);
  CHECK(vm.whole_copy);
  CHECK(vm.cache.empty());
  CHECK(vm.image_url != files.image.string());
}

TEST_CASE("full: an image that is no single local file is refused with 3") {
  Ranks ranks({0}, options_for(1, "full"));
  ranks.at(0).supervisor.on<InspectImage>([](const InspectImage&) {
    return InspectedImage{.url = "nbd://server", .format = "raw", .virtual_bytes = MiB};
  });
  bring_all(ranks);
  REQUIRE(ranks.at(0).thrown);
  CHECK(ranks.at(0).thrown->status() == ExitStatus::unusable);
  CHECK_THAT(ranks.at(0).thrown->what(), Contains("nbd://server") && Contains("--cache auto"));
}

TEST_CASE("none: VMs read the image alone, and nothing is looked for") {
  Ranks ranks({0, 1}, options_for(2, "none"));
  bring_all(ranks);
  REQUIRE(ranks.nobody_threw());
  CHECK(vms_of(ranks.at(1)).at(0).cache.empty());
  CHECK(ranks.at(0).supervisor.asked<FindCache>().empty());
}

TEST_CASE("shared: VMs read the cache where it lies") {
  LaunchOptions options = options_for(2);
  options.placement = Placement::shared;
  Ranks ranks({0, 1}, options);
  const CachedImage files(ranks.folder());
  have_cache(ranks, files.cache);
  const std::vector<Brought> all = bring_all(ranks);
  REQUIRE(ranks.nobody_threw());
  CHECK(vms_of(ranks.at(1)).at(0).cache == files.cache.string());
  CHECK_FALSE(all[1].pool->has(all[1].plan->images[0].digest));
}

TEST_CASE("shared by URL: a server with another file is refused with 3") {
  LaunchOptions options = options_for(2);
  options.placement = Placement::shared;
  options.cache_url = "nbd://server/cache";
  Ranks ranks({0, 1}, options);
  const CachedImage files(ranks.folder());
  have_cache(ranks, files.cache);
  ranks.at(0).supervisor.on<InspectImage>([](const InspectImage& look) {
    return InspectedImage{.url = look.url, .format = "raw", .virtual_bytes = 512};
  });
  bring_all(ranks);
  for (int rank = 0; rank < 2; ++rank) {
    REQUIRE(ranks.at(rank).thrown);
    CHECK(ranks.at(rank).thrown->status() == ExitStatus::unusable);
    CHECK_THAT(ranks.at(rank).thrown->what(), Contains("nbd://server/cache") && Contains("512 bytes"));
  }
}

TEST_CASE("cold: a node's first VM fills a cache, the others read the image") {
  Ranks ranks({0, 0, 1}, options_for(4, "cold"));
  for (int rank = 0; rank < 3; ++rank) {
    ranks.at(rank).supervisor.on<OpenColdCache>([](const OpenColdCache& request) {
      return ColdCache{.path = request.new_file, .keep_as = request.kept_folder + "/filled-1"};
    });
  }
  bring_all(ranks);
  REQUIRE(ranks.nobody_threw());
  int fillers = 0;
  for (int rank = 0; rank < 3; ++rank) {
    for (const VmSpec& vm : vms_of(ranks.at(rank))) {
      CHECK(vm.cache_writable != vm.cache.empty());
      CHECK(vm.quota == 16 * MiB);
      fillers += vm.cache_writable ? 1 : 0;
    }
  }
  CHECK(fillers == 2);
  // One look a node.
  CHECK(ranks.at(1).supervisor.asked<OpenColdCache>().empty());
  CHECK(ranks.at(2).supervisor.asked<OpenColdCache>().size() == 1);
}

TEST_CASE("cold: when the first node finds that the image has changed, the others are told") {
  Ranks ranks({0, 1}, options_for(2, "cold"));
  const auto open = [](bool rejected) {
    return [rejected](const OpenColdCache& request) {
      return ColdCache{
          .path = request.new_file, .keep_as = request.kept_folder + "/filled-1", .rejected = rejected};
    };
  };
  ranks.at(0).supervisor.on<OpenColdCache>(open(true));
  ranks.at(1).supervisor.on<OpenColdCache>(open(false));
  bring_all(ranks);
  REQUIRE(ranks.nobody_threw());
  CHECK(ranks.at(1).supervisor.asked<OpenColdCache>().at(0).reject);
}

TEST_CASE("cold: what a VM filled is kept for the next launch, once it was closed") {
  Ranks ranks({0}, options_for(1, "cold"));
  const bool closed = GENERATE(true, false);
  ranks.at(0).supervisor.on<OpenColdCache>([](const OpenColdCache& request) {
    write_text_atomically(request.new_file, "what was filled");
    return ColdCache{.path = request.new_file, .keep_as = request.kept_folder + "/filled-0123"};
  });
  bool kept = false;
  bool there = false;
  ranks.run([&](Seat& seat) {
    Brought brought;
    bring(seat, brought);
    seat.supervisor.say(VmStopped{.index = 0, .t_stopped = 9, .cache_closed = closed});
    seat.rank.pump();
    kept = brought.supply->keep_filled();
    there = brought.pool->has("filled-0123");
  });
  REQUIRE(ranks.nobody_threw());
  CHECK(kept == closed);
  CHECK(there == closed);
}

TEST_CASE("a VM that cannot be created does not keep the ranks from agreeing") {
  Ranks ranks({0, 1}, options_for(2, "none"));
  ranks.at(1).supervisor.on<Prepare>(
      [](const Prepare&) -> Done { throw Error(ExitStatus::environment, "no room for the overlay"); });
  bring_all(ranks);
  for (int rank = 0; rank < 2; ++rank) {
    REQUIRE(ranks.at(rank).thrown);
    CHECK_THAT(ranks.at(rank).thrown->what(),
               Contains("rank 1 on host1: preparing the VMs") && Contains("no room for the overlay"));
  }
}
