// SPDX-License-Identifier: Apache-2.0
// --cache none: plain overlays on the image.
#include "launcher/supply/supply.hpp"

namespace vmi {
namespace {

class NoneSupply final : public CacheSupply {
 public:
  explicit NoneSupply(const SupplySetting& setting) : plan_(setting.plan) {}

  std::optional<Error> bring(const Begin& begin) override {
    for (const ImagePlan& image : plan_.images) begin(image);
    return std::nullopt;
  }
  void serve(const ImagePlan& /*image*/, VmSpec& /*vm*/) const override {}

 private:
  const LaunchPlan& plan_;
};

}  // namespace

std::unique_ptr<CacheSupply> make_none_supply(const SupplySetting& setting) {
  return std::make_unique<NoneSupply>(setting);
}

}  // namespace vmi
