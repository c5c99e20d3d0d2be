// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "launcher/supply/arrivals.hpp"
#include "launcher/supply/supply.hpp"

#include <memory>

namespace vmi {

/// --cache-placement shared, or a URL: nodes read the file that another supply finds where it lies.
class SharedSupply final : public CacheSupply {
 public:
  SharedSupply(const SupplySetting& setting, std::unique_ptr<CacheSupply> finder);

  std::string finding() const override { return finder_->finding(); }
  Rank::Time finding_time() const override { return finder_->finding_time(); }
  void find(ImagePlan& image) override { finder_->find(image); }
  std::optional<Error> bring(const Begin& begin) override;
  void serve(const ImagePlan& image, VmSpec& vm) const override;

 private:
  /// The server is trusted with the content, as an image's is; a mix-up is noticed by the size.
  void check_served(const ImagePlan& image);
  void check_readable(const ImagePlan& image) const;

  SupplySetting at_;
  std::unique_ptr<CacheSupply> finder_;
  Arrivals arrivals_;
};

}  // namespace vmi
