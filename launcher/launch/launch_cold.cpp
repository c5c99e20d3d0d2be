// SPDX-License-Identifier: Apache-2.0
// --cache cold: no profile and nothing to distribute. Each node's first VM of an image boots on an empty
// cache that fills with what it reads; the node's other VMs read the image itself, since a file that is
// written has one user (qcow2's image lock). When the launch ends, the filled cache stays on the node for the
// next one.
#include "launcher/desk/desk.hpp"
#include "launcher/launch/launch.hpp"
#include "launcher/mpi/collective.hpp"

#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

namespace vmi {
namespace {

using namespace std::chrono_literals;
constexpr auto kOpenTime = 300s;
constexpr int kOpenTries = 5;

}  // namespace

OpenColdCache Launch::cold_request(const ImagePlan& image) const {
  return {.image_url = image.url,
          .kept_folder = node_pool_->folder().string(),
          .new_file = (node_folder_ / ("filling-" + std::to_string(image.index) + ".qcow2")).string(),
          .quota = options_.quota,
          .granularity = options_.granularity};
}

void Launch::open_node_cache(ImagePlan& image) {
  const NodeLayout& layout = rank_.layout();
  const Waiter waiter = rank_.waiter(kOpenTime);
  nlohmann::json opened = {{"path", ""}, {"keep_as", ""}, {"filled", true}, {"rejected", false}};
  const auto open = [&](bool sample, bool reject) {
    OpenColdCache request = cold_request(image);
    request.sample = sample;
    request.reject = reject;
    const auto ask = [&] {
      opened = rank_.call(request, kOpenTime, "the node's cache of '" + image.url + "'").result;
      const fs::path kept = opened.at("keep_as").get<std::string>();
      return !opened.at("filled").get<bool>() || node_pool_->holds_filled(kept.filename());
    };
    // One that is damaged, or was evicted a moment ago, makes way for a new one.
    for (int tries = 0; !ask();) {
      if (++tries == kOpenTries) {
        throw Error(ExitStatus::environment,
                    "cannot use nor replace '" + opened.at("keep_as").get<std::string>() + "'; remove it");
      }
    }
  };
  // Rank 0 looks whether the image is what it was, for all.
  std::optional<Error> failure;
  if (rank_.first()) failure = attempt([&] { open(options_.verify != VerifyChoice::none, false); });
  agree(rank_.world(), failure, waiter, "opening the first node's cache");
  std::string rejected = opened.at("rejected").get<bool>() ? "yes" : "";
  broadcast(rank_.world(), rejected, 0, waiter, "whether the image has changed");

  if (layout.leader && !rank_.first() && first_vm_here(image) != -1)
    failure = attempt([&] { open(false, !rejected.empty()); });
  agree(rank_.world(), failure, waiter, "opening the nodes' caches");

  std::string told = opened.dump();
  broadcast(layout.node_comm, told, 0, waiter, "the node's cache");
  opened = nlohmann::json::parse(told);
  image.local = opened.at("path").get<std::string>();
  image.keep_as = opened.at("keep_as").get<std::string>();
  image.filler = opened.at("filled").get<bool>() ? -1 : first_vm_here(image);
  prepare_vms(image);
  if (!layout.leader || first_vm_here(image) == -1) return;
  NodeRow row;
  row.cache_source = image.filler == -1 ? "held" : "filled";
  row.wire_bytes = 0;
  if (image.filler == -1) row.payload_bytes = 0;
  add_to_cache_row(row);
}

bool Launch::keep_node_caches() {
  bool kept = false;
  for (const ImagePlan& image : images_) {
    if (image.filler == -1 || !rank_.cache_closed(image.filler)) continue;
    const std::optional<Error> failure = attempt([&] { kept = keep_filled(image) || kept; });
    if (failure) log_warning(failure->what());
  }
  return kept;
}

bool Launch::keep_filled(const ImagePlan& image) {
  const bool kept = node_pool_->keep(image.local, image.keep_as.filename(), [&](const fs::path& name) {
    // The file was written without syncing; under its final name it must be whole even after a crash.
    if (fsync(open_file(image.local, O_RDONLY).get()) != 0)
      throw_errno(ExitStatus::environment, "cannot sync '" + image.local.string() + "'");
    rename_durably(image.local, name);
  });
  if (!kept) {
    say_not_kept(image.url);
    return false;
  }
  NodeRow row;
  row.node = rank_.layout().node;
  filled_bytes_ += static_cast<std::int64_t>(fs::file_size(image.keep_as));
  row.payload_bytes = filled_bytes_;
  rank_.post(node_letter(row));
  return true;
}

}  // namespace vmi
