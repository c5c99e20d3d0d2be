// SPDX-License-Identifier: Apache-2.0
#include "cachegen/store/registry.hpp"

#include "cachegen/cache/identity.hpp"
#include "cachegen/support/folder.hpp"
#include "cachegen/support/hash.hpp"
#include "cachegen/support/owner.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace vmi {
namespace {

constexpr std::string_view kOn = "on-";

/// Names of nodes go into the commands of who submits jobs: nothing but letters, digits and "._-" passes.
bool is_node_name(const std::string& name) {
  return !name.empty() && std::isalnum(static_cast<unsigned char>(name.front())) != 0 &&
         name.find(".tmp.") == std::string::npos && std::ranges::all_of(name, [](unsigned char letter) {
           return std::isalnum(letter) != 0 || letter == '.' || letter == '_' || letter == '-';
         });
}

/// Null when it is missing or damaged.
nlohmann::json json_in(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return nullptr;
  try {
    return nlohmann::json::parse(read_text(path), nullptr, false);
  } catch (const Error&) {
    return nullptr;  // removed meanwhile
  }
}

CachePlaces places_in(const fs::path& folder) {
  CachePlaces places{.cache = {.name = folder.filename()}, .nodes = {}};
  if (const nlohmann::json about = json_in(folder / "about"); about.is_object()) {
    places.cache.image = about.value("image", "");
    places.cache.identity = about.value("identity", "");
    places.cache.bytes = about.value("bytes", Bytes{0});
  }
  for (const fs::path& path : paths_in(folder)) {
    const std::string name = path.filename();
    struct stat info {};
    if (!name.starts_with(kOn) || !is_node_name(name.substr(kOn.size())) || stat(path.c_str(), &info) != 0)
      continue;
    places.nodes.push_back(
        {name.substr(kOn.size()), std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec});
  }
  std::ranges::sort(places.nodes, [](const CachePlaces::Node& a, const CachePlaces::Node& b) {
    return a.last_use_ns != b.last_use_ns ? a.last_use_ns > b.last_use_ns : a.name < b.name;
  });
  return places;
}

}  // namespace

std::string image_identity(const ImageInfo& image) {
  const std::string text = BaseIdentity{image, ""}.to_json().dump();
  return hash128_hex(std::as_bytes(std::span(text)));
}

Registry::Registry(const fs::path& store) : folder_(store / "nodes" / std::to_string(geteuid())) {
}

void Registry::describe(const NodeCache& cache) const {
  const fs::path folder = folder_ / cache.name;
  std::error_code ignored;  // the write says what matters
  fs::create_directories(folder, ignored);
  const nlohmann::json about = {{"image", cache.image}, {"identity", cache.identity}, {"bytes", cache.bytes}};
  if (json_in(folder / "about") != about) write_text_atomically(folder / "about", about.dump() + "\n");
}

void Registry::add(const std::string& cache, const std::string& node, const fs::path& node_dir) const {
  if (!is_node_name(node))
    throw Error(ExitStatus::environment, "'" + node + "' is no name of a node that a registry can hold");
  const fs::path folder = folder_ / cache;
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  const nlohmann::json entry = {{"node_dir", node_dir.string()}, {"boot_id", Owner::self().boot_id}};
  write_text_atomically(folder / (std::string(kOn) + node), entry.dump() + "\n");
}

void Registry::correct(const std::string& node, const fs::path& node_dir,
                       const std::function<bool(const std::string& cache)>& has) const {
  if (!is_own_folder(folder_)) return;
  const std::string boot_id = Owner::self().boot_id;
  for (const fs::path& folder : paths_in(folder_)) {
    const fs::path path = folder / (std::string(kOn) + node);
    const nlohmann::json entry = json_in(path);
    if (!entry.is_object()) continue;
    const bool good = entry.value("node_dir", "") == node_dir.string()
                          ? has(folder.filename())
                          : entry.value("boot_id", "") == boot_id;
    if (good) continue;
    std::error_code error;
    fs::remove(path, error);
    // When it was the last: a node that adds itself at this moment is known by name alone until the next
    // launch describes the cache again.
    if (!places_in(folder).nodes.empty()) continue;
    fs::remove(folder / "about", error);
    fs::remove(folder, error);
  }
}

std::vector<CachePlaces> Registry::list() const {
  std::vector<CachePlaces> all;
  if (!is_own_folder(folder_)) return all;
  for (const fs::path& folder : paths_in(folder_)) {
    CachePlaces places = places_in(folder);
    if (!places.nodes.empty()) all.push_back(std::move(places));
  }
  std::ranges::sort(all, [](const CachePlaces& a, const CachePlaces& b) {
    return a.nodes.front().last_use_ns > b.nodes.front().last_use_ns;
  });
  return all;
}

}  // namespace vmi
