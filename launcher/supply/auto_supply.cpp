// SPDX-License-Identifier: Apache-2.0
// --cache auto: the image's boot cache of the store, profiled by this launch where the store has none.
#include "cachegen/profile/trace_file.hpp"
#include "launcher/supply/delivery.hpp"
#include "launcher/supply/find.hpp"

namespace vmi {
namespace {

class AutoSupply final : public DeliveringSupply {
 public:
  using DeliveringSupply::DeliveringSupply;

  std::string remark() const override {
    return "on each node, the boot cache comes on top: at most " + format_size(setting().options.quota);
  }
  std::string finding() const override { return "looking for the boot cache"; }
  Rank::Time finding_time() const override { return time_to_find(setting().options); }

  void find(ImagePlan& image) override {
    Rank& rank = setting().rank;
    const fs::path trace = setting().plan.node_folder / ("trace-" + std::to_string(image.index) + ".h5");
    BuildRequest request = request_for(setting(), image);
    request.trace_out = trace;
    const FoundCache found =
        rank.call(FindCache{std::move(request)}, finding_time(), "the boot cache of '" + image.url + "'");
    if (found.built) rank.reporter().boot_trace(read_boot_trace(trace));
    // The store's caches were sampled when they were found.
    if (setting().options.verify == VerifyChoice::full) verify(setting(), found.path, image);
    take_cache(setting(), found.path, image);
  }
};

}  // namespace

std::unique_ptr<CacheSupply> make_auto_supply(const SupplySetting& setting) {
  return std::make_unique<AutoSupply>(setting);
}

}  // namespace vmi
