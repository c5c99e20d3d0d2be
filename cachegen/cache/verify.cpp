// SPDX-License-Identifier: Apache-2.0
// From the outside in: header and trailer, then the tables by their checksums, then data by theirs, then the
// base's identity, then its content. Each step trusts only what the ones before it found sound, so that one
// fault gives one finding.
#include "cachegen/cache/verify.hpp"

#include "cachegen/cache/checksums.hpp"
#include "cachegen/cache/compare.hpp"
#include "cachegen/support/log.hpp"

#include <algorithm>
#include <random>

#include <nlohmann/json.hpp>

namespace vmi {
namespace {

class Verifier {
 public:
  Verifier(const fs::path& path, BaseReader* base, VerifyMode mode, const VerifyProgress& progress,
           std::uint64_t seed)
      : cache_(inspect_cache(path)), base_(base), mode_(mode), progress_(progress), seed_(seed) {}

  VerifyResult run() {
    result_.findings = cache_.findings;
    const bool readable =
        !cache_.has(Fault::not_a_cache) && !cache_.has(Fault::truncated) && cache_.first.has_value();
    if (cache_.sealed && cache_.trailer) check_sums();
    if (readable) read_map();
    if (base_ != nullptr && readable) check_base();
    return std::move(result_);
  }

 private:
  void add(Fault fault, std::string text) { result_.findings.push_back({fault, std::move(text)}); }
  bool found(Fault fault) const {
    return std::ranges::any_of(result_.findings,
                               [fault](const Finding& finding) { return finding.fault == fault; });
  }
  bool tables_damaged() const {
    return found(Fault::header) || found(Fault::l1_table) || found(Fault::l2_table) ||
           found(Fault::structure);
  }

  void check_sums() {
    check_regions(cache_, sums_);
    if (mode_ == VerifyMode::full) {
      check_chunks(cache_, sums_, [this](Bytes done) { report(done); });
    }
    result_.findings.insert(result_.findings.end(), sums_.findings.begin(), sums_.findings.end());
    result_.checked_bytes = sums_.checked_bytes;
  }

  void read_map() {
    if (tables_damaged()) return;  // whatever they say now, it is known to be wrong
    try {
      extents_ = read_tables(cache_.file, cache_.path, cache_.file_bytes, cache_.first->header);
    } catch (const Error& error) {
      if (error.status() != ExitStatus::unusable) throw;
      return add(Fault::structure, error.what());
    }
    if (!cache_.sealed || !cache_.trailer) return;
    const Trailer& trailer = *cache_.trailer;
    const std::string disagreement = check_order(trailer, extents_, cache_.first->header.cluster_bytes());
    if (!disagreement.empty()) add(Fault::structure, disagreement);
    if (trailer.base.image.virtual_bytes != cache_.first->header.virtual_bytes)
      add(Fault::structure, "its header and its trailer disagree about the image's size");
    if (facts_digest_of(trailer.facts) != cache_.extension->facts_digest) {
      add(Fault::structure, "its header and its trailer disagree about the profile's facts");
    }
  }

  void check_base() {
    const bool same_size = check_identity();
    if (!same_size || tables_damaged()) return;
    const bool full = mode_ == VerifyMode::full;
    const Bytes cluster = cache_.first->header.cluster_bytes();
    const std::vector<CachedExtent> extents =
        full ? extents_ : sample_extents(extents_, cluster, kSampleClusters, seed_);
    if (!full) {
      log_info("comparing " + std::to_string(kSampleClusters) + " clusters of '" + cache_.path.string() +
               "' with its image (sample " + std::to_string(seed_) + ")");
    }
    const Comparison comparison = compare_with_base(
        cache_.file, cache_.path, extents, cache_.first->header.virtual_bytes, cluster, *base_,
        [this](Bytes at) {
          return std::ranges::any_of(sums_.bad_data,
                                     [at](const auto& bad) { return at >= bad.first && at < bad.second; });
        },
        [this](Bytes done) { report(done); });
    result_.compared_bytes = comparison.compared_bytes;
    if (comparison.different_clusters > 0) {
      add_difference(comparison);
    } else if (full) {
      settle(Fault::base_touched,
             "; every cached byte equals the image's all the same, so the cache is right");
      if (!found(Fault::data))
        settle(Fault::written, "; every cached byte equals the image's all the same, so the cache is right");
    } else if (found(Fault::base_touched)) {
      settle_by_digest();
    }
  }

  bool made_from_this_name() const {
    return !cache_.trailer || cache_.trailer->base.image.url == base_->image().url;
  }

  /// False when nothing beyond the identity is worth comparing.
  bool check_identity() {
    if (!cache_.trailer) {
      if (cache_.first->header.virtual_bytes == base_->image().virtual_bytes) return true;
      add(Fault::other_image, "it is for an image of " + std::to_string(cache_.first->header.virtual_bytes) +
                                  " bytes, and '" + base_->image().url + "' has " +
                                  std::to_string(base_->image().virtual_bytes));
      return false;
    }
    const BaseIdentity& recorded = cache_.trailer->base;
    const BaseChanges changes = compare_identity(recorded, base_->image());
    const Fault fault = made_from_this_name() ? Fault::base_changed : Fault::other_image;
    for (const std::string& change : changes.certain) {
      add(fault, made_from_this_name()
                     ? "its image has changed: " + change
                     : "it was made from another image, '" + recorded.image.url + "': " + change);
    }
    for (const std::string& change : changes.touched) add(Fault::base_touched, change);
    return changes.certain.empty();
  }

  void add_difference(const Comparison& comparison) {
    const std::string name = "'" + base_->image().url + "'";
    const std::string where = " (" + std::to_string(comparison.different_clusters) + " of " +
                              std::to_string((comparison.compared_bytes + cluster() - 1) / cluster()) +
                              " clusters compared, the first at image byte " +
                              std::to_string(comparison.first_difference) + ")";
    if (!cache_.sealed || !cache_.trailer) {
      // Nothing vouches for the cache, so it is as likely to be wrong as the image is to have changed.
      add(Fault::data, "its cached data differ from " + name + where);
    } else if (made_from_this_name()) {
      add(Fault::base_changed, "its image has changed: " + name + " differs from what was cached" + where);
    } else {
      add(Fault::other_image, "it was made from another image, '" + cache_.trailer->base.image.url +
                                  "': " + name + " differs from what was cached" + where);
    }
    // The difference says it all; when and how the file was touched adds nothing.
    std::erase_if(result_.findings,
                  [](const Finding& finding) { return finding.fault == Fault::base_touched; });
  }

  /// A touched file whose whole digest is still the recorded one is the same.
  void settle_by_digest() {
    const std::string& digest = cache_.trailer->base.digest;
    if (digest.empty())
      return settle_text(
          "; the sample of its content is as cached, which is no proof: verify the cache in full against the "
          "image, or rebuild it");
    if (digest_base(base_->image()) == digest) {
      settle(Fault::base_touched, "; its digest is still the same, so it did not change");
    } else {
      settle_text(
          "; the sample of its content is as cached, and its digest is another: verify the cache in full "
          "against the image, or rebuild it");
    }
  }

  void settle(Fault fault, const std::string& why) {
    for (Finding& finding : result_.findings) {
      if (finding.fault != fault) continue;
      finding.fatal = false;
      finding.text += why;
    }
  }
  void settle_text(const std::string& why) {
    for (Finding& finding : result_.findings) {
      if (finding.fault == Fault::base_touched) finding.text += why;
    }
  }

  Bytes cluster() const { return cache_.first->header.cluster_bytes(); }

  void report(Bytes done) const {
    if (progress_) progress_(done, cache_.file_bytes);
  }

  Inspection cache_;
  BaseReader* base_;
  VerifyMode mode_;
  const VerifyProgress& progress_;
  std::uint64_t seed_;
  ChecksumResult sums_;
  std::vector<CachedExtent> extents_;
  VerifyResult result_;
};

}  // namespace

bool VerifyResult::usable() const {
  return std::ranges::none_of(findings, &Finding::fatal);
}

std::string VerifyResult::summary() const {
  std::string text;
  for (const Finding& finding : findings) {
    if (finding.fatal) text += (text.empty() ? "" : "; ") + finding.text;
  }
  return text;
}

nlohmann::json VerifyResult::to_json() const {
  nlohmann::json list = nlohmann::json::array();
  for (const Finding& finding : findings)
    list.push_back({{"fault", fault_name(finding.fault)}, {"text", finding.text}, {"fatal", finding.fatal}});
  return {{"usable", usable()},
          {"findings", list},
          {"checked_bytes", checked_bytes},
          {"compared_bytes", compared_bytes}};
}

std::uint64_t random_seed() {
  return std::random_device()();
}

VerifyResult verify_cache(const fs::path& path, BaseReader* base, VerifyMode mode,
                          const VerifyProgress& progress, std::uint64_t seed) {
  return Verifier(path, base, mode, progress, seed).run();
}

}  // namespace vmi
