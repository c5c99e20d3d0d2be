// SPDX-License-Identifier: Apache-2.0
// inspect -> profile -> write -> verify. Each stage says what holds after it.
#include "cachegen/build.hpp"

#include "cachegen/cache/inspect.hpp"
#include "cachegen/cache/verify.hpp"
#include "cachegen/profile/trace_file.hpp"

#include <unistd.h>

namespace vmi {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr auto kInspectPatience = 60s;

/// Tells progress only to those who listen.
class Teller {
 public:
  explicit Teller(const BuildProgress& progress) : progress_(progress) {}
  void stage(const std::string& text) const { tell(true, text); }
  void update(const std::string& text) const { tell(false, text); }

 private:
  void tell(bool new_stage, const std::string& text) const {
    if (progress_) progress_({.new_stage = new_stage, .text = text});
  }
  const BuildProgress& progress_;
};

/// Finds out before the boots, which take minutes, that their result could not be written.
void check_output(const fs::path& output, std::string_view what) {
  const fs::path folder = output.has_parent_path() ? output.parent_path() : ".";
  if (fs::is_directory(output))
    throw Error(ExitStatus::usage, std::string(what) + " '" + output.string() + "' is a folder");
  if (access(folder.c_str(), W_OK) != 0) {
    throw_errno(ExitStatus::environment,
                std::string("cannot write ") + std::string(what) + " '" + output.string() + "'");
  }
}

void check_cache_output(const fs::path& output) {
  check_output(output, "cache");
  std::error_code ignored;
  const auto size = fs::file_size(output, ignored);
  if (!ignored && size > 0 && !is_boot_cache(output)) {
    throw Error(ExitStatus::usage, "'" + output.string() +
                                       "' exists and is no boot cache; remove it or choose another --output");
  }
}

std::string describe_boot(int run, int runs, const BootStatus& status) {
  const std::string which = runs > 1 ? " " + std::to_string(run + 1) + "/" + std::to_string(runs) : "";
  const char* const stages[] = {"starting", "booting", "settling"};
  std::string text = std::string("profile") + which + ": " + stages[static_cast<int>(status.stage)];
  if (status.stage != BootStatus::Stage::starting) {
    text += ", " + format_size(status.base_bytes) + " read";
  }
  if (!status.console.empty()) text += " | " + status.console;
  return text;
}

BootProfile run_profile(const BuildRequest& request, const ImageInfo& image, const Teller& tell) {
  const ProfileOptions options{.image = image,
                               .guest = request.guest,
                               .ready = request.ready,
                               .timeout = request.timeout,
                               .settle = request.settle,
                               .runs = request.runs,
                               .granularity = request.granularity};
  int begun = -1;
  return profile_boot(options, [&](int run, const BootStatus& status) {
    const std::string text = describe_boot(run, request.runs, status);
    begun == run ? tell.update(text) : tell.stage(text);
    begun = run;
  });
}

json facts_of(const BuildRequest& request, const BootProfile& profile) {
  GuestSpec guest = request.guest;
  guest.accel = profile.accel;
  json boots = json::array();
  for (std::size_t run = 0; run < profile.runs.size(); ++run) {
    boots.push_back({{"ready_s", profile.runs[run].ready.count()},
                     {"requests", profile.runs[run].requests.size()},
                     {"unique_bytes", profile.working_set.run_bytes[run]}});
  }
  return {{"runs", request.runs},
          {"ready", request.ready.to_text()},
          {"settle_s", Seconds(request.settle).count()},
          {"granularity", request.granularity},
          {"machine", to_text(request.guest.machine)},
          {"disk_bus", to_text(request.guest.disk)},
          {"net", to_text(request.guest.net)},
          {"user_data", request.guest.user_data},
          {"memory_bytes", request.guest.memory},
          {"cpus", request.guest.cpus},
          {"cpu_model", cpu_model_of(guest)},
          {"accel", to_text(profile.accel)},
          {"firmware", request.guest.firmware},
          {"firmware_vars", request.guest.firmware_vars},
          {"kernel", request.guest.kernel},
          {"initrd", request.guest.initrd},
          {"append", request.guest.append},
          {"qemu_version", profile.qemu.version},
          {"vmicache_version", VMI_VERSION},
          {"boots", std::move(boots)},
          {"working_set_bytes", profile.working_set.bytes},
          {"minority_bytes", profile.working_set.minority_bytes}};
}

std::vector<BootExtent> boot_extents(const WorkingSet& set) {
  std::vector<BootExtent> extents;
  extents.reserve(set.extents.size());
  for (const WorkingExtent& extent : set.extents) {
    extents.push_back(
        {.offset = extent.offset, .bytes = extent.bytes, .first_access_us = extent.first_access_us});
  }
  return extents;
}

std::string percent(Bytes done, Bytes total) {
  return total == 0 ? "100%" : std::to_string(done * 100 / total) + "%";
}

/// A fact of the guest, and what people call it.
struct Named {
  const char* fact;
  const char* name;
  bool is_file = false;  ///< its name counts: the same file may lie elsewhere
};
constexpr Named kWhatChangesReads[] = {{"machine", "machine"},     {"disk_bus", "disk bus"},
                                       {"cpu_model", "CPU"},       {"net", "network"},
                                       {"append", "arguments"},    {"firmware", "firmware", true},
                                       {"kernel", "kernel", true}, {"initrd", "initial RAM disk", true}};

std::string text_of(const json& facts, const Named& named) {
  const auto fact = facts.find(named.fact);
  if (fact == facts.end() || !fact->is_string()) return {};
  const std::string text = fact->get<std::string>();
  // Caches of old say nothing of a CPU that was QEMU's default, and have another name for the disk.
  if (text.empty() && named.fact == std::string_view("cpu_model")) return "qemu64";
  if (text == "virtio-blk") return "virtio";
  return named.is_file ? fs::path(text).filename().string() : text;
}

}  // namespace

std::vector<std::string> profile_differences(const json& facts, const BuildRequest& request) {
  const json wanted = facts_of(request, {.accel = request.guest.accel});
  std::vector<std::string> differences;
  for (const Named& named : kWhatChangesReads) {
    const std::string was = text_of(facts, named);
    const std::string is = text_of(wanted, named);
    if (was != is) differences.push_back(named.name + (" '" + was + "' instead of '" + is + "'"));
  }
  return differences;
}

BuildSummary build_cache(const BuildRequest& request, const fs::path& output, const BuildProgress& progress) {
  const Teller tell(progress);
  check_build(request);
  check_cache_output(output);
  if (!request.trace_out.empty()) check_output(request.trace_out, "boot trace");
  tell.stage("looking at " + request.image);
  const ImageInfo image = inspect_image(request.image, Deadline::after(kInspectPatience));
  check_quota(image, request.quota, request.granularity, facts_of(request, {}));
  // The image can be opened, and the results be written.
  const BootProfile profile = run_profile(request, image, tell);
  if (!request.trace_out.empty()) write_boot_trace(request.trace_out, profile, image.url);
  // What the boots read is known.
  BuildSummary summary{.image = image, .facts = facts_of(request, profile)};
  const std::string what = "writing " + format_size(profile.working_set.bytes);
  tell.stage(what);
  BaseReader base(image);
  summary.cache = write_cache(
      {.image = image,
       .extents = boot_extents(profile.working_set),
       .quota = request.quota,
       .cluster_bytes = request.granularity,
       .facts = summary.facts},
      base, output, [&](Bytes done, Bytes total) { tell.update(what + ": " + percent(done, total)); });
  // The cache is in its place.
  tell.stage("comparing samples with the image");
  const VerifyResult verified = verify_cache(output, &base, VerifyMode::sample);
  if (!verified.usable()) {
    fs::remove(output);
    throw Error(ExitStatus::unusable,
                "the cache just made of '" + image.url + "' was removed: " + verified.summary());
  }
  return summary;
}

}  // namespace vmi
