// SPDX-License-Identifier: Apache-2.0
#include "launcher/supply/notes.hpp"

#include "cachegen/store/registry.hpp"
#include "cachegen/support/log.hpp"

namespace vmi {

void note_caches(const SupplySetting& setting, const std::function<CacheNote(const ImagePlan&)>& of) {
  const NodePool& pool = setting.pool;
  const std::string& node = setting.rank.layout().node_key;
  const fs::path& node_dir = setting.options.node_dir;
  const std::optional<Error> failure = attempt([&] {
    const Registry registry(setting.options.cache_dir);
    for (const ImagePlan& image : setting.plan.images) {
      const CacheNote note = of(image);
      if (note.name.empty() || !pool.has(note.name)) continue;
      if (note.describe) {
        registry.describe({.name = note.name,
                           .image = image.url,
                           .identity = image.identity,
                           .bytes = fs::file_size(pool.path_of(note.name))});
      }
      registry.add(note.name, node, node_dir);
    }
    registry.correct(node, node_dir, [&](const std::string& cache) { return pool.has(cache); });
  });
  if (failure) log_info(failure->what());
}

void say_not_kept(const SupplySetting& setting, const std::string& cache) {
  const std::string text = "'" + cache + "' is not kept on " + setting.rank.layout().node_key +
                           ": it does not fit within the node budget of " +
                           format_size(setting.pool.budget()) + " beside caches in use; raise --node-budget";
  // Nobody who gives nothing expects to keep something.
  log(setting.rank.first() && setting.pool.budget() > 0 ? LogLevel::warning : LogLevel::info, text);
}

}  // namespace vmi
