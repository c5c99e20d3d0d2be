// SPDX-License-Identifier: Apache-2.0
// --cache PATH: this boot cache.
#include "launcher/supply/delivery.hpp"
#include "launcher/supply/find.hpp"

namespace vmi {
namespace {

class PathSupply final : public DeliveringSupply {
 public:
  using DeliveringSupply::DeliveringSupply;

  std::string finding() const override { return "opening the cache"; }
  Rank::Time finding_time() const override { return time_to_find(setting().options); }

  void find(ImagePlan& image) override {
    const fs::path& cache = setting().options.cache_path;
    if (setting().options.verify != VerifyChoice::none) verify(setting(), cache, image);
    take_cache(setting(), cache, image);
  }
};

}  // namespace

std::unique_ptr<CacheSupply> make_path_supply(const SupplySetting& setting) {
  return std::make_unique<PathSupply>(setting);
}

}  // namespace vmi
