// SPDX-License-Identifier: Apache-2.0
#include "launcher/supply/supply.hpp"

#include "launcher/supply/shared_supply.hpp"

namespace vmi {

std::unique_ptr<CacheSupply> make_supply(const SupplySetting& setting) {
  std::unique_ptr<CacheSupply> supply = setting.options.cache->make(setting);
  if (setting.options.placement == Placement::shared && setting.options.cache->can_be_shared)
    return std::make_unique<SharedSupply>(setting, std::move(supply));
  return supply;
}

void find_caches(Rank& rank, CacheSupply& supply, std::vector<ImagePlan>& images) {
  if (supply.finding().empty()) return;
  std::string told;
  std::optional<Error> failure;
  if (rank.first()) {
    rank.reporter().phase("cache", supply.finding());
    failure = attempt([&] {
      for (ImagePlan& image : images) supply.find(image);
    });
    told = nlohmann::json(images).dump();
  }
  const auto all = static_cast<int>(images.size()) * supply.finding_time() + std::chrono::minutes(5);
  rank.team().tell(failure, told, all, "finding the boot cache");
  if (!rank.first()) images = nlohmann::json::parse(told).get<std::vector<ImagePlan>>();
}

}  // namespace vmi
