// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/launch.hpp"
#include "tests/launch/fake_supervisor.hpp"
#include "tests/launch/fake_team.hpp"
#include "tests/launcher/fake_host.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vmi::test {

/// Keeps what it hears.
class ListeningReporter : public Reporter {
 public:
  void phase(const std::string& name, const std::string& /*text*/) override { phases.push_back(name); }
  void plan(const std::vector<VmRow>& rows, const RunAttributes& known,
            const std::vector<std::int64_t>& /*offsets_ns*/) override {
    vms = rows;
    attributes = known;
  }
  void image(const ImageRow& known) override { images.push_back(known); }
  void failure(const Error& error, const std::string& /*source*/) override {
    failures.push_back(error.what());
  }
  void take(int rank, const std::string& letter) override { letters.emplace_back(rank, letter); }
  std::string hosts() const override { return "vm0 node0 127.0.0.1:2200\n"; }
  int conclude(const LaunchEnd& end, ExitStatus own) override {
    ended = end;
    return end.failure ? static_cast<int>(own) : end.command_status.value_or(static_cast<int>(own));
  }

  std::vector<std::string> phases;
  std::vector<VmRow> vms;
  RunAttributes attributes;
  std::vector<ImageRow> images;
  std::vector<std::string> failures;
  std::vector<std::pair<int, std::string>> letters;
  std::optional<LaunchEnd> ended;
};

/// One rank with all that its stages work with.
struct Seat {
  Seat(FakeWorld& world, int number, const fs::path& folder, LaunchOptions given);

  FakeTeam team;
  FakeSupervisor supervisor;
  FakeHost host;
  LaunchOptions options;  ///< with this node's own --node-dir
  Rank rank;
  ListeningReporter reporter;
  std::optional<Error> thrown;  ///< by what run() had it do
};

/// A launch of several ranks, each a thread. Nothing in it is MPI, QEMU or libvirt.
class Ranks {
 public:
  Ranks(std::vector<int> node_of_rank, const LaunchOptions& options);

  Seat& at(int rank) { return *seats_[static_cast<std::size_t>(rank)]; }
  int count() const { return static_cast<int>(seats_.size()); }
  FakeWorld& world() { return world_; }
  const fs::path& folder() const { return folder_.path(); }
  /// On all ranks at once. What it throws as Error is kept in the seat.
  void run(const std::function<void(Seat&)>& stage);
  /// Runs whole launches; their exit statuses.
  std::vector<int> launch();
  bool nobody_threw() const;

 private:
  TempFolder folder_{temp_root(), "ranks-"};
  FakeWorld world_;
  std::vector<std::unique_ptr<Seat>> seats_;
};

/// One image "a.raw" and so many VMs.
LaunchOptions options_for(int vms, const std::string& cache = "auto");

/// A raw image of 4 MiB in `folder`, and a boot cache of its first megabyte.
struct CachedImage {
  explicit CachedImage(const fs::path& folder);
  fs::path image;
  fs::path cache;
};

}  // namespace vmi::test
