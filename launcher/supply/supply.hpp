// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/launch/launch_plan.hpp"
#include "launcher/node/node_pool.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace vmi {

/// What a supply works with; all of it outlives the supply.
struct SupplySetting {
  Rank& rank;
  const LaunchOptions& options;
  const LaunchPlan& plan;
  NodePool& pool;  ///< this node's
};

/// How the VMs of a launch get at what they read of their images, on one rank: one class for each cache mode
/// and placement. The stages call, in this order and on all ranks: find(), bring(), VMs run, keep(), note(),
/// VMs have stopped, keep_filled(), note().
class CacheSupply {
 public:
  virtual ~CacheSupply() = default;

  /// Bytes that this node's --node-dir is still going to get for the image, as far as is known by now.
  virtual Bytes bytes_to_come(const ImagePlan& /*image*/) const { return 0; }
  /// Bytes that it may get while VMs run, at the most; less where the room ends.
  virtual Bytes bytes_to_fill(const ImagePlan& /*image*/) const { return 0; }
  /// What a dry run has to add to the plan; empty: nothing.
  virtual std::string remark() const { return {}; }

  /// What find() is about to do, for people; empty: there is nothing to find.
  virtual std::string finding() const { return {}; }
  /// The longest that find() may take for one image.
  virtual Rank::Time finding_time() const { return {}; }
  /// On rank 0, while the others wait for what it tells them: completes the image's plan.
  virtual void find(ImagePlan& /*image*/) {}

  /// Has an image's VMs of this rank created: what they open can be opened by now.
  using Begin = std::function<void(const ImagePlan& image)>;
  /// Brings to this node what its VMs read, and begins them as early as can be. Returns what failed on this
  /// rank since the ranks' last agreement.
  virtual std::optional<Error> bring(const Begin& begin) = 0;
  /// Fills in what the VM opens. From begin() on.
  virtual void serve(const ImagePlan& image, VmSpec& vm) const = 0;

  /// All VMs run: what this node got is kept for later launches.
  virtual void keep() {}
  /// The VMs have stopped: keeps what they have filled. Returns whether that was anything.
  virtual bool keep_filled() { return false; }
  /// Tells the store which caches this node keeps, for who submits the next job.
  virtual void note() const {}
};

/// The supply that the options ask for.
std::unique_ptr<CacheSupply> make_supply(const SupplySetting& setting);

/// Stage *cache*: afterwards all ranks know what goes to the nodes.
void find_caches(Rank& rank, CacheSupply& supply, std::vector<ImagePlan>& images);

}  // namespace vmi
