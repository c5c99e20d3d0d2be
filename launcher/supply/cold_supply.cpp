// SPDX-License-Identifier: Apache-2.0
// --cache cold: no profile and nothing to distribute. Each node's first VM of an image boots on an empty
// cache that fills with what it reads; the node's other VMs read the image itself, since a file that is
// written has one user (qcow2's image lock). When the launch ends, the filled cache stays on the node for the
// next one.
#include "cachegen/support/log.hpp"
#include "launcher/launch/letter.hpp"
#include "launcher/supply/arrivals.hpp"
#include "launcher/supply/notes.hpp"

#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

namespace vmi {
namespace {

using namespace std::chrono_literals;
constexpr auto kOpenTime = 300s;
constexpr int kOpenTries = 5;

class ColdSupply final : public CacheSupply {
 public:
  explicit ColdSupply(const SupplySetting& setting) : at_(setting) {}

  Bytes bytes_to_fill(const ImagePlan& image) const override {
    return boots_here(image) ? std::min(at_.options.quota, image.virtual_bytes) : 0;
  }
  std::optional<Error> bring(const Begin& begin) override;
  void serve(const ImagePlan& image, VmSpec& vm) const override;
  bool keep_filled() override;
  void note() const override;

 private:
  /// An image's cache on this node, and which VM fills it; -1: none, it is full.
  struct Opened {
    ColdCache cache;
    int filler = -1;
  };
  bool boots_here(const ImagePlan& image) const { return at_.plan.boots_here(at_.rank.layout(), image); }
  /// Null where the launch ended before.
  const Opened* opened(const ImagePlan& image) const {
    const auto at = static_cast<std::size_t>(image.index);
    return at < opened_.size() ? &opened_[at] : nullptr;
  }
  ColdCache open_on_all(const ImagePlan& image);
  ColdCache open(const ImagePlan& image, bool sample, bool reject);
  void keep_one(const ImagePlan& image, const ColdCache& cache);

  SupplySetting at_;
  std::vector<Opened> opened_;  ///< in the order of the images
  Arrivals arrivals_;
  std::int64_t filled_bytes_ = 0;  ///< of the caches that this rank's VMs filled
};

std::optional<Error> ColdSupply::bring(const Begin& begin) {
  for (const ImagePlan& image : at_.plan.images) {
    Opened opened{.cache = open_on_all(image)};
    if (!opened.cache.filled) opened.filler = at_.plan.first_vm_on(at_.rank.layout(), image);
    opened_.push_back(opened);
    begin(image);
    if (!at_.rank.layout().leader || !boots_here(image)) continue;
    NodeRow row;
    row.cache_source = opened.filler == -1 ? "held" : "filled";
    row.wire_bytes = 0;
    if (opened.filler == -1) row.payload_bytes = 0;
    arrivals_.add(row);
  }
  arrivals_.post(at_.rank);
  return std::nullopt;
}

ColdCache ColdSupply::open_on_all(const ImagePlan& image) {
  Team& team = at_.rank.team();
  ColdCache cache{.filled = true};
  // Rank 0 looks whether the image is what it was, for all.
  std::optional<Error> failure;
  if (team.first())
    failure = attempt([&] { cache = open(image, at_.options.verify != VerifyChoice::none, false); });
  team.agree(failure, kOpenTime, "opening the first node's cache");
  std::string rejected = cache.rejected ? "yes" : "";
  team.share(rejected, kOpenTime, "whether the image has changed");

  if (team.layout().leader && !team.first() && boots_here(image))
    failure = attempt([&] { cache = open(image, false, !rejected.empty()); });
  team.agree(failure, kOpenTime, "opening the nodes' caches");

  std::string told = to_result(cache).dump();
  team.share_on_node(told, kOpenTime, "the node's cache");
  return result_of<OpenColdCache>(Reply{.result = nlohmann::json::parse(told)});
}

ColdCache ColdSupply::open(const ImagePlan& image, bool sample, bool reject) {
  const OpenColdCache request{
      .image_url = image.url,
      .kept_folder = at_.pool.folder().string(),
      .new_file = (at_.plan.node_folder / ("filling-" + std::to_string(image.index) + ".qcow2")).string(),
      .quota = at_.options.quota,
      .granularity = at_.options.granularity,
      .sample = sample,
      .reject = reject};
  // One that is damaged, or was evicted a moment ago, makes way for a new one.
  for (int tries = 1;; ++tries) {
    ColdCache cache = at_.rank.call(request, kOpenTime, "the node's cache of '" + image.url + "'");
    if (!cache.filled || at_.pool.holds_filled(fs::path(cache.keep_as).filename())) return cache;
    if (tries == kOpenTries) {
      throw Error(ExitStatus::environment, "cannot use nor replace '" + cache.keep_as + "'; remove it");
    }
  }
}

void ColdSupply::serve(const ImagePlan& image, VmSpec& vm) const {
  const Opened* at = opened(image);
  if (at == nullptr) return;
  if (at->filler == -1 || at->filler == vm.index) vm.cache = at->cache.path;
  vm.cache_writable = at->filler == vm.index;
}

bool ColdSupply::keep_filled() {
  const std::int64_t before = filled_bytes_;
  for (const ImagePlan& image : at_.plan.images) {
    const Opened* at = opened(image);
    if (at == nullptr || at->filler == -1 || !at_.rank.cache_closed(at->filler)) continue;
    if (const std::optional<Error> failure = attempt([&] { keep_one(image, at->cache); }))
      log_warning(failure->what());
  }
  return filled_bytes_ != before;
}

void ColdSupply::keep_one(const ImagePlan& image, const ColdCache& cache) {
  const bool kept = at_.pool.keep(cache.path, fs::path(cache.keep_as).filename(), [&](const fs::path& name) {
    // The file was written without syncing; under its final name it must be whole even after a crash.
    if (fsync(open_file(cache.path, O_RDONLY).get()) != 0)
      throw_errno(ExitStatus::environment, "cannot sync '" + cache.path + "'");
    rename_durably(cache.path, name);
  });
  if (!kept) return say_not_kept(at_, image.url);
  NodeRow row;
  row.node = at_.rank.layout().node;
  filled_bytes_ += static_cast<std::int64_t>(fs::file_size(cache.keep_as));
  row.payload_bytes = filled_bytes_;
  at_.rank.team().post(node_letter(row));
}

void ColdSupply::note() const {
  note_caches(at_, [this](const ImagePlan& image) -> CacheNote {
    // The node's leader speaks for it, or the rank whose VM has filled the cache.
    const Opened* at = opened(image);
    if (at == nullptr || (!at_.rank.layout().leader && at->filler == -1)) return {};
    return {fs::path(at->cache.keep_as).filename(), true};
  });
}

}  // namespace

std::unique_ptr<CacheSupply> make_cold_supply(const SupplySetting& setting) {
  return std::make_unique<ColdSupply>(setting);
}

}  // namespace vmi
