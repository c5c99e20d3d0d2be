// SPDX-License-Identifier: Apache-2.0
// --cache cold: no profile and nothing to distribute. Each node's first VM of an image boots on an empty
// cache that fills with what it reads; the node's other VMs read the image itself, since a file that is
// written has one user (qcow2's image lock). When the launch ends, the filled cache stays on the node for the
// next one.
#include "launcher/desk.hpp"
#include "launcher/launch.hpp"
#include "launcher/mpi/collective.hpp"

#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

namespace vmi {
namespace {

using namespace std::chrono_literals;
constexpr auto kOpenTime = 300s;

}  // namespace

OpenColdCache Launch::cold_request(const ImagePlan& image) const {
  return {.image_url = image.url,
          .kept_folder = node_store_->folder().string(),
          .new_file = (node_folder_ / ("filling-" + std::to_string(image.index) + ".qcow2")).string(),
          .quota = options_.quota,
          .granularity = options_.granularity};
}

/// The node's first VM that boots this image, on whichever of its ranks; -1: none does.
int Launch::filler_of(const ImagePlan& image) const {
  const auto& node_of_rank = rank_.layout().node_of_rank;
  const auto first = std::ranges::find_if(placed_, [&](const PlacedVm& vm) {
    return vm.image == image.index && node_of_rank[static_cast<std::size_t>(vm.rank)] == rank_.layout().node;
  });
  return first == placed_.end() ? -1 : first->index;
}

void Launch::open_node_cache(ImagePlan& image) {
  const NodeLayout& layout = rank_.layout();
  const Waiter waiter = rank_.waiter(kOpenTime);
  nlohmann::json opened = {{"path", ""}, {"keep_as", ""}, {"filled", true}, {"rejected", false}};
  const auto open = [&](bool sample, bool reject) {
    OpenColdCache request = cold_request(image);
    request.sample = sample;
    request.reject = reject;
    opened = rank_.call(std::move(request), kOpenTime, "the node's cache of '" + image.url + "'").result;
  };
  // Rank 0 looks whether the image is what it was, for all.
  std::optional<Error> failure;
  if (rank_.first()) failure = attempt([&] { open(options_.verify != VerifyChoice::none, false); });
  agree(rank_.world(), failure, waiter, "opening the first node's cache");
  std::string rejected = opened.at("rejected").get<bool>() ? "yes" : "";
  broadcast(rank_.world(), rejected, 0, waiter, "whether the image has changed");

  if (layout.leader && !rank_.first() && filler_of(image) != -1)
    failure = attempt([&] { open(false, !rejected.empty()); });
  agree(rank_.world(), failure, waiter, "opening the nodes' caches");

  std::string told = opened.dump();
  broadcast(layout.node_comm, told, 0, waiter, "the node's cache");
  opened = nlohmann::json::parse(told);
  image.local = opened.at("path").get<std::string>();
  image.keep_as = opened.at("keep_as").get<std::string>();
  image.filler = opened.at("filled").get<bool>() ? -1 : filler_of(image);
  prepare_vms(image);
  if (!layout.leader || filler_of(image) == -1) return;
  NodeRow row;
  row.node = layout.node;
  row.cache_source = image.filler == -1 ? "held" : "filled";
  row.wire_bytes = 0;
  rank_.post(node_letter(row));
}

void Launch::keep_node_caches() {
  for (const ImagePlan& image : images_) {
    if (image.filler == -1 || !rank_.cache_closed(image.filler)) continue;
    std::error_code error;
    // The file was written without syncing; under its final name it must be whole even after a crash.
    const Fd file(::open(image.local.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file || fsync(file.get()) != 0 || (fs::rename(image.local, image.keep_as, error), error)) {
      log_warning("cannot keep the filled cache '" + image.keep_as.string() + "'");
      continue;
    }
    NodeRow row;
    row.node = rank_.layout().node;
    row.payload_bytes = static_cast<std::int64_t>(fs::file_size(image.keep_as, error));
    rank_.post(node_letter(row));
  }
}

}  // namespace vmi
