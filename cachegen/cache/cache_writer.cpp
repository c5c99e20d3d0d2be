// SPDX-License-Identifier: Apache-2.0
// Which prefix of the working set fits depends on how much of it is zeros. What the base's metadata knows to
// be zero is known beforehand. Clusters that hold zeros all the same are found by reading: on the way, when
// everything fits anyway (the data then moves up, and the file gets smaller than planned); by a pass of its
// own, when the quota decides.
#include "cachegen/cache/cache_writer.hpp"

#include "cachegen/cache/bytes.hpp"
#include "cachegen/cache/cache_file.hpp"
#include "cachegen/cache/cache_image.hpp"
#include "cachegen/cache/working_clusters.hpp"
#include "cachegen/support/hash.hpp"
#include "cachegen/support/log.hpp"

#include <algorithm>
#include <random>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmi {
namespace {

/// A new file that is removed unless it is renamed to its place.
class TemporaryFile {
 public:
  explicit TemporaryFile(const fs::path& output) {
    // The output's own name may be as long as a name can be, so it is no part of this one.
    std::random_device random;
    char name[40];
    std::snprintf(name, sizeof name, ".vmicache-%08x%08x.tmp", random(), random());
    path_ = output.parent_path() / name;
    file_ = open_file(path_, O_RDWR | O_CREAT | O_EXCL, 0666);
  }
  ~TemporaryFile() {
    if (!path_.empty()) unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const Fd& file() const { return file_; }
  const fs::path& path() const { return path_; }

  void publish(const fs::path& output) {
    if (fsync(file_.get()) != 0) throw_errno(ExitStatus::environment, "cannot sync '" + path_.string() + "'");
    rename_durably(path_, output);
    path_.clear();
  }

 private:
  fs::path path_;
  Fd file_;
};

void check_replaceable(const fs::path& output) {
  struct stat info {};
  if (lstat(output.c_str(), &info) != 0) {
    if (errno == ENOENT) return;
    throw_errno(ExitStatus::environment, "cannot look at '" + output.string() + "'");
  }
  const auto refuse = [&](const std::string& what) {
    throw Error(ExitStatus::usage, "'" + output.string() + "' " + what + "; remove it or give another name");
  };
  if (S_ISDIR(info.st_mode)) refuse("is a folder");
  if (!S_ISREG(info.st_mode)) refuse("exists and is not a file");
  if (info.st_size > 0 && !is_boot_cache(output)) refuse("exists and is not a boot cache");
}

void check_geometry(const Geometry& geometry) {
  qcow2::cluster_bits_of(geometry.cluster_bytes);
  const Bytes most = qcow2::most_virtual_bytes(geometry.cluster_bytes);
  if (geometry.virtual_bytes > most) {
    throw Error(ExitStatus::usage, "an image of " + format_size(geometry.virtual_bytes) +
                                       " is too large for clusters of " +
                                       format_size(geometry.cluster_bytes) + ", which reach to " +
                                       format_size(most) + "; give larger clusters");
  }
}

void check_space(const fs::path& output, Bytes need) {
  const Bytes have = free_bytes(output.parent_path());
  if (need > have) {
    throw Error(ExitStatus::environment, "cannot write '" + output.string() + "': it needs " +
                                             format_size(need) + " and its file system has " +
                                             format_size(have) + " left");
  }
}

/// The base must be the same from the profile's first read to our last.
void check_unchanged(const ImageInfo& image) {
  const auto check = [](const ImageLayer& layer) {
    struct stat info {};
    if (!layer.local || !layer.mtime_ns) return;
    if (stat(layer.url.c_str(), &info) != 0 || static_cast<Bytes>(info.st_size) != layer.file_bytes ||
        std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec != *layer.mtime_ns) {
      throw Error(
          ExitStatus::unusable,
          "image '" + layer.url + "' changed while its cache was being made; is it in use for writing?");
    }
  };
  check(image);
  for (const ImageLayer& layer : image.backing_chain) check(layer);
}

/// Finds out before any work whether the backing file's name fits.
void check_first_cluster(qcow2::FirstCluster first, Bytes cluster_bytes) {
  first.header.cluster_bits = qcow2::cluster_bits_of(cluster_bytes);
  first.extensions.push_back({kCacheExtensionType, CacheExtension{}.encode()});
  qcow2::encode(first);
}

/// Adds runs cluster by cluster while they fit; false when the quota ended that.
bool add_all(Plan& plan, const std::vector<OrderRun>& order) {
  for (const OrderRun& run : order) {
    for (std::uint64_t i = 0; i < run.count; ++i) {
      if (!plan.add(run.cluster + i, run.zero, run.first_access_us)) return false;
    }
  }
  return true;
}

Bytes cluster_count(const std::vector<OrderRun>& order) {
  std::uint64_t clusters = 0;
  for (const OrderRun& run : order) clusters += run.count;
  return clusters;
}

Bytes zero_clusters(const std::vector<OrderRun>& order) {
  std::uint64_t clusters = 0;
  for (const OrderRun& run : order) clusters += run.zero ? run.count : 0;
  return clusters;
}

}  // namespace

void check_quota(const ImageInfo& image, Bytes quota, Bytes cluster_bytes, const nlohmann::json& facts) {
  const Geometry geometry{image.virtual_bytes, cluster_bytes};
  check_geometry(geometry);
  const Plan empty(geometry, quota, {image, {}}, facts);
}

CacheSummary write_cache(const CacheRequest& request, BaseReader& base, const fs::path& given_output,
                         const CacheProgress& progress) {
  const fs::path output = fs::absolute(given_output);
  const Geometry geometry{request.image.virtual_bytes, request.cluster_bytes};
  check_geometry(geometry);
  check_replaceable(output);

  qcow2::FirstCluster first;
  first.backing_name = request.image.url;
  const auto format = bytes_of(request.image.format);
  first.extensions.push_back({qcow2::kExtensionBackingFormat, {format.begin(), format.end()}});
  check_first_cluster(first, request.cluster_bytes);

  // Stage 1: the working set in clusters, what is surely zero marked.
  Trailer trailer;
  // Nothing is cached yet that a digest of the whole base could vouch for.
  trailer.base = request.extents.empty() ? BaseIdentity{request.image, {}} : identify_base(request.image);
  trailer.facts = request.facts;
  const std::vector<OrderRun> all =
      clusters_in_order(request.extents, geometry.virtual_bytes, geometry.cluster_bytes);
  std::vector<OrderRun> order = mark_zeros(all, base, geometry.cluster_bytes);

  // Stage 2: the prefix that fits, exactly.
  const Plan empty(geometry, request.quota, trailer.base, trailer.facts);
  Plan plan = empty;
  if (!add_all(plan, order)) {
    log_debug("the working set is larger than the quota: looking for clusters of zeros");
    plan = empty;
    walk_clusters(order, base, geometry.cluster_bytes,
                  [&](std::uint64_t cluster, std::int64_t time, std::span<const std::byte> bytes) {
                    return plan.add(cluster, all_zero(bytes), time);
                  });
    order = plan.order();
  }
  check_space(output, plan.layout().file_bytes - (plan.layout().l2 - plan.layout().l1));

  // Stage 3: the file, under a name of its own.
  TemporaryFile temporary(output);
  CacheImage image(temporary.file(), temporary.path(), geometry, plan.layout(), plan.l2_tables());
  Plan written(geometry, 0, trailer.base, trailer.facts);
  const Bytes total = plan.clusters() * geometry.cluster_bytes;
  walk_clusters(order, base, geometry.cluster_bytes,
                [&](std::uint64_t cluster, std::int64_t time, std::span<const std::byte> bytes) {
                  const bool zero = all_zero(bytes);
                  written.add(cluster, zero, time);
                  zero ? image.put_zero(cluster) : image.put_data(cluster, bytes);
                  if (progress) progress(written.clusters() * geometry.cluster_bytes, total);
                  return true;
                });
  check_unchanged(request.image);
  trailer.order = written.order();

  CacheSummary summary;
  summary.file_bytes = image.finish(std::move(first), request.quota, trailer);
  if (request.quota != 0 && summary.file_bytes > request.quota)
    throw std::logic_error("the cache is larger than its quota");
  summary.cached_bytes = written.clusters() * geometry.cluster_bytes;
  summary.zero_bytes = zero_clusters(trailer.order) * geometry.cluster_bytes;
  summary.wanted_bytes = cluster_count(all) * geometry.cluster_bytes;
  summary.digest = digest_of(chunk_hashes(temporary.file(), summary.file_bytes));

  // Stage 4: from here on the file is what it will be.
  temporary.publish(output);
  return summary;
}

}  // namespace vmi
