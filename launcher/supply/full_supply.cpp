// SPDX-License-Identifier: Apache-2.0
// --cache full: the whole image goes to every node.
#include "cachegen/support/hash.hpp"
#include "launcher/supply/delivery.hpp"

#include <fcntl.h>

namespace vmi {
namespace {

using namespace std::chrono_literals;

class FullSupply final : public DeliveringSupply {
 public:
  using DeliveringSupply::DeliveringSupply;

  std::string finding() const override { return "opening the image"; }
  Rank::Time finding_time() const override { return 3600s; }

  void find(ImagePlan& image) override {
    if (!image.single_local_file) {
      throw Error(ExitStatus::unusable, "--cache full sends the image's file, and '" + image.url +
                                            "' is not a single local file; use --cache auto instead");
    }
    image.payload = image.url;
    const Fd file = open_file(image.payload, O_RDONLY, 0, ExitStatus::unusable);
    image.payload_bytes = fs::file_size(image.payload);
    // An image's tables lie anywhere, and QEMU keeps what it reads of them: it must not open a part of the
    // file.
    image.metadata_bytes = image.payload_bytes;
    image.hashes = chunk_hashes(file, image.payload_bytes);
    image.digest = digest_of(image.hashes);
  }

  void serve(const ImagePlan& image, VmSpec& vm) const override {
    vm.image_url = local(image).string();
    vm.whole_copy = true;
  }
};

}  // namespace

std::unique_ptr<CacheSupply> make_full_supply(const SupplySetting& setting) {
  return std::make_unique<FullSupply>(setting);
}

}  // namespace vmi
