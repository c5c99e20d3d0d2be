// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cachegen/build.hpp"
#include "cachegen/store/registry.hpp"
#include "launcher/launch/image_plan.hpp"
#include "launcher/launch/launch_clock.hpp"
#include "launcher/launch/placement.hpp"
#include "launcher/launch/rank.hpp"
#include "launcher/mpi/distribute.hpp"
#include "launcher/node/fit.hpp"
#include "launcher/node/node_pool.hpp"
#include "launcher/record/record.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vmi {

class Desk;

/// One launch as one rank sees it: the stages of ../README.md in their order, every one of which ends with
/// all ranks agreed. Rank 0 has the Desk, where all that happens anywhere is collected.
class Launch {
 public:
  Launch(Rank& rank, std::string command_line);
  ~Launch();

  /// Runs the launch to its end, whatever happens, and returns the exit status of this rank. On rank 0 the
  /// record is then written and the result printed.
  int run();

 private:
  void go();
  void plan();
  /// Asks for QEMU's and libvirt's facts, and whether this accelerator gives the CPU model; empty: any does.
  std::uint64_t ask_environment(Accel accel, const std::string& cpu_model);
  void take_environment(std::uint64_t request);
  /// Takes `environment`, for the accelerator that rank 0 has chosen for all. What fails is kept for the next
  /// agreement.
  void look_around(Accel accel, std::uint64_t environment);
  void tell_desk_the_plan();
  /// Ends with all ranks agreed on what look_around() has found, too.
  void look_whether_it_fits();
  /// Throws AgreedError(environment) when some node was found to have too little memory or room in
  /// --node-dir, or too few CPUs, as far as --overcommit does not allow it.
  void demand_room() const;
  void demand_cpus() const;
  NodeFit fit_here() const;
  void collect_fits(const NodeFit& mine);
  NodeLoad load_of_this_node() const;
  Bytes cache_to_come(const ImagePlan& image) const;
  /// Which CPUs this node's VMs run on, and its ranks' supervisors with them.
  void bind_to_job();
  void find_caches();
  void find_cache(ImagePlan& image);
  BuildRequest build_request(const ImagePlan& image) const;
  fs::path trace_file(const ImagePlan& image) const;
  void take_whole_image(ImagePlan& image);
  struct Delivery;
  void distribute_and_prepare(std::deque<Delivery>& deliveries);
  /// Resumes the VMs, and keeps what was delivered.
  void start(std::deque<Delivery>& deliveries);
  void wait_ready();
  void hold();
  void run_command();
  /// Tells the store which caches this node keeps, for who submits the next job.
  void note_caches();
  void note_cache(const Registry& registry, const ImagePlan& image);
  /// Stops the VMs and closes the record; throws nothing. `to_others`: the failure as other ranks see it.
  int end(std::optional<Error> failure, const std::optional<Error>& to_others);

  /// An image's payload on its way; published once the VMs of all ranks have opened it.
  struct Delivery {
    explicit Delivery(ImagePlan& sent) : image(sent) {}
    ImagePlan& image;
    Comm comm;                                 ///< of the leaders, where several deliveries are on their way
    std::optional<Distribution> distribution;  ///< on leaders; then only where it has made a new file
    bool told = false;                         ///< the leader has told its node's ranks where the file is
  };
  /// Sends the payload of each image from rank 0's node to those that boot VMs of it. Returns what failed on
  /// this rank, which all ranks have to agree on.
  std::optional<Error> deliver(std::deque<Delivery>& deliveries);
  static Bytes bytes_of(const std::deque<Delivery>& deliveries);
  /// Sees whether the caches fit, and has them offered. Returns whether any node wants their data.
  bool offer_all(std::deque<Delivery>& deliveries, const Waiter& waiter);
  void offer(Delivery& delivery, bool refused, const Waiter& waiter);
  void transfer(Delivery& delivery, const Waiter& waiter);
  void note_arrival(const ImagePlan& image, const DistributeResult& result);
  void tell_node(Delivery& delivery, std::string path, const Waiter& waiter);
  /// Takes a copy that has arrived into the node's pool, for later launches.
  void keep(Delivery& delivery);
  /// Whether this node has VMs of the image.
  bool boots_here(const ImagePlan& image) const { return first_vm_here(image) != -1; }
  /// Index of this node's first VM of the image, on whichever of its ranks; -1: it has none.
  int first_vm_here(const ImagePlan& image) const;
  void say_not_kept(const std::string& cache) const;
  /// Adds how this node came by one image's cache to the node's row.
  void add_to_cache_row(const NodeRow& image);
  void deliver_shared(ImagePlan& image);
  void check_served(const ImagePlan& image);
  /// --cache cold: finds or makes this node's own cache and prepares the VMs.
  void open_node_cache(ImagePlan& image);
  OpenColdCache cold_request(const ImagePlan& image) const;
  /// Keeps what this rank's VMs have filled, after they have stopped. Returns whether that was anything.
  bool keep_node_caches();
  bool keep_filled(const ImagePlan& image);
  void prepare_vms(const ImagePlan& image);
  VmSpec spec_of(const PlacedVm& vm) const;
  void print_dry_run();

  Rank& rank_;
  const LaunchOptions& options_;
  std::string command_line_;
  LaunchClock clock_;
  std::optional<Deadline> job_end_;  ///< when an orderly end has to begin
  std::unique_ptr<Desk> desk_;       ///< rank 0 only
  std::vector<PlacedVm> placed_;
  std::vector<ImagePlan> images_;
  std::map<int, std::string> vm_cpus_;  ///< of this node's VMs, by index; empty lists, and none, mean any
  std::vector<NodeFit> fits_;           ///< of every node, on rank 0; empty where nobody asked: all fits
  struct {
    std::string memory, space, cpus;
  } misfits_;                            ///< what of these does not fit, of some nodes; empty: nothing
  std::optional<Error> looked_failure_;  ///< of look_around(), until all ranks have agreed
  Environment environment_;
  Driver driver_ = Driver::qcow2;
  GuestSpec guest_;  ///< options_.guest with the accelerator that all ranks use
  std::optional<NodePool> node_pool_;
  NodeRow cache_row_;              ///< of this node, what its caches took; on leaders
  std::int64_t filled_bytes_ = 0;  ///< of the caches that this rank's VMs filled
  fs::path node_folder_;           ///< of this launch and rank, below --node-dir; the supervisor removes it
  std::int64_t offset_ns_ = 0;     ///< to add to this node's clock to get rank 0's
  std::vector<std::uint64_t> prepares_;  ///< requests whose replies are still to come
};

}  // namespace vmi
